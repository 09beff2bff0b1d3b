-- The pools are cut from contexts of their splits, and all that is scored (simulations, judgements) from the score split.
WITH scored_windows AS (
    SELECT split || ' pool, window ' || pool AS name, context, split FROM pool
    UNION ALL SELECT DISTINCT 'simulation of ' || dictionary || '/' || feature, context, 'score' FROM simulations
    UNION ALL SELECT DISTINCT 'judgement of ' || dictionary || '/' || feature, context, 'score' FROM judgements
    UNION ALL SELECT DISTINCT 'choice of ' || dictionary || '/' || feature, context, 'score' FROM choices
), judged AS (
    SELECT name, c.split IS DISTINCT FROM s.split AS wrong FROM scored_windows s LEFT JOIN contexts c USING (context)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
