-- How well does the sample of some 60 windows find the score that all tokens of the score split give?
-- Bias, and how often the interval holds it, lies above it and below it. A difference of 1e-9 is rounding.
SELECT s.dictionary, s.explainer, count(*) AS n_features, round(avg(s.value - c.value), 4) AS bias,
       round(stddev(s.value - c.value), 4) AS spread,
       round(avg(CAST(c.value BETWEEN s.ci_low - 1e-9 AND s.ci_high + 1e-9 AS INTEGER)), 3) AS coverage,
       round(avg(CAST(s.ci_low - 1e-9 > c.value AS INTEGER)), 3) AS above, round(avg(CAST(s.ci_high + 1e-9 < c.value AS INTEGER)), 3) AS below,
       round(avg(s.ci_high - s.ci_low), 3) AS width
FROM score_table s
JOIN score_table c USING (dictionary, feature, explainer, scorer)
WHERE s.metric = 'pearson_framed' AND s.design = 'sample' AND s.ci_low IS NOT NULL
  AND c.metric = 'pearson' AND c.design = 'census' AND c.value IS NOT NULL
  AND s.explainer IN ('lexical', 'context_lookup', 'token_lookup', 'shuffled')
GROUP BY ALL
ORDER BY s.explainer, s.dictionary;
