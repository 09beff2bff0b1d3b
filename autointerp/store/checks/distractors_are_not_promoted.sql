-- No token that stands as a wrong one of a feature is among its sixty promoted ones, and what it is made like is.
WITH truth AS (
    SELECT dictionary, feature, direction AS side, list(token) AS tokens FROM logit_effects GROUP BY ALL
), changed AS (  -- the ten that explainers see, and those of the score split
    SELECT run, dictionary, feature, side, list(token) AS tokens FROM token_changes
    WHERE direction = 'feature' AND (split = 'score' OR rank <= 10) GROUP BY ALL
), asked AS (
    SELECT run, dictionary, feature, side, list(token) AS tokens FROM token_changes
    WHERE direction = 'feature' AND split = 'score' GROUP BY ALL
), wrong_ones AS (
    SELECT d.dictionary || '/' || d.feature || ' ' || d.kind || ', ' || side AS which, d.tokens, d.made_like, d.promoted_by,
           t.tokens AS right_ones, t.tokens AS may_be_like
    FROM (SELECT * RENAME (direction AS side) FROM logit_distractors) d JOIN truth t USING (dictionary, feature, side)
    UNION ALL
    SELECT d.dictionary || '/' || d.feature || ' measured ' || d.kind || ', ' || side, d.tokens, d.made_like,
           d.promoted_by, a.tokens, c.tokens
    FROM token_change_distractors d JOIN changed c USING (run, dictionary, feature, side)
         JOIN asked a USING (run, dictionary, feature, side)
), judged AS (
    SELECT which, list_has_any(tokens, right_ones) OR NOT list_has_all(may_be_like, made_like)
           OR len(list_distinct(tokens)) <> len(tokens)
           OR len(tokens) <> greatest(len(made_like), len(promoted_by)) AS wrong
    FROM wrong_ones
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(which) FILTER (wrong) AS example FROM judged;
