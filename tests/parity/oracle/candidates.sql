-- The pair, session and category columns of the pairs in the table `candidates`, in its order.
SELECT
    coalesce(p.pair_lines, 0) AS pair_lines,
    coalesce(p.pair_days, 0) AS pair_days,
    coalesce(p.pair_share_of_days, 0) AS pair_share_of_days,
    coalesce(p.pair_recency_days, 3650) AS pair_recency_days,
    coalesce(p.pair_interval_days, 0) AS pair_interval_days,
    coalesce(p.pair_rhythm, -1) AS pair_rhythm,
    coalesce(p.pair_trips_since, 0) AS pair_trips_since,
    coalesce(p.pair_decayed_20, 0) AS pair_decayed_20,
    coalesce(p.pair_decayed_90, 0) AS pair_decayed_90,
    coalesce(p.pair_reciprocal_rank, 0) AS pair_reciprocal_rank,
    coalesce(e.pair_engagement, 0) AS pair_engagement,
    coalesce(t.lines, 0)::DOUBLE AS category_lines,
    CASE WHEN t.last_at IS NULL THEN 3650 ELSE greatest(s.as_of - t.last_at, 0) / 86400e6 END AS category_recency_days,
    coalesce(1 / (1 + t.rank), 0) AS category_reciprocal_rank,
    coalesce(i.views, 0)::DOUBLE AS session_views,
    coalesce(i.units > 0 AND (i.bought_at IS NULL OR i.bought_at < i.added_at), false)::INT::DOUBLE AS session_in_cart,
    coalesce(y.views, 0) AS session_category_views,
    coalesce(h.trending, 0) AS trending
FROM candidates AS c
CROSS JOIN settings AS s
LEFT JOIN pairs AS p ON p.customer_id = c.customer_id AND p.item_id = c.item_id
LEFT JOIN engagements AS e ON e.customer_id = c.customer_id AND e.item_id = c.item_id
LEFT JOIN item_values AS v ON v.item_id = c.item_id AND v.attribute = s.category AND v.value <> ''
LEFT JOIN tastes AS t ON t.customer_id = c.customer_id AND t.attribute = v.attribute AND t.value = v.value
LEFT JOIN session_items AS i ON i.customer_id = c.customer_id AND i.item_id = c.item_id
LEFT JOIN session_categories AS y ON y.customer_id = c.customer_id AND y.value = v.value
LEFT JOIN trends AS h ON h.item_id = c.item_id
ORDER BY c.place;
