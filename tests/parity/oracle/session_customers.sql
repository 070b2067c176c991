-- How long and how lively each customer's session is.
SELECT
    customer_id,
    count(s.time)::DOUBLE AS session_events,
    coalesce((any_value(as_of) - min(s.time)) / 60e6, 0) AS session_minutes
FROM (SELECT DISTINCT customer_id FROM events)
CROSS JOIN settings
LEFT JOIN session AS s USING (customer_id)
GROUP BY customer_id
ORDER BY customer_id;
