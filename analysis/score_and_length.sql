-- Which descriptions predict much for their length? Mean score beside mean description length, the shortest first.
-- Length: a quarter of the UTF-8 bytes of the text; a table's numbers, too (ceilings: no labels). `per_doubling`: what the
-- score gains over the next shorter description of the same dictionary, for each doubling of the length.
WITH beside AS (
    SELECT *, lag(mean_score) OVER shorter AS score_before, lag(mean_length) OVER shorter AS length_before
    FROM score_by_length WHERE NOT is_control
    WINDOW shorter AS (PARTITION BY dictionary, scorer, metric, design ORDER BY mean_length, explainer)
)
SELECT dictionary, scorer, metric, design, explainer, is_ceiling, n_scored, round(mean_score, 3) AS mean_score,
       round(mean_length, 1) AS mean_length, round(mean_entries, 1) AS mean_entries,
       round((mean_score - score_before) / nullif(log2(mean_length / length_before), 0), 3) AS per_doubling
FROM beside
ORDER BY design, metric <> 'pearson', metric, scorer, dictionary, mean_length, explainer;
