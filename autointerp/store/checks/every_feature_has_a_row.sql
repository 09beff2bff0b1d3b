-- An extracted dictionary has one row in features for each selected feature, dead ones too.
WITH extracted AS (
    SELECT dictionary, n_features, n_selected FROM dictionaries
    WHERE dictionary IN (SELECT dictionary FROM stages WHERE stage = 'extract' UNION SELECT dictionary FROM features)
), judged AS (
    SELECT d.dictionary, d.n_selected, count(f.feature) AS n_rows,
           n_rows <> d.n_selected OR count(DISTINCT f.feature) <> n_rows OR coalesce(min(f.feature), 0) < 0
           OR coalesce(max(f.feature), 0) >= d.n_features AS wrong
    FROM extracted d LEFT JOIN features f USING (dictionary)
    GROUP BY d.dictionary, d.n_features, d.n_selected
)
SELECT coalesce(sum(n_selected), 0)::BIGINT AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || ': ' || n_rows || ' rows for ' || n_selected || ' features') FILTER (wrong) AS example
FROM judged;
