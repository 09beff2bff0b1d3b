-- What share of each dictionary never fires, or hardly, and what does leaving it out do to the mean score?
WITH shares AS (
    SELECT d.dictionary, d.kind, count(*) AS n_features, avg((f.status = 'dead')::INTEGER) AS dead,
           avg((f.status = 'rare')::INTEGER) AS rare, median(f.density) AS median_density
    FROM dictionaries d JOIN features f USING (dictionary)
    GROUP BY d.dictionary, d.kind
)
SELECT s.dictionary, s.kind, s.n_features, round(s.dead, 3) AS dead_share, round(s.rare, 3) AS rare_share,
       s.median_density, round(m.mean, 3) AS mean_of_scored, round(m.mean_all, 3) AS mean_with_unscored_at_floor
FROM shares s
LEFT JOIN dictionary_summary m ON m.dictionary = s.dictionary AND m.explainer = 'lexical' AND m.metric = 'pearson'
     AND m.design = 'census'
ORDER BY s.dead DESC, s.dictionary;
