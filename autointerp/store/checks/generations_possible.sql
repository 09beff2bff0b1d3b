-- A text that was read has an activation, and reaches something where the feature fires on it; any other has none.
WITH judged AS (
    SELECT dictionary || '/' || feature || ' ' || number AS which,
           (status = 'ok') <> (max_activation IS NOT NULL) OR (max_activation IS NULL) <> (reached IS NULL)
           OR max_activation < 0 OR (reached > 0 AND max_activation = 0) OR reached > 1
           OR (status = 'ok' AND (n_tokens < 1 OR text = '')) AS wrong
    FROM generations
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(which) FILTER (wrong) AS example FROM judged;
