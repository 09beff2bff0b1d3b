-- Mean score of each tenth of the features, by density, token entropy or description length: $covariate.
WITH placed AS (
    SELECT s.dictionary, s.value,
           CASE $covariate WHEN 'density' THEN f.density WHEN 'token_entropy' THEN f.token_entropy
                ELSE e.description_length END AS x
    FROM score_table s JOIN features f USING (dictionary, feature) SEMI JOIN latest_works w USING (dictionary)
    LEFT JOIN current_explanations e ON e.dictionary = s.dictionary AND e.feature = s.feature
              AND e.explainer = s.explainer
    WHERE s.explainer = $explainer AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
          AND s.value IS NOT NULL AND s.status <> 'underpowered' AND x IS NOT NULL
), cut AS (
    SELECT *, ntile(10) OVER (PARTITION BY dictionary ORDER BY x) AS tenth FROM placed
)
SELECT dictionary, tenth, count(*) AS n, avg(x) AS x, avg(value) AS score FROM cut GROUP BY ALL ORDER BY ALL;
