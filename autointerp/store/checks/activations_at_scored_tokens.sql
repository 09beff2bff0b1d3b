-- Activations stand only at scored tokens of their context.
WITH judged AS (
    SELECT e.dictionary, e.feature, e.context,
           len(list_filter(e.positions, lambda p: c.scored[e.window_start + p + 1] IS NOT TRUE)) > 0 AS wrong
    FROM exemplars e JOIN contexts c USING (context)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', context ' || context) FILTER (wrong) AS example
FROM judged;
