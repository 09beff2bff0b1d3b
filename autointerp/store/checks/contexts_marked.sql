-- A context has one mark a token, and no special token is scored.
WITH places AS (
    SELECT context, unnest(tokens) AS token, unnest(scored) AS scored FROM contexts
), special AS (
    SELECT DISTINCT context FROM places JOIN vocab USING (token) WHERE scored AND is_special
), judged AS (
    SELECT context, len(tokens) <> len(scored) OR context IN (SELECT context FROM special) AS wrong FROM contexts
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, 'context ' || min(context) FILTER (wrong) AS example
FROM judged;
