-- Which features can be read off the embedding, and do their labels score higher?
-- By the correlation of the activation with that on the token alone; features that fire 20 times in the sample at least.
SELECT d.dictionary,
       CASE WHEN d.alone_correlation >= 0.9 THEN '.9 and more: the token alone' WHEN d.alone_correlation >= 0.5
            THEN '.5 to .9' ELSE 'below .5: the context' END AS read_off_the_token,
       count(*) AS features, round(median(f.token_entropy), 2) AS median_entropy,
       round(avg(c.score), 3) AS mean_score, round(median(d.alone_correlation), 3) AS median_correlation
FROM feature_diagnostics d JOIN features f USING (dictionary, feature)
LEFT JOIN feature_cards c ON c.dictionary = d.dictionary AND c.feature = d.feature
WHERE d.alone_correlation IS NOT NULL AND d.n_firing >= 20
GROUP BY d.dictionary, read_off_the_token
ORDER BY d.dictionary, median_correlation DESC;
