-- An output score is what its probability and rank say, of a token that is among the 20 most promoted; all features of a dictionary are turned up by one factor, and each has a row.
WITH factors AS (
    SELECT o.run, o.dictionary, median(o.activation / f.max_activation) AS factor
    FROM output_scores o JOIN features f USING (dictionary, feature) WHERE f.max_activation > 0 GROUP BY ALL
), claims AS (
    SELECT o.dictionary || '/' || o.feature AS name,
        CASE o.status
        WHEN 'ok' THEN
            (o.probability BETWEEN 0 AND 1.000001) IS NOT TRUE OR (o.rank BETWEEN 1 AND s.d_vocab) IS NOT TRUE
            OR (abs(o.score - o.probability * (1 - (o.rank - 1) / s.d_vocab)) <= 1e-9) IS NOT TRUE
            OR (o.score_before BETWEEN 0 AND 1.000001) IS NOT TRUE OR (o.norm > 0) IS NOT TRUE
            OR (abs(o.activation - p.factor * f.max_activation) <= 1e-6 * o.activation) IS NOT TRUE
            OR NOT EXISTS (FROM logit_effects l WHERE l.dictionary = o.dictionary AND l.feature = o.feature
                           AND l.direction = 'promoted' AND l.rank <= 20 AND l.token = o.token)
        WHEN 'silent' THEN f.max_activation > 0 OR o.activation IS NOT NULL OR o.score IS NOT NULL OR o.token IS NOT NULL
        WHEN 'writes_nothing' THEN o.norm IS DISTINCT FROM 0 OR o.score IS NOT NULL OR o.token IS NOT NULL
        WHEN 'not_finite' THEN o.score IS NOT NULL OR o.token IS NOT NULL
        ELSE true END AS wrong
    FROM output_scores o JOIN features f USING (dictionary, feature) LEFT JOIN factors p USING (run, dictionary)
    CROSS JOIN (SELECT any_value(d_vocab) AS d_vocab FROM subjects) s
    UNION ALL SELECT dictionary || ': number of features', count(*) <> any_value(n.n)
    FROM output_scores JOIN (SELECT dictionary, count(*) AS n FROM features GROUP BY dictionary) n USING (dictionary)
    GROUP BY run, dictionary
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
