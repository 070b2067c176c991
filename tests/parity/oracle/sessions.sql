-- What each customer did in the session at the instant `as_of`: everything since the last pause of half an hour.
CREATE OR REPLACE TABLE session AS
WITH acts AS (
    SELECT customer_id, item_id, time, code, weight, 0 AS bought FROM recent
    UNION ALL
    SELECT customer_id, item_id, time, -1, 0, greatest(quantity, 0) FROM history
),
lately AS (
    SELECT a.*, coalesce(lead(time) OVER (PARTITION BY customer_id ORDER BY time), as_of) - time AS pause
    FROM acts AS a, settings
    WHERE time <= as_of AND time > as_of - 86400000000
),
over AS (
    SELECT customer_id, max(time) AS over_at FROM lately WHERE pause > 1800000000 GROUP BY customer_id
)
SELECT l.* FROM lately AS l LEFT JOIN over AS o USING (customer_id) WHERE o.over_at IS NULL OR l.time > o.over_at;

CREATE OR REPLACE TABLE session_items AS
SELECT
    customer_id, item_id,
    count(*) FILTER (code IN (1, 2)) AS views,
    sum(CASE code WHEN 3 THEN weight WHEN 4 THEN -weight ELSE 0 END) AS units,
    max(time) FILTER (code = 3) AS added_at,
    max(time) FILTER (bought > 0) AS bought_at
FROM session
GROUP BY customer_id, item_id;

CREATE OR REPLACE TABLE session_categories AS
SELECT s.customer_id, v.value, sum(s.views)::DOUBLE AS views
FROM session_items AS s
JOIN item_values AS v ON v.item_id = s.item_id AND v.attribute = (SELECT category FROM settings) AND v.value <> ''
GROUP BY s.customer_id, v.value;
