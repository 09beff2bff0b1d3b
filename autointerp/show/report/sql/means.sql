-- Means over features of one kind of score, with the floor and what matched random directions get.
SELECT s.dictionary, s.kind, s.mean_all, s.mean_all_low, s.mean_all_high, s.floor, s.excess AS over_floor, r.random,
       r.random_mean, r.excess AS over_random, r.simultaneous_low AS over_random_low,
       r.simultaneous_high AS over_random_high, s.mean, s.ci_low, s.ci_high, s.n_scored, s.n_features, s.n_failed
FROM dictionary_summary s LEFT JOIN excess_over_random r USING (dictionary, explainer, scorer, metric, design)
SEMI JOIN latest_works w USING (dictionary)
WHERE s.explainer = $explainer AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
ORDER BY coalesce(s.mean_all, s.mean) DESC NULLS LAST, s.dictionary;
