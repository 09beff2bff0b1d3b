-- The verdicts of every metric of an explainer.
SELECT a, b, explainer, scorer, metric, design, difference, simultaneous_low, simultaneous_high, verdict
FROM comparison_table WHERE explainer = $explainer ORDER BY a, b, scorer, metric, design;
