-- A judgement of an LLM names the call of the log that said it; one of a table, which asks nobody, names none.
WITH attempts AS (
    SELECT request, sample, bool_or(status = 'ok') AS answered FROM llm_calls GROUP BY request, sample
), said AS (
    SELECT j.dictionary, j.feature, j.explainer, j.scorer,
           CASE WHEN j.run IS NULL THEN j.request IS NOT NULL OR j.sample IS NOT NULL
                WHEN j.request IS NULL OR j.sample IS NULL THEN
                    (j.request IS NULL) <> (j.sample IS NULL)
                    OR j.status NOT IN ('too_long') AND split_part(j.scorer, ':', 1) IN ('detection', 'fuzzing')
                ELSE a.request IS NULL AND EXISTS (FROM llm_calls) OR j.status = 'ok' AND NOT coalesce(a.answered, true)
           END AS wrong
    FROM judgements j LEFT JOIN attempts a ON a.request = j.request AND a.sample = j.sample
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(concat_ws(', ', dictionary || '/' || feature, explainer, scorer)) FILTER (wrong) AS example
FROM said;
