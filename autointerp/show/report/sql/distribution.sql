-- Scores in bins of $width.
SELECT dictionary, floor(value / $width) * $width AS bin, count(*) AS n
FROM score_table s SEMI JOIN latest_works w USING (dictionary)
WHERE s.explainer = $explainer AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
      AND value IS NOT NULL AND status <> 'underpowered'
GROUP BY ALL ORDER BY ALL;
