-- A simulation has a truth and a prediction for each place of its window, all finite.
WITH judged AS (
    SELECT dictionary, feature, explainer, scorer,
           len(truth) <> len(scored) OR len(list_filter(truth, lambda x: NOT isfinite(x))) > 0
           OR (status = 'ok' AND (len(prediction) <> len(scored)
               OR len(list_filter(prediction, lambda x: NOT isfinite(x))) > 0)) AS wrong
    FROM simulations
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(concat_ws(', ', dictionary || '/' || feature, explainer, scorer)) FILTER (wrong) AS example
FROM judged;
