-- Correlations and cosines lie in [-1, 1], and there is one exactly where the status says so.
WITH judged AS (
    SELECT dictionary || '/' || feature AS name,
           coalesce(NOT (abs(alone_correlation) <= 1), false) OR coalesce(NOT (abs(neuron_correlation) <= 1), false)
           OR d.n_firing > n_tokens OR (alone_correlation IS NULL AND alone_status = 'ok')
           OR (alone_correlation IS NOT NULL AND alone_status <> 'ok' AND alone_correlation <> 0)
           OR (neuron_correlation IS NULL) <> (neuron_status <> 'ok')
           OR (neuron IS NULL) <> (neuron_correlation IS NULL) OR (neuron_hook IS NULL) <> (neuron_status = 'no_mlp')
           OR len(alone) <> least(len(t.tokens), 32) OR len(list_filter(alone, lambda a: NOT isfinite(a))) > 0 AS wrong
    FROM feature_diagnostics d LEFT JOIN feature_tokens t USING (dictionary, feature)
    UNION ALL SELECT n.dictionary || '/' || feature || ', neighbour ' || rank,
           NOT (cosine > 0 AND cosine <= 1 + 1e-5) OR coalesce(NOT (abs(correlation) <= 1), false)
           OR (correlation IS NULL) <> (status <> 'ok') OR neighbour = feature
           OR neighbour NOT BETWEEN 0 AND d.n_features - 1
    FROM feature_neighbours n JOIN dictionaries d USING (dictionary)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
