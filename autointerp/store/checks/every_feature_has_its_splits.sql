-- Every feature has one row in feature_splits for each split, and every such row has its feature.
WITH expected AS (
    SELECT dictionary, feature, token_splits.split FROM features CROSS JOIN token_splits
), found AS (
    SELECT dictionary, feature, split, count(*) AS n_rows FROM feature_splits GROUP BY ALL
), judged AS (
    SELECT dictionary, feature, split, e.feature IS NULL OR f.n_rows IS DISTINCT FROM 1 AS wrong
    FROM expected e FULL JOIN found f USING (dictionary, feature, split)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', ' || split) FILTER (wrong) AS example
FROM judged;
