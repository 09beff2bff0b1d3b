-- How well densities were matched on the score split.
SELECT dictionary AS a, baseline AS b, count(*) AS n, count(*) FILTER (within) AS n_within,
       count(*) FILTER (own_within) AS n_own_within,
       median(abs(n_firing_baseline - n_firing) / greatest(n_firing, 1)) AS off_by
FROM matched_pairs SEMI JOIN latest_works w ON w.dictionary = baseline GROUP BY ALL ORDER BY ALL;
