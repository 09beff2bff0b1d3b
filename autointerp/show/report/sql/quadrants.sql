-- The same of all features, counted by whether each score reaches its cut.
SELECT i.dictionary, count(*) AS n, count(*) FILTER (i.value >= $input_cut AND o.value >= $output_cut) AS both,
       count(*) FILTER (i.value >= $input_cut AND o.value < $output_cut) AS input_only,
       count(*) FILTER (i.value < $input_cut AND o.value >= $output_cut) AS output_only,
       count(*) FILTER (i.value < $input_cut AND o.value < $output_cut) AS neither
FROM score_table i JOIN score_table o USING (dictionary, feature, explainer) SEMI JOIN latest_works w USING (dictionary)
WHERE explainer = $explainer AND i.scorer = $scorer AND i.metric = $metric AND i.design = $design
      AND o.scorer = $output_scorer AND o.metric = $output_metric AND i.value IS NOT NULL AND o.value IS NOT NULL
GROUP BY i.dictionary ORDER BY i.dictionary;
