-- Matched pairs of features whose scores differ most, $most of each baseline.
SELECT d.matched_to AS a, f.matched_feature AS feature_a, d.dictionary AS b, f.feature AS feature_b,
       x.value AS score_a, y.value AS score_b, x.value - y.value AS difference, k.text AS text_a, m.text AS text_b
FROM dictionaries d JOIN features f USING (dictionary)
JOIN score_table x ON x.dictionary = d.matched_to AND x.feature = f.matched_feature
JOIN score_table y ON y.dictionary = d.dictionary AND y.feature = f.feature AND y.explainer = x.explainer
     AND y.scorer = x.scorer AND y.metric = x.metric AND y.design = x.design
LEFT JOIN current_explanations k ON k.dictionary = x.dictionary AND k.feature = x.feature AND k.explainer = x.explainer
LEFT JOIN current_explanations m ON m.dictionary = y.dictionary AND m.feature = y.feature AND m.explainer = y.explainer
SEMI JOIN latest_works w ON w.dictionary = d.dictionary
WHERE f.match_status = 'matched' AND d.natural_of IS NULL AND x.explainer = $explainer AND x.scorer = $scorer
      AND x.metric = $metric AND x.design = $design AND x.value IS NOT NULL AND y.value IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY d.dictionary ORDER BY abs(x.value - y.value) DESC, f.feature) <= $most
ORDER BY a, b, abs(x.value - y.value) DESC, feature_b;
