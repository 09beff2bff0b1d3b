-- A question has three options of one beginning, one of them the feature's own; texts are of the score split, all of the chosen strength on the select split.
WITH questions AS (
    SELECT dictionary || '/' || feature || ' ' || scorer || ' ' || question AS which, list_sort(list(option)) AS options,
           count(DISTINCT source) AS n_sources, count(DISTINCT number) AS n_numbers,
           count(*) FILTER (is_right) AS n_right, bool_or(is_right <> (source = feature)) AS mistaken,
           count(probability) AS n_answered, sum(probability) AS total
    FROM picks GROUP BY run, dictionary, feature, explainer, scorer, question
), judged AS (
    SELECT which, options <> [1, 2, 3] OR n_sources <> 3 OR n_numbers <> 1 OR n_right <> 1 OR mistaken
                  OR n_answered NOT IN (0, 3) OR coalesce(abs(total - 1) > 1e-6, false) AS wrong
    FROM questions
    UNION ALL
    SELECT dictionary || '/' || feature || ' text ' || number, c.split <> 'score' OR size <= 0 OR kl < 0 OR len(s.tokens) = 0
           OR kl_select > 1.01 * (SELECT min(kl_select) FROM steered_texts t WHERE t.run = s.run)
           OR kl_select < 0.99 * (SELECT max(kl) FILTER (chosen) FROM steering_strengths t WHERE t.run = s.run)
    FROM steered_texts s JOIN contexts c USING (context)
    UNION ALL
    SELECT dictionary || ', strengths', count(*) FILTER (chosen) <> 1 OR min(kl) <= 0 OR min(n_unreached) < 0
           OR max(n_unreached) > min(n_features) OR bool_or(accuracy NOT BETWEEN 0 AND 1) OR min(se) < 0
           OR bool_or(n_questions > 0 AND accuracy IS NULL) OR count(accuracy) NOT IN (0, count(*))
    FROM steering_strengths GROUP BY run, dictionary
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(which) FILTER (wrong) AS example FROM judged;
