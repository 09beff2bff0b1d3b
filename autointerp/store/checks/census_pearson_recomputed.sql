-- The census's Pearson correlation, computed again from the stored sums, is the stored score to 1e-9.
WITH sums AS (
    SELECT dictionary, feature, explainer, scorer, list_sum(n)::DOUBLE AS n, list_sum(t) AS t, list_sum(t2) AS t2,
           list_sum(p) AS p, list_sum(p2) AS p2, list_sum(tp) AS tp
    FROM score_moments JOIN feature_blocks USING (dictionary, feature)
), correlations AS (
    SELECT dictionary, feature, explainer, scorer,
           (n * tp - t * p) / sqrt((n * t2 - t * t) * (n * p2 - p * p)) AS pearson
    FROM sums
), judged AS (
    SELECT dictionary, feature, explainer, scorer, abs(s.value - c.pearson) <= 1e-9 IS NOT TRUE AS wrong
    FROM score_table s LEFT JOIN correlations c USING (dictionary, feature, explainer, scorer)
    WHERE s.metric = 'pearson' AND s.design = 'census' AND s.status IN ('ok', 'few_documents', 'underpowered')
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(concat_ws(', ', dictionary || '/' || feature, explainer, scorer)) FILTER (wrong) AS example
FROM judged;
