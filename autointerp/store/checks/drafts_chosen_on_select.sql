-- Drafts are chosen and revised on contexts of the select split alone, revised on other documents than they are chosen on; the best is kept (the last where no judge chooses), and it is the explanation.
WITH used AS (
    SELECT DISTINCT dictionary, feature, explainer, 'select' AS role, unnest(select_contexts) AS context FROM drafts
    UNION ALL SELECT DISTINCT dictionary, feature, explainer, 'shown', unnest(shown_contexts) FROM drafts
), placed AS (
    SELECT u.*, c.document, c.split FROM used u LEFT JOIN contexts c USING (context)
), both_roles AS (
    SELECT dictionary, feature, explainer, document, count(DISTINCT role) > 1 AS wrong FROM placed GROUP BY ALL
), kept AS (
    SELECT d.dictionary, d.feature, d.explainer, d.again, count(*) FILTER (d.chosen) AS n, count(*) FILTER (d.status = 'ok') AS n_good,
           CASE WHEN bool_and(d.select_status = 'not_judged') FILTER (d.status = 'ok') THEN max(d.draft) FILTER (d.status = 'ok')
                ELSE arg_min(d.draft, (-coalesce(d.select_score, -1), d.draft)) FILTER (d.status = 'ok') END AS best,
           any_value(d.draft) FILTER (d.chosen) AS draft, any_value(d.text) FILTER (d.chosen) AS text
    FROM drafts d GROUP BY ALL
), judged AS (
    SELECT 'not of select: ' || dictionary || '/' || feature AS name, split IS DISTINCT FROM 'select' AS wrong FROM placed
    UNION ALL SELECT 'shown and chosen on: ' || dictionary || '/' || feature, wrong FROM both_roles
    UNION ALL SELECT 'chosen: ' || k.dictionary || '/' || k.feature,
        n <> least(n_good, 1) OR k.draft IS DISTINCT FROM best OR k.text IS DISTINCT FROM e.text
        FROM kept k LEFT JOIN explanations e USING (dictionary, feature, explainer, again)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
