-- Weighted interactions by item and slot of five minutes: of the event's time, or of its arrival where that was earlier.
CREATE OR REPLACE TABLE attention AS
SELECT
    item_id, least(time, arrival) // 300000000 AS slot,
    sum(CASE type WHEN 'purchase' THEN 5 WHEN 'add_to_cart' THEN 3 ELSE 1 END) AS weight
FROM events
WHERE type IN ('view', 'click', 'add_to_cart', 'purchase')
GROUP BY ALL;

-- What is stored of each item that was looked at, put in a cart, bought or taken back.
CREATE OR REPLACE TABLE item_sums AS
WITH held AS (
    SELECT
        item_id, count(*) AS purchases, sum(quantity)::BIGINT AS quantity, sum(amount)::BIGINT AS spend,
        count(DISTINCT customer_id) AS buyers,
        count(DISTINCT (customer_id, day)) - count(DISTINCT customer_id) AS repeats
    FROM purchases
    GROUP BY item_id
),
dealt AS (
    SELECT item_id, max(day) FILTER (quantity > 0) AS newest_day FROM lines GROUP BY item_id
),
heated AS (
    SELECT item_id, max(slot) AS hot_slot FROM attention GROUP BY item_id
)
SELECT
    item_id,
    coalesce(h.purchases, 0) AS purchases,
    coalesce(h.quantity, 0) AS quantity,
    coalesce(h.spend, 0) AS spend,
    coalesce(h.buyers, 0) AS buyers,
    coalesce(h.repeats, 0) AS repeats,
    coalesce(d.newest_day, -2147483648) AS newest_day,
    coalesce(a.hot_slot, -2147483648) AS hot_slot
FROM dealt AS d
FULL JOIN heated AS a USING (item_id)
LEFT JOIN held AS h USING (item_id)
ORDER BY item_id;

CREATE OR REPLACE TABLE item_days AS
SELECT p.item_id, p.day, count(*) AS lines
FROM purchases AS p
JOIN item_sums AS s USING (item_id)
WHERE p.day > s.newest_day - 64
GROUP BY ALL;

CREATE OR REPLACE TABLE item_slots AS
SELECT a.item_id, a.slot, a.weight
FROM attention AS a
JOIN item_sums AS s USING (item_id)
WHERE a.slot > s.hot_slot - 32;

CREATE OR REPLACE TABLE trends AS
SELECT item_id, sum(weight * exp(-(now - slot) * 5 / 45)) AS trending
FROM item_slots, (SELECT as_of // 300000000 AS now FROM settings)
WHERE slot BETWEEN now - 31 AND now
GROUP BY item_id;
