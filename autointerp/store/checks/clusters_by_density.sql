-- A feature that fires is in the ultralow cluster exactly where its density is below the dictionary's limit.
WITH judged AS (
    SELECT f.dictionary, f.feature,
           d.density_cluster IS DISTINCT FROM CASE WHEN f.n_firing = 0 THEN NULL
               WHEN f.density < d.ultralow_below THEN 'ultralow' ELSE 'main' END
           OR d.ultralow_below IS DISTINCT FROM first(d.ultralow_below) OVER (PARTITION BY f.dictionary) AS wrong
    FROM feature_diagnostics d JOIN features f USING (dictionary, feature)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature) FILTER (wrong) AS example
FROM judged;
