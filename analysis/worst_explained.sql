-- Which living features does their explanation predict worst, with confidence?
-- Labels of every explainer, as in best_explained. Ranked by the upper end of the interval: at best it is this bad.
SELECT s.dictionary, s.feature, s.explainer, s.design, round(s.value, 3) AS score, round(s.ci_low, 3) AS ci_low,
       round(s.ci_high, 3) AS ci_high, f.n_firing, round(f.token_entropy, 2) AS token_entropy, e.text AS explanation
FROM score_table s
JOIN features f ON f.dictionary = s.dictionary AND f.feature = s.feature AND f.status = 'alive'
JOIN current_explanations e ON e.dictionary = s.dictionary AND e.feature = s.feature AND e.explainer = s.explainer
WHERE is_label(s.explainer) AND s.value IS NOT NULL
  AND ((s.metric = 'pearson' AND s.design = 'census')
       OR (s.metric = 'pearson_framed' AND starts_with(s.scorer, 'simulation:') AND NOT contains(s.scorer, '@')))
ORDER BY coalesce(s.ci_high, s.value), s.value, s.dictionary, s.feature, s.explainer
LIMIT 25;
