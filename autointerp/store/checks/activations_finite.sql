-- Stored activations are finite and not zero, one for each position.
WITH judged AS (
    SELECT dictionary, feature, context,
           len(positions) <> len(activations)
           OR len(list_filter(activations, lambda a: NOT isfinite(a) OR a = 0)) > 0 AS wrong
    FROM exemplars
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', context ' || context) FILTER (wrong) AS example
FROM judged;
