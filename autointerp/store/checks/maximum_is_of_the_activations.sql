-- No activation of an exemplar exceeds the largest of its feature on that split.
WITH judged AS (
    SELECT e.dictionary, e.feature, e.context,
           (e.max_activation <= s.max_activation * (1 + 1e-3)) IS NOT TRUE AS wrong
    FROM exemplars e LEFT JOIN feature_splits s USING (dictionary, feature, split)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', context ' || context) FILTER (wrong) AS example
FROM judged;
