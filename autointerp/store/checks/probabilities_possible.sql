-- Inclusion probabilities lie in (0, 1], hashes in [0, 1).
WITH probabilities AS (
    SELECT 'exemplar of ' || dictionary || '/' || feature AS name, probability, u FROM exemplars
    UNION ALL SELECT 'pool window ' || pool, NULL, u FROM pool
    UNION ALL SELECT 'class ' || class || ' of ' || dictionary || '/' || feature, n_class / size_class, NULL
        FROM simulations
    UNION ALL SELECT 'judgement of ' || dictionary || '/' || feature, nullif(probability, 0), NULL FROM judgements
    UNION ALL SELECT 'choice of ' || dictionary || '/' || feature, nullif(probability, 0), NULL FROM choices
    UNION ALL SELECT 'text for ' || dictionary || '/' || feature, nullif(reached, 0), NULL FROM generations
), judged AS (
    SELECT name, coalesce(NOT (probability > 0 AND probability <= 1 + 1e-9), false)
           OR coalesce(NOT (u >= 0 AND u < 1), false) AS wrong
    FROM probabilities
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
