-- P(label holds) is a probability with an interval or has a reason, of features that the same work has no score of.
WITH chances AS (
    SELECT l.*, f.status AS feature_status, d.scored FROM label_chances l LEFT JOIN features f USING (dictionary, feature)
    LEFT JOIN (
        SELECT DISTINCT dictionary, feature, explainer, scorer, metric, true AS scored FROM score_table
        WHERE design = 'sample' AND status NOT IN ('rare', 'dead')
    ) d ON d.dictionary = l.dictionary AND d.feature = l.feature AND d.explainer = l.explainer AND d.scorer = l.scorer
        AND d.metric = l.metric AND l.run IN (SELECT work FROM current_works WHERE stage = 'means')
), judged AS (
    SELECT concat_ws(', ', dictionary || '/' || feature, explainer, scorer, metric) AS name,
           CASE WHEN status IN ('covariates', 'base_rate')
                THEN coalesce(NOT (probability BETWEEN 0 AND 1 AND ci_low >= 0 AND ci_high <= 1), true)
                     OR n_scored = 0 OR feature_status <> 'alive'
                WHEN status IN ('rare', 'dead') THEN probability IS NOT NULL OR status <> feature_status
                WHEN status IN ('no_label', 'nothing_scored') THEN probability IS NOT NULL
                ELSE true END
           OR (probability IS NULL) <> (ci_low IS NULL) OR coalesce(scored, false) AS wrong
    FROM chances
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
