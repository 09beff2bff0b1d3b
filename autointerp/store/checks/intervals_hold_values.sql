-- Every interval holds its value, and has both ends or none.
WITH intervals AS (
    SELECT concat_ws(', ', dictionary || '/' || feature, explainer, scorer, metric, design) AS name,
           value, ci_low, ci_high FROM scores
    UNION ALL SELECT concat_ws(', ', dictionary, explainer, scorer, metric, design), mean, ci_low, ci_high
        FROM dictionary_scores
    UNION ALL SELECT concat_ws(', ', dictionary, explainer, scorer, metric, design, 'all features'), mean_all,
        mean_all_low, mean_all_high FROM dictionary_scores
    UNION ALL SELECT concat_ws(', ', a || ' - ' || b, explainer, scorer, metric, design), difference, ci_low, ci_high
        FROM comparisons
    UNION ALL SELECT concat_ws(', ', a || ' - ' || b, explainer, scorer, metric, design, 'simultaneous'), difference,
        simultaneous_low, simultaneous_high FROM comparisons
    UNION ALL SELECT concat_ws(', ', a || ' - ' || b, explainer, scorer, metric, design, 'complete cases'),
        scored_difference, scored_simultaneous_low, scored_simultaneous_high FROM comparisons
    UNION ALL SELECT concat_ws(', ', dictionary, explainer, scorer, metric, 'prediction-powered'), mean, ci_low, ci_high
        FROM powered_means
    UNION ALL SELECT concat_ws(', ', dictionary || '/' || feature, explainer, scorer, metric, 'P(label holds)'),
        probability, ci_low, ci_high FROM label_chances
    UNION ALL SELECT concat_ws(', ', a || ' - ' || b, explainer, scorer, metric, 'prediction-powered'), difference,
        simultaneous_low, simultaneous_high FROM powered_differences
    UNION ALL SELECT concat_ws(', ', dictionary, direction, measure), mean, ci_low, ci_high FROM effect_means
    UNION ALL SELECT concat_ws(', ', a || ' - ' || b, direction_b, measure), difference, ci_low, ci_high
        FROM effect_differences
    UNION ALL SELECT concat_ws(', ', a || ' - ' || b, direction_b, measure, 'simultaneous'), difference,
        simultaneous_low, simultaneous_high FROM effect_differences
), judged AS (
    SELECT name, (ci_low IS NULL) <> (ci_high IS NULL)
           OR coalesce(value NOT BETWEEN ci_low - 1e-12 AND ci_high + 1e-12, false) AS wrong
    FROM intervals WHERE ci_low IS NOT NULL OR ci_high IS NOT NULL
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
