-- Everything that is scored (pool, simulations, judgements) is cut from contexts of the score split.
WITH scored_windows AS (
    SELECT 'pool window ' || pool AS name, context FROM pool
    UNION ALL SELECT DISTINCT 'simulation of ' || dictionary || '/' || feature, context FROM simulations
    UNION ALL SELECT DISTINCT 'judgement of ' || dictionary || '/' || feature, context FROM judgements
), judged AS (
    SELECT name, c.split IS DISTINCT FROM 'score' AS wrong FROM scored_windows LEFT JOIN contexts c USING (context)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
