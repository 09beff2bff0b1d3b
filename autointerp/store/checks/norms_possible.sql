-- Every dictionary's hook has its norms; the limit is so many times the median, and what is said of outliers fits to it.
WITH judged AS (
    SELECT d.hook, h.hook IS NULL OR abs(h.norm_limit - h.multiple * h.median) > 1e-3 * h.norm_limit
           OR h.n_outliers NOT BETWEEN 0 AND h.n_tokens OR (h.n_outliers > 0) <> (h.largest > h.norm_limit)
           OR h.variance_share NOT BETWEEN 0 AND 1 OR h.participation < 0 OR h.participation_all < 0
           OR d.norm_limit <> h.norm_limit AS wrong
    FROM dictionaries d LEFT JOIN hook_norms h USING (hook)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(hook) FILTER (wrong) AS example FROM judged;
