-- No token that stands as a wrong one of a feature is among its sixty promoted ones, and what it is made like is.
WITH promoted AS (
    SELECT dictionary, feature, list(token) AS tokens FROM logit_effects WHERE direction = 'promoted' GROUP BY ALL
), judged AS (
    SELECT d.dictionary || '/' || d.feature || ' ' || d.kind AS which,
           list_has_any(d.tokens, p.tokens) OR NOT list_has_all(p.tokens, d.made_like)
           OR len(list_distinct(d.tokens)) <> len(d.tokens)
           OR len(d.tokens) <> greatest(len(d.made_like), len(d.promoted_by)) AS wrong
    FROM logit_distractors d JOIN promoted p USING (dictionary, feature)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(which) FILTER (wrong) AS example FROM judged;
