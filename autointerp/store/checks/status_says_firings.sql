-- A feature is dead without firings on the explain split, rare with fewer than 20, else alive.
WITH judged AS (
    SELECT dictionary, feature,
           status <> CASE WHEN n_firing = 0 THEN 'dead' WHEN n_firing < $rare_below THEN 'rare' ELSE 'alive' END AS wrong
    FROM features
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature) FILTER (wrong) AS example
FROM judged;
