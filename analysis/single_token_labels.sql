-- Which features are labelled by a single token, and is that label enough? (Planted ones left out.)
-- Single: the lookup behind the explanation has one token, whatever stands before it.
SELECT e.dictionary, e.feature, e.explainer, v.text AS token, round(f.single_token_share, 3) AS share_of_its_mass,
       round(s.value, 3) AS score, round(s.ci_low, 3) AS ci_low, round(s.ci_high, 3) AS ci_high, e.text AS explanation
FROM current_explanations e
JOIN lookups l ON l.lookup = e.lookup AND len(list_distinct(l.tokens)) = 1
JOIN vocab v ON v.token = l.tokens[1]
JOIN features f ON f.dictionary = e.dictionary AND f.feature = e.feature
LEFT JOIN score_table s ON s.dictionary = e.dictionary AND s.feature = e.feature AND s.explainer = e.explainer
     AND s.metric = 'pearson' AND s.design = 'census'
JOIN dictionaries d ON d.dictionary = e.dictionary AND d.kind <> 'planted'
WHERE is_label(e.explainer)
ORDER BY s.value DESC NULLS LAST, e.dictionary, e.feature, e.explainer;
