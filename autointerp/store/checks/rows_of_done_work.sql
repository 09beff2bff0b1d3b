-- What is done is work of a run; scores, means and comparisons are of work that is done; there is one of what is there once.
WITH claims AS (
    SELECT 'stages: ' || concat_ws(', ', stage, dictionary, explainer, work) AS name,
           (stage, work) NOT IN (SELECT (stage, work) FROM works) AS wrong
    FROM stages
    UNION ALL SELECT 'works: run ' || run, run NOT IN (SELECT run FROM runs) FROM (SELECT DISTINCT run FROM works)
    UNION ALL SELECT 'scores: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'score')
        FROM (SELECT DISTINCT run FROM scores)
    UNION ALL SELECT 'dictionary_scores: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'means')
        FROM (SELECT DISTINCT run FROM dictionary_scores)
    UNION ALL SELECT 'powered_means: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'means')
        FROM (SELECT DISTINCT run FROM powered_means)
    UNION ALL SELECT 'label_chances: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'means')
        FROM (SELECT DISTINCT run FROM label_chances)
    UNION ALL SELECT 'powered_differences: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'compare')
        FROM (SELECT DISTINCT run FROM powered_differences)
    UNION ALL SELECT 'causal_effects: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'ablate')
        FROM (SELECT DISTINCT run FROM causal_effects)
    UNION ALL SELECT 'contexts: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'context_effects')
        FROM (SELECT run FROM context_effects UNION SELECT run FROM following_effects)
    UNION ALL SELECT 'sensitivity: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'sensitivity')
        FROM (SELECT DISTINCT run FROM sensitivity)
    UNION ALL SELECT 'geometry: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'geometry')
        FROM (SELECT run FROM feature_geometry UNION SELECT run FROM description_lengths)
    UNION ALL SELECT 'similarity: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'similarity')
        FROM (SELECT run FROM dictionary_similarities UNION SELECT run FROM feature_matches)
    UNION ALL SELECT 'token_changes: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'token_changes')
        FROM (SELECT run FROM token_changes UNION SELECT run FROM token_change_strengths
              UNION SELECT run FROM token_change_distractors)
    UNION ALL SELECT 'steered_texts: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'steered_texts')
        FROM (SELECT run FROM steered_texts UNION SELECT run FROM steering_strengths)
    UNION ALL SELECT 'output_scores: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'output_scores')
        FROM (SELECT DISTINCT run FROM output_scores)
    UNION ALL SELECT 'effects compared: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'compare_effects')
        FROM (SELECT run FROM effect_means UNION SELECT run FROM effect_differences)
    UNION ALL SELECT 'comparisons: ' || run, run NOT IN (SELECT work FROM stages WHERE stage = 'compare')
        FROM (SELECT DISTINCT run FROM comparisons)
    UNION ALL SELECT 'predictions: ' || run, run NOT IN (SELECT work FROM stages WHERE stage IN ('judge', 'score'))
        FROM (SELECT run FROM simulations UNION SELECT run FROM judgements UNION SELECT run FROM token_judgements
              UNION SELECT run FROM choices UNION SELECT run FROM picks UNION SELECT run FROM generations)
        WHERE run IS NOT NULL
    UNION ALL SELECT 'made in two ways: ' || concat_ws(', ', stage, dictionary, explainer), count(*) > 1
        FROM stages WHERE stage IN ('tokens', 'extract', 'effects', 'diagnostics', 'explain', 'census')
             AND work NOT IN (SELECT work FROM works WHERE decided_by->>'again' IS NOT NULL)
        GROUP BY stage, dictionary, explainer
    UNION ALL SELECT DISTINCT 'explained again: ' || concat_ws(', ', e.dictionary, e.feature, e.explainer, e.again),
        a.number IS NULL
        FROM explanations e LEFT JOIN again a ON a.number = e.again AND a.event = 'asked' AND a.dictionary = e.dictionary
             AND a.explainer = e.explainer AND list_contains(a.explained, e.feature)
        WHERE e.again > 0
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
