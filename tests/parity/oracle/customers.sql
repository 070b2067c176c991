-- What is stored of each customer of whom any event was accepted.
WITH held AS (
    SELECT
        customer_id, count(*) AS purchases, sum(quantity)::BIGINT AS quantity, sum(amount)::BIGINT AS spend,
        count(DISTINCT day) AS shopping_days, min(time) AS first_at, max(time) AS last_at
    FROM purchases
    GROUP BY customer_id
)
SELECT
    customer_id,
    coalesce(h.purchases, 0) + coalesce(e.purchases, 0) AS purchases,
    coalesce(h.quantity, 0) + coalesce(e.quantity, 0) AS quantity,
    coalesce(h.spend, 0) + coalesce(e.spend, 0) AS spend,
    coalesce(h.shopping_days, 0) AS shopping_days,
    coalesce(least(h.first_at, e.first_at), 0) AS first_purchase_at,
    coalesce(greatest(h.last_at, e.last_at), 0) AS last_purchase_at
FROM (SELECT DISTINCT customer_id FROM events)
LEFT JOIN held AS h USING (customer_id)
LEFT JOIN evicted AS e USING (customer_id)
ORDER BY customer_id;
