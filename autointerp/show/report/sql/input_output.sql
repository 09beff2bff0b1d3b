-- What a label says of what a feature reads, beside what it says of what it writes; $most features of each dictionary.
SELECT i.dictionary, i.feature, i.value AS input, o.value AS output
FROM score_table i JOIN score_table o USING (dictionary, feature, explainer) SEMI JOIN latest_works w USING (dictionary)
WHERE explainer = $explainer AND i.scorer = $scorer AND i.metric = $metric AND i.design = $design
      AND o.scorer = $output_scorer AND o.metric = $output_metric AND i.value IS NOT NULL AND o.value IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY i.dictionary ORDER BY hash(i.feature)) <= $most
ORDER BY i.dictionary, i.feature;
