-- Customer x value of each attribute at the instant `as_of`. Values are ranked by weight; ties go to the value that
-- the catalogue showed first. Items without a value count as one value, '', which no candidate has.
CREATE OR REPLACE TABLE tastes AS
WITH shown AS (
    SELECT v.attribute, v.value, min(CASE WHEN v.value = '' THEN -1 ELSE i.catalogue_row END) AS first_shown
    FROM item_values AS v
    JOIN items AS i USING (item_id)
    GROUP BY v.attribute, v.value
),
grouped AS (
    SELECT
        k.customer_id, v.attribute, v.value, count(*) AS lines, max(k.time) AS last_at,
        sum(k.weight_90 ORDER BY k.place) AS weight
    FROM known AS k
    JOIN item_values AS v USING (item_id)
    GROUP BY ALL
),
totals AS (
    SELECT customer_id, sum(weight_90) AS total FROM known GROUP BY customer_id
)
SELECT
    g.customer_id, g.attribute, g.value, g.lines, g.last_at, g.weight / t.total AS share,
    row_number() OVER (PARTITION BY g.customer_id, g.attribute ORDER BY g.weight DESC, s.first_shown) - 1 AS rank
FROM grouped AS g
JOIN totals AS t USING (customer_id)
JOIN shown AS s ON s.attribute = g.attribute AND s.value = g.value;
