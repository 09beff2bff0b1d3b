-- The dictionaries of the latest run.
SELECT d.dictionary, d.kind, d.hook, d.n_features, d.n_selected, d.matched_to,
       count(*) FILTER (f.status = 'alive') AS alive, count(*) FILTER (f.status = 'rare') AS rare,
       count(*) FILTER (f.status = 'dead') AS dead,       median(f.density) FILTER (f.n_firing > 0) AS median_density
FROM dictionaries d JOIN features f USING (dictionary) SEMI JOIN latest_works w USING (dictionary)
GROUP BY ALL ORDER BY d.dictionary;
