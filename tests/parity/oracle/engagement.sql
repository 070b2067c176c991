-- The latest interactions that are no purchases, and how much each weighs at the instant `as_of`.
CREATE OR REPLACE TABLE recent AS
SELECT * FROM (
    SELECT
        e.customer_id, e.item_id, e.item_key, e.time, k.code, e.weight, k.engagement,
        row_number() OVER (
            PARTITION BY e.customer_id ORDER BY e.time DESC, e.item_key DESC, k.code DESC, e.weight DESC
        ) AS place
    FROM events AS e
    JOIN (
        VALUES ('view', 1, 1.0), ('click', 2, 1.0), ('add_to_cart', 3, 3.0), ('remove_from_cart', 4, -3.0),
               ('rating', 7, 1.0)
    ) AS k(type, code, engagement) USING (type)
)
WHERE place <= (SELECT recent_limit FROM settings);

CREATE OR REPLACE TABLE engagements AS
SELECT
    customer_id, item_id,
    greatest(sum(engagement * exp(-greatest(as_of - time, 0) / 86400e6) ORDER BY place DESC), 0) AS pair_engagement
FROM recent, settings
GROUP BY customer_id, item_id;
