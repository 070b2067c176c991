-- Each customer's most purchased and last purchased value of the attribute `wanted`.
WITH tastes AS (
    SELECT p.customer_id, v.value, count(*) AS lines, max(p.time) AS last_at
    FROM purchases AS p
    JOIN item_values AS v ON v.item_id = p.item_id
    WHERE v.attribute = $wanted AND v.value <> ''
    GROUP BY ALL
)
SELECT
    customer_id,
    coalesce(first(t.value ORDER BY t.lines DESC, t.last_at DESC, t.value), '') AS most_purchased,
    coalesce(first(t.value ORDER BY t.last_at DESC, t.value), '') AS last_purchased
FROM (SELECT DISTINCT customer_id FROM events)
LEFT JOIN tastes AS t USING (customer_id)
GROUP BY customer_id
ORDER BY customer_id;
