-- No window of which an explainer is shown a token stands, token for token, in a context of the select or score split.
WITH places AS (
    SELECT context, split, generate_subscripts(tokens, 1) - 1 AS place, unnest(tokens) AS token,
           unnest(scored) AS scored
    FROM contexts
), windows AS (
    SELECT context, split, place // $window AS number, list(token ORDER BY place) AS tokens
    FROM places WHERE scored GROUP BY ALL
), windows_shown AS (
    SELECT DISTINCT context, unnest([window_start, window_start + n_tokens - 1]) // $window AS number
    FROM exemplars WHERE split = 'explain'
), judged AS (
    SELECT context, number, tokens IN (SELECT tokens FROM windows WHERE split <> 'explain') AS wrong
    FROM windows JOIN windows_shown USING (context, number)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min('context ' || context || ', window ' || number) FILTER (wrong) AS example
FROM judged;
