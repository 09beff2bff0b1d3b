-- Positions rise inside their window, the peak is one of its places, and random, T and F are windows of the grid.
WITH judged AS (
    SELECT e.dictionary, e.feature, context,
           e.n_tokens NOT BETWEEN 1 AND $window OR e.window_start < 0 OR e.window_start + e.n_tokens > len(c.tokens)
           OR e.peak NOT BETWEEN e.window_start AND e.window_start + e.n_tokens - 1
           OR e.positions <> list_sort(list_distinct(e.positions))
           OR coalesce(list_max(e.positions), 0) >= e.n_tokens
           OR (e.stratum IN ('random', 'T', 'F') AND (e.window_start % $window <> 0
               OR e.n_tokens <> least($window, len(c.tokens) - e.window_start))) AS wrong
    FROM exemplars e JOIN contexts c USING (context)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', context ' || context) FILTER (wrong) AS example
FROM judged;
