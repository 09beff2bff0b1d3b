-- Do the features of a dictionary explain better than baselines of the same density?
-- Feature by feature: each baseline feature against the one whose density it was given. Unmatched ones are left out here
-- (`autointerp compare` has the intervals, and says how many of all features have a score).
WITH pairs AS (
    SELECT d.matched_to AS dictionary, d.dictionary AS baseline, d.kind, f.matched_feature, f.feature
    FROM features f JOIN dictionaries d USING (dictionary)
    WHERE d.matched_to IS NOT NULL AND f.match_status = 'matched'
), scored_pairs AS (
    SELECT p.*, s.explainer, s.scorer, s.metric, s.design, s.value AS score, b.value AS baseline_score
    FROM pairs p
    JOIN score_table s ON s.dictionary = p.dictionary AND s.feature = p.matched_feature
    JOIN score_table b ON b.dictionary = p.baseline AND b.feature = p.feature AND b.explainer = s.explainer
         AND b.scorer = s.scorer AND b.metric = s.metric AND b.design = s.design
    WHERE NOT s.is_control
)
SELECT dictionary, baseline, kind, explainer, scorer, metric, design, count(*) AS n_pairs,
       count(score - baseline_score) AS n_both_scored, round(avg(score - baseline_score), 3) AS mean_difference,
       round(median(score - baseline_score), 3) AS median_difference,
       round(avg((score > baseline_score)::INTEGER), 3) AS share_better
FROM scored_pairs
GROUP BY dictionary, baseline, kind, explainer, scorer, metric, design
ORDER BY design, metric, explainer, scorer, dictionary, mean_difference DESC NULLS LAST;
