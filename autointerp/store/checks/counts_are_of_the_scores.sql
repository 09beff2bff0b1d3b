-- What stands beside a mean is counted from the scores that it is made of: features, values, failures, dead and rare ones, and the median.
WITH counted AS (
    SELECT run, explainer, scorer, metric, design, count(*) AS n_features, count(value) AS n_scored,
           count(*) FILTER (is_failure(status)) AS n_failed, count(*) FILTER (status = 'dead') AS n_dead,
           count(*) FILTER (status = 'rare') AS n_rare, median(value) AS median
    FROM scores GROUP BY ALL
), made_of AS (
    SELECT DISTINCT work AS means, decided_by ->> '$.builds_on.score' AS score FROM works WHERE stage = 'means'
), compared AS (
    SELECT m.dictionary, m.explainer, m.scorer, m.metric, m.design,
           (m.n_features, m.n_scored, m.n_failed, m.n_dead, m.n_rare, m.median)
           IS DISTINCT FROM (c.n_features, c.n_scored, c.n_failed, c.n_dead, c.n_rare, c.median) AS wrong
    FROM dictionary_scores m JOIN made_of o ON o.means = m.run AND o.score IS NOT NULL
    LEFT JOIN counted c ON c.run = o.score AND c.explainer = m.explainer AND c.scorer = m.scorer
                           AND c.metric = m.metric AND c.design = m.design
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(concat_ws(', ', dictionary, explainer, scorer, metric, design)) FILTER (wrong) AS example
FROM compared;
