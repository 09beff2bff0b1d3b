-- Differences among features of the same token entropy, in nats; 4: and above.
SELECT a, b, nats, n_a, n_b, mean_a, mean_b, difference FROM entropy_strata s
WHERE s.explainer = $explainer AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
      AND difference IS NOT NULL
ORDER BY a, b, nats;
