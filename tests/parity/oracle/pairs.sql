-- Customer x item at the instant `as_of`, over items of the catalogue only.
CREATE OR REPLACE TABLE known AS
SELECT
    p.customer_id, p.item_id, i.catalogue_row, p.time, p.day,
    exp(-greatest(as_of - p.time, 0) / 86400e6 / 20) AS weight_20,
    exp(-greatest(as_of - p.time, 0) / 86400e6 / 90) AS weight_90,
    row_number() OVER (PARTITION BY p.customer_id ORDER BY p.time, p.item_key, p.bought, p.amount) AS place
FROM purchases AS p
JOIN items AS i USING (item_id), settings;

CREATE OR REPLACE TABLE trips AS
SELECT customer_id, day, row_number() OVER (PARTITION BY customer_id ORDER BY day) AS trip
FROM (SELECT DISTINCT customer_id, day FROM known);

CREATE OR REPLACE TABLE pairs AS
WITH grouped AS (
    SELECT
        customer_id, item_id, catalogue_row, count(*) AS lines, count(DISTINCT day) AS days,
        min(time) AS first_at, max(time) AS last_at, max(day) AS last_day,
        -- In one order, so that equal histories weigh the same to the last bit and ties are ties.
        sum(weight_20 ORDER BY place) AS decayed_20, sum(weight_90 ORDER BY place) AS decayed_90
    FROM known
    GROUP BY customer_id, item_id, catalogue_row
),
totals AS (
    SELECT customer_id, count(*) AS shopping_days FROM trips GROUP BY customer_id
),
measured AS (
    SELECT
        g.*, t.shopping_days, t.shopping_days - last_trip.trip AS trips_since,
        row_number() OVER (PARTITION BY g.customer_id ORDER BY decayed_90 DESC, catalogue_row) - 1 AS rank,
        greatest(as_of - last_at, 0) / 86400e6 AS recency,
        CASE WHEN days > 1 THEN (last_at - first_at) / 86400e6 / (days - 1) END AS gap
    FROM grouped AS g
    JOIN totals AS t USING (customer_id)
    JOIN trips AS last_trip ON last_trip.customer_id = g.customer_id AND last_trip.day = g.last_day, settings
)
SELECT
    customer_id, item_id,
    lines::DOUBLE AS pair_lines,
    days::DOUBLE AS pair_days,
    days / shopping_days AS pair_share_of_days,
    recency AS pair_recency_days,
    coalesce(gap, 0) AS pair_interval_days,
    CASE WHEN gap IS NULL THEN -1 ELSE least(recency / greatest(gap, 1e-9), 10) END AS pair_rhythm,
    trips_since::DOUBLE AS pair_trips_since,
    decayed_20 AS pair_decayed_20,
    decayed_90 AS pair_decayed_90,
    1 / (1 + rank) AS pair_reciprocal_rank
FROM measured;
