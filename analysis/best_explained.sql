-- Which features are explained best, and by what? (Planted ones, known by construction, left out.)
-- Every label's score over all tokens where its explainer has a lookup, else from the judge's sample of windows. Ranked by
-- the lower end of the interval, so that a feature with few firings does not lead by luck.
SELECT s.dictionary, s.feature, s.explainer, s.design, round(s.value, 3) AS score, round(s.ci_low, 3) AS ci_low,
       round(s.ci_high, 3) AS ci_high, f.n_firing, e.text AS explanation, f.promoted[1:5] AS promoted
FROM score_table s
JOIN feature_cards f ON f.dictionary = s.dictionary AND f.feature = s.feature AND f.kind <> 'planted'
JOIN current_explanations e ON e.dictionary = s.dictionary AND e.feature = s.feature AND e.explainer = s.explainer
WHERE is_label(s.explainer) AND s.value IS NOT NULL
  AND ((s.metric = 'pearson' AND s.design = 'census')
       OR (s.metric = 'pearson_framed' AND starts_with(s.scorer, 'simulation:') AND NOT contains(s.scorer, '@')))
ORDER BY s.ci_low DESC NULLS LAST, s.value DESC, s.dictionary, s.feature, s.explainer
LIMIT 25;
