-- Are frequent features explained better than rare ones?
-- Features by decade of firing density (explain split), the lexical explainer, Pearson over the whole score split.
SELECT dictionary, floor(log10(density))::INTEGER AS log10_density, count(*) AS n_features, count(score) AS n_scored,
       round(avg(score), 3) AS mean, round(quantile_cont(score, 0.1), 3) AS tenth_percentile,
       round(median(score), 3) AS median, round(quantile_cont(score, 0.9), 3) AS ninetieth_percentile
FROM feature_cards
WHERE density > 0
GROUP BY dictionary, log10_density
ORDER BY dictionary, log10_density;
