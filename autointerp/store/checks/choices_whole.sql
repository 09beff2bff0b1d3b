-- A question has five options of five windows, one of them right; all of them are answered or none is.
WITH questions AS (
    SELECT dictionary || '/' || feature || ' ' || scorer || ' ' || question AS which, list_sort(list(option)) AS options,
           count(DISTINCT (context, window_start)) AS n_windows, count(*) FILTER (is_right) AS n_right,
           count(probability) AS n_answered, count(*) FILTER (status = 'ok') AS n_ok
    FROM choices GROUP BY run, dictionary, feature, explainer, scorer, question
), judged AS (
    SELECT which, options <> [1, 2, 3, 4, 5] OR n_windows <> 5 OR n_right <> 1 OR n_answered NOT IN (0, 5)
                  OR n_answered <> n_ok AS wrong
    FROM questions
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(which) FILTER (wrong) AS example FROM judged;
