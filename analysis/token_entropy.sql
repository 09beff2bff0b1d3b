-- Is a dictionary explained better than its baselines because its features are simpler?
-- The difference of mean scores among features of the same token entropy (nats of activation mass over tokens). Token
-- entropy is an outcome as much as a confounder: it is held fixed here, never adjusted away.
SELECT a, b, explainer, metric, design, nats AS entropy_from, n_a, n_b, round(mean_a, 3) AS mean_a,
       round(mean_b, 3) AS mean_b, round(difference, 3) AS difference
FROM entropy_strata
ORDER BY design, metric, explainer, a, b, nats;
