-- Features without a score, by the reason.
SELECT dictionary, explainer, scorer, metric, design, status, count(*) AS n
FROM score_table SEMI JOIN latest_works w USING (dictionary)
WHERE value IS NULL AND NOT is_control GROUP BY ALL ORDER BY ALL;
