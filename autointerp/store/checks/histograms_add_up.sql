-- Both histograms of a feature hold the same firings, all of them where none is negative.
WITH judged AS (
    SELECT dictionary, feature, split,
           coalesce(list_sum(histogram_linear), 0) <> coalesce(list_sum(histogram_log), 0)
           OR coalesce(list_sum(histogram_linear), 0) > n_firing OR len(histogram_linear) <> 16
           OR (n_firing > 0 AND max_activation > 0 AND max_activation >= histogram_upper) AS wrong
    FROM feature_splits
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', ' || split) FILTER (wrong) AS example
FROM judged;
