-- Windows stand on the grid, positions rise inside them, and the peak is one of their places.
WITH judged AS (
    SELECT dictionary, feature, context,
           window_start % $window <> 0 OR peak NOT BETWEEN window_start AND window_start + $window - 1
           OR positions <> list_sort(list_distinct(positions)) OR coalesce(list_max(positions), 0) >= $window AS wrong
    FROM exemplars
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', context ' || context) FILTER (wrong) AS example
FROM judged;
