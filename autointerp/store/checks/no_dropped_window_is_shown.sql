-- What is shown to an explainer holds scored and special tokens only: nothing of a window that was dropped.
WITH shown AS (
    SELECT DISTINCT context, window_start, n_tokens FROM exemplars WHERE split = 'explain'
), special AS (
    SELECT list(token) AS tokens FROM vocab WHERE is_special
), judged AS (
    SELECT context, window_start,
           len(list_filter(generate_series(window_start + 1, window_start + n_tokens),
               lambda i: NOT c.scored[i] AND NOT list_contains(special.tokens, c.tokens[i]))) > 0 AS wrong
    FROM shown JOIN contexts c USING (context), special
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min('context ' || context || ', from place ' || window_start) FILTER (wrong) AS example
FROM judged;
