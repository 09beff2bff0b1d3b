-- Prediction-powered means of one kind of score.
SELECT dictionary, predictor, n, n_all, sample_mean, mean, ci_low, ci_high, slope, correlation, as_good_as
FROM powered_mean_table s SEMI JOIN latest_works w USING (dictionary)
WHERE s.explainer = $explainer AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
ORDER BY dictionary;
