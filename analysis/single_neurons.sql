-- Which features are single neurons?
-- Those whose activations correlate by .9 or more with one neuron of the nearest MLP, on a sample in which they fire 20
-- times at least. The strongest first; `of` says how many there are in the dictionary.
SELECT d.dictionary, d.feature, d.neuron_hook, d.neuron, round(d.neuron_correlation, 3) AS correlation,
       d.n_firing AS firings_in_sample, count(*) OVER (PARTITION BY d.dictionary) AS of, e.text AS label
FROM feature_diagnostics d
LEFT JOIN current_explanations e ON e.dictionary = d.dictionary AND e.feature = d.feature AND e.explainer = 'lexical'
WHERE abs(d.neuron_correlation) >= 0.9 AND d.n_firing >= 20
ORDER BY abs(d.neuron_correlation) DESC, d.dictionary, d.feature
LIMIT 30;
