-- Items' popularity on the UTC day of the instant `as_of`, and their trend in its five minutes.
WITH aged AS (
    SELECT item_id, lines, (SELECT as_of // 86400000000 FROM settings) - day AS age FROM item_days
),
windows AS (
    SELECT
        item_id,
        coalesce(sum(lines) FILTER (age <= 1), 0)::DOUBLE AS purchases_1d,
        coalesce(sum(lines) FILTER (age <= 7), 0)::DOUBLE AS purchases_7d,
        coalesce(sum(lines) FILTER (age <= 30), 0)::DOUBLE AS purchases_30d,
        sum(lines * exp(-age / 14)) AS time_weighted_purchases,
        min(age)::DOUBLE AS days_since_bought
    FROM aged
    WHERE age BETWEEN 0 AND 63
    GROUP BY item_id
)
SELECT
    s.item_id,
    coalesce(purchases_1d, 0) AS purchases_1d,
    coalesce(purchases_7d, 0) AS purchases_7d,
    coalesce(purchases_30d, 0) AS purchases_30d,
    coalesce(time_weighted_purchases, 0) AS time_weighted_purchases,
    s.purchases::DOUBLE AS item_purchases,
    s.buyers::DOUBLE AS buyers,
    s.repeats / greatest(s.purchases, 1) AS repeat_rate,
    coalesce(days_since_bought, 3650) AS days_since_bought,
    coalesce(purchases_7d / greatest(purchases_30d, 1), 0) AS momentum,
    CASE WHEN coalesce(i.price, -1) >= 0 THEN i.price ELSE s.spend / greatest(s.quantity, 1) END
        / 10::DOUBLE ** (SELECT currency_exponent FROM settings) AS price,
    coalesce(t.trending, 0) AS trending
FROM item_sums AS s
LEFT JOIN windows AS w USING (item_id)
LEFT JOIN trends AS t USING (item_id)
LEFT JOIN items AS i USING (item_id)
ORDER BY s.item_id;
