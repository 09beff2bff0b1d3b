-- The items of a feature that stand for windows of the score split stand for all of them; the firing ones for those that fire.
WITH standing AS (
    SELECT run, dictionary, feature, explainer, scorer, sum(weight) AS windows, sum(weight) FILTER (fires) AS firing
    FROM judgements WHERE weight IS NOT NULL GROUP BY ALL
), judged AS (
    SELECT s.*, coalesce(s.windows - f.n_windows, 1) AS off, coalesce(s.firing - f.n_firing_windows, 1) AS off_firing,
           f.n_windows
    FROM standing s LEFT JOIN feature_splits f
         ON f.dictionary = s.dictionary AND f.feature = s.feature AND f.split = 'score'
)
SELECT count(*) AS n_checked,
       count(*) FILTER (greatest(abs(off), abs(off_firing)) > 1e-6 * greatest(n_windows, 1) + 1e-6) AS n_wrong,
       min(concat_ws(', ', dictionary || '/' || feature, explainer, scorer))
           FILTER (greatest(abs(off), abs(off_firing)) > 1e-6 * greatest(n_windows, 1) + 1e-6) AS example
FROM judged;
