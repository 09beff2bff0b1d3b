-- A score has a value if and only if its status is ok, constant, few_documents, underpowered or fewer; that of constant is 0.
WITH judged AS (
    SELECT dictionary, feature, explainer, scorer, metric,
           (value IS NULL) = (status IN ('ok', 'constant', 'few_documents', 'underpowered', 'fewer'))
           OR (status = 'constant' AND value <> 0) OR NOT coalesce(isfinite(value), true)
           OR n < 0 OR n_failed < 0 OR (status = 'few_documents' AND ci_low IS NOT NULL)
           OR (value IS NULL AND (ci_low IS NOT NULL OR ci_high IS NOT NULL)) AS wrong
    FROM scores
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(concat_ws(', ', dictionary || '/' || feature, explainer, scorer, metric)) FILTER (wrong) AS example
FROM judged;
