-- Scores beside density, token entropy and description length, of $most features of each dictionary, drawn by hash.
SELECT s.dictionary, s.feature, s.value, f.density, f.token_entropy, e.description_length
FROM score_table s JOIN features f USING (dictionary, feature) SEMI JOIN latest_works w USING (dictionary)
LEFT JOIN current_explanations e ON e.dictionary = s.dictionary AND e.feature = s.feature AND e.explainer = s.explainer
WHERE s.explainer = $explainer AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
      AND s.value IS NOT NULL AND s.status <> 'underpowered'
QUALIFY row_number() OVER (PARTITION BY s.dictionary ORDER BY hash(s.feature)) <= $most
ORDER BY s.dictionary, s.feature;
