-- Purchase and return lines; `place` counts a customer's lines from the newest, and those beyond the limit have
-- left the history.
CREATE OR REPLACE TABLE lines AS
SELECT customer_id, item_id, item_key, time, day, quantity, amount, row_number() OVER (
    PARTITION BY customer_id ORDER BY time DESC, item_key DESC, quantity DESC, amount DESC
) AS place
FROM events
WHERE type IN ('purchase', 'return');

CREATE OR REPLACE TABLE history AS
SELECT * FROM lines WHERE place <= (SELECT history_limit FROM settings);

CREATE OR REPLACE TABLE evicted AS
SELECT
    customer_id,
    count(*) FILTER (quantity > 0) AS purchases,
    sum(quantity)::BIGINT AS quantity,
    sum(sign(quantity) * greatest(amount, 0))::BIGINT AS spend,
    min(time) FILTER (quantity > 0) AS first_at,
    max(time) FILTER (quantity > 0) AS last_at
FROM lines
WHERE place > (SELECT history_limit FROM settings)
GROUP BY customer_id;

-- What returns leave of each purchase in the history. Read purchases as opening and returns as closing brackets:
-- a unit is left if the balance never falls below it again.
CREATE OR REPLACE TABLE purchases AS
WITH steps AS (
    SELECT *, row_number() OVER (
        PARTITION BY customer_id, item_id ORDER BY time, quantity < 0, quantity, amount
    ) AS step
    FROM history
),
walks AS (
    SELECT *, sum(quantity) OVER (PARTITION BY customer_id, item_id ORDER BY step) AS walk FROM steps
),
balances AS (
    SELECT *, walk - least(0, min(walk) OVER (PARTITION BY customer_id, item_id ORDER BY step)) AS balance FROM walks
),
floors AS (
    SELECT *, min(balance) OVER (
        PARTITION BY customer_id, item_id ORDER BY step ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) AS lowest
    FROM balances
),
matched AS (
    SELECT *, least(greatest(lowest - (balance - quantity), 0), quantity)::BIGINT AS remaining
    FROM floors
    WHERE quantity > 0
)
SELECT
    customer_id, item_id, item_key, time, day, quantity AS bought, remaining AS quantity,
    greatest(amount, 0) * remaining // quantity AS amount
FROM matched
WHERE remaining > 0;
