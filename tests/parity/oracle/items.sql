-- What is stored of each item of which any purchase or return was accepted.
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
)
SELECT
    item_id,
    coalesce(h.purchases, 0) AS purchases,
    coalesce(h.quantity, 0) AS quantity,
    coalesce(h.spend, 0) AS spend,
    coalesce(h.buyers, 0) AS buyers,
    coalesce(h.repeats, 0) AS repeats,
    coalesce(d.newest_day, -2147483648) AS newest_day
FROM dealt AS d
LEFT JOIN held AS h USING (item_id)
ORDER BY item_id;

CREATE OR REPLACE TABLE item_days AS
SELECT p.item_id, p.day, count(*) AS lines
FROM purchases AS p
JOIN item_sums AS s USING (item_id)
WHERE p.day > s.newest_day - 64
GROUP BY ALL;
