-- Recency, frequency, monetary value at the instant `as_of`; expects the table `customers`.
SELECT
    customer_id,
    CASE WHEN never THEN 3650 ELSE greatest(as_of - last_purchase_at, 0) / 86400e6 END AS recency_days,
    CASE
        WHEN shopping_days > 1 THEN (last_purchase_at - first_purchase_at) / 86400e6 / (shopping_days - 1)
        WHEN never THEN 3650
        ELSE 0
    END::DOUBLE AS frequency_days,
    spend / 10::DOUBLE ** currency_exponent / greatest(shopping_days, 1) AS monetary,
    purchases / greatest(shopping_days, 1) AS basket_size,
    purchases::DOUBLE AS customer_purchases,
    shopping_days::DOUBLE AS shopping_days,
    CASE WHEN never THEN 3650 ELSE greatest(as_of - first_purchase_at, 0) / 86400e6 END AS tenure_days
FROM (SELECT *, last_purchase_at = 0 AS never FROM customers), settings
ORDER BY customer_id;
