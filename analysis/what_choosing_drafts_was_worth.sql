-- Best-of-n and revision: how often was another draft than the first kept, and what was that worth?
-- Added: on the select split against the first draft (flattered: it was chosen there), and on the score split against
-- the plain explainer, where the run has one beside it.
WITH drafted AS (
    SELECT dictionary, explainer, feature, count(*) AS n_drafts, any_value(select_score) FILTER (chosen) AS chosen_score,
           any_value(select_score) FILTER (draft = 0) AS first_score,
           any_value(draft) FILTER (chosen) > 0 AS another, any_value(round) FILTER (chosen) > 0 AS revision
    FROM drafts d WHERE again = (SELECT max(again) FROM drafts m WHERE m.dictionary = d.dictionary
                                 AND m.explainer = d.explainer AND m.feature = d.feature)
    GROUP BY dictionary, explainer, feature
), beside AS (
    SELECT a.dictionary, a.explainer, a.feature, a.value, b.value AS plain
    FROM score_table a JOIN score_table b USING (dictionary, feature, scorer, metric, design)
    WHERE a.metric = 'balanced_accuracy_matched' AND starts_with(a.scorer, 'detection:')
          AND b.explainer = regexp_replace(a.explainer, '/[^/]*$', '')
)
SELECT d.dictionary, d.explainer, count(*) AS n_features, round(avg(d.n_drafts), 2) AS drafts,
       round(avg(d.another::INT), 3) AS another_kept, round(avg(d.revision::INT), 3) AS revision_kept,
       round(avg(d.chosen_score - d.first_score), 3) AS added_on_select,
       count(b.value - b.plain) AS n_scored, round(avg(b.value - b.plain), 3) AS added_on_score
FROM drafted d LEFT JOIN beside b USING (dictionary, explainer, feature)
GROUP BY ALL ORDER BY d.dictionary, d.explainer;
