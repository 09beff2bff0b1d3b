-- Differences of dictionaries by one kind of score. Intervals hold for all pairs at once.
SELECT a, b, paired, n_a, n_b, difference, simultaneous_low, simultaneous_high, p_holm, verdict, scored_difference,
       scored_verdict, n_unscored_a, n_unscored_b, hangs_on_failures, detectable, margin, interval_over
FROM comparison_table s
WHERE s.explainer = $explainer AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
ORDER BY difference DESC NULLS LAST, a, b;
