-- The share of each candidate's value of the attribute `wanted` in its customer's purchases.
SELECT coalesce(t.share, 0) AS share
FROM candidates AS c
LEFT JOIN item_values AS v ON v.item_id = c.item_id AND v.attribute = $wanted AND v.value <> ''
LEFT JOIN tastes AS t ON t.customer_id = c.customer_id AND t.attribute = v.attribute AND t.value = v.value
ORDER BY c.place;
