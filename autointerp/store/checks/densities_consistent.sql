-- density is n_firing / n_tokens, and features agrees with the explain split of feature_splits.
WITH judged AS (
    SELECT s.dictionary, s.feature, s.split,
           abs(s.density - coalesce(s.n_firing / nullif(s.n_tokens, 0), 0)) > 1e-12 OR s.n_firing > s.n_tokens
           OR s.n_firing_outliers NOT BETWEEN 0 AND s.n_firing
           OR s.n_firing_windows > least(s.n_windows, s.n_firing) OR (s.n_firing > 0) <> (s.n_firing_windows > 0)
           OR NOT isfinite(s.mean) OR NOT isfinite(s.variance) OR NOT isfinite(s.max_activation)
           OR (s.split = 'explain' AND (f.density <> s.density OR f.n_firing <> s.n_firing OR f.n_tokens <> s.n_tokens
               OR f.max_activation <> s.max_activation)) AS wrong
    FROM feature_splits s JOIN features f USING (dictionary, feature)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', ' || split) FILTER (wrong) AS example
FROM judged;
