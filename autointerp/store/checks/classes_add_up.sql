-- The classes of a sample stand for all windows of the score split, and n_class is the number drawn.
WITH classes AS (
    SELECT run, dictionary, feature, explainer, scorer, class, any_value(size_class) AS size_class,
           count(*) <> any_value(n_class) OR min(n_class) <> max(n_class) OR min(size_class) <> max(size_class) AS wrong
    FROM simulations GROUP BY ALL
), samples AS (
    SELECT run, dictionary, feature, explainer, scorer, sum(size_class) AS n_windows, bool_or(wrong) AS wrong
    FROM classes GROUP BY ALL
), judged AS (
    SELECT dictionary, feature, explainer, scorer,
           m.wrong OR abs(m.n_windows - s.n_windows) <= 1e-6 * s.n_windows IS NOT TRUE AS wrong
    FROM samples m LEFT JOIN (FROM feature_splits WHERE split = 'score') s USING (dictionary, feature)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(concat_ws(', ', dictionary || '/' || feature, explainer, scorer)) FILTER (wrong) AS example
FROM judged;
