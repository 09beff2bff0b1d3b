-- score_table has each feature, explainer, scorer, metric and design once.
WITH counted AS (
    SELECT dictionary, feature, explainer, scorer, metric, design, count(*) > 1 AS wrong FROM score_table GROUP BY ALL
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(concat_ws(', ', dictionary || '/' || feature, explainer, scorer, metric, design)) FILTER (wrong) AS example
FROM counted;
