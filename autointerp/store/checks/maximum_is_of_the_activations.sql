-- An exemplar's max_activation is the largest of its activations (0 where silent), and none exceeds its feature's.
WITH judged AS (
    SELECT e.dictionary, e.feature, e.context,
           coalesce(list_max(e.activations), 0) IS DISTINCT FROM e.max_activation::FLOAT
           OR e.max_activation > s.max_activation * (1 + 1e-3) AS wrong
    FROM exemplars e LEFT JOIN feature_splits s USING (dictionary, feature, split)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', context ' || context) FILTER (wrong) AS example
FROM judged;
