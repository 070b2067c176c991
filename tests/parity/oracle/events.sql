-- Every accepted interaction once. A repeated event id of a customer counts again only when it arrives more than
-- the dedupe window after the one that was counted; rows that the store holds twice fall together the same way.
CREATE OR REPLACE TABLE events AS
WITH RECURSIVE occurrences AS (
    SELECT *, row_number() OVER (
        PARTITION BY customer_id, event_id ORDER BY arrival, "partition", "offset"
    ) AS occurrence
    FROM (
        SELECT DISTINCT ON (customer_id, event_id, "partition", "offset") *
        FROM interactions
    )
),
repeats AS (
    SELECT customer_id, event_id, occurrence, arrival FROM occurrences WHERE occurrence > 1
),
counted(customer_id, event_id, occurrence, arrival) AS (
    SELECT customer_id, event_id, occurrence, arrival FROM occurrences WHERE occurrence = 1
    UNION ALL
    SELECT later.customer_id, later.event_id, min(later.occurrence), arg_min(later.arrival, later.occurrence)
    FROM counted
    JOIN repeats AS later
      ON later.customer_id = counted.customer_id AND later.event_id = counted.event_id
     AND later.occurrence > counted.occurrence
     AND later.arrival - counted.arrival > (SELECT dedupe_window FROM settings)
    GROUP BY later.customer_id, later.event_id
)
SELECT
    o.customer_id, o.item_id, k.item_key, o.type, o.time, o.arrival, o.time // 86400000000 AS day,
    CASE WHEN o.type = 'return' THEN -o.quantity ELSE o.quantity END::BIGINT AS quantity,
    o.amount::BIGINT AS amount,
    CASE WHEN o.rating IS NULL OR isnan(o.rating) THEN o.quantity ELSE o.rating END::FLOAT AS weight
FROM occurrences AS o
SEMI JOIN counted AS c ON c.customer_id = o.customer_id AND c.event_id = o.event_id AND c.occurrence = o.occurrence
JOIN item_keys AS k ON k.item_id = o.item_id;
