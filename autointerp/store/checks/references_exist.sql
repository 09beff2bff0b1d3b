-- What a row refers to is there: dictionaries, features, tokens, lookups, pool windows, prompts' prefixes.
WITH of_features AS (
    SELECT DISTINCT 'exemplars' AS name, dictionary, feature FROM exemplars
    UNION ALL SELECT 'feature_tokens', dictionary, feature FROM feature_tokens
    UNION ALL SELECT 'pool_firing', dictionary, feature FROM pool_firing
    UNION ALL SELECT 'feature_diagnostics', dictionary, feature FROM feature_diagnostics
    UNION ALL SELECT DISTINCT 'feature_neighbours', dictionary, feature FROM feature_neighbours
    UNION ALL SELECT DISTINCT 'logit_effects', dictionary, feature FROM logit_effects
    UNION ALL SELECT DISTINCT 'logit_distractors', dictionary, feature FROM logit_distractors
    UNION ALL SELECT DISTINCT 'causal_effects', dictionary, feature FROM causal_effects
    UNION ALL SELECT DISTINCT 'context_effects', dictionary, feature FROM context_effects
    UNION ALL SELECT DISTINCT 'following_effects', dictionary, feature FROM following_effects
    UNION ALL SELECT DISTINCT 'sensitivity', dictionary, feature FROM sensitivity
    UNION ALL SELECT DISTINCT 'feature_geometry', dictionary, feature FROM feature_geometry
    UNION ALL SELECT DISTINCT 'feature_matches', dictionary, feature FROM feature_matches
    UNION ALL SELECT DISTINCT 'token_changes', dictionary, feature FROM token_changes
    UNION ALL SELECT DISTINCT 'token_change_distractors', dictionary, feature FROM token_change_distractors
    UNION ALL SELECT DISTINCT 'steered_texts', dictionary, feature FROM steered_texts
    UNION ALL SELECT DISTINCT 'picks', dictionary, feature FROM picks
    UNION ALL SELECT DISTINCT 'picks: text', dictionary, source FROM picks
    UNION ALL SELECT 'output_scores', dictionary, feature FROM output_scores
    UNION ALL SELECT DISTINCT 'explanations', dictionary, feature FROM explanations
    UNION ALL SELECT DISTINCT 'drafts', dictionary, feature FROM drafts
    UNION ALL SELECT DISTINCT 'probes', dictionary, feature FROM probes
    UNION ALL SELECT DISTINCT 'sample_lists', dictionary, feature FROM sample_lists
    UNION ALL SELECT DISTINCT 'simulations', dictionary, feature FROM simulations
    UNION ALL SELECT DISTINCT 'judgements', dictionary, feature FROM judgements
    UNION ALL SELECT DISTINCT 'token_judgements', dictionary, feature FROM token_judgements
    UNION ALL SELECT DISTINCT 'choices', dictionary, feature FROM choices
    UNION ALL SELECT DISTINCT 'choices: window', dictionary, source FROM choices
    UNION ALL SELECT DISTINCT 'generations', dictionary, feature FROM generations
    UNION ALL SELECT DISTINCT 'score_moments', dictionary, feature FROM score_moments
    UNION ALL SELECT DISTINCT 'scores', dictionary, feature FROM scores
    UNION ALL SELECT DISTINCT 'label_chances', dictionary, feature FROM label_chances
), missing AS (
    SELECT name || ': ' || dictionary || '/' || feature AS what, f.feature IS NULL AS wrong
    FROM of_features LEFT JOIN features f USING (dictionary, feature)
    UNION ALL SELECT 'features: ' || dictionary, dictionary NOT IN (SELECT dictionary FROM dictionaries)
        FROM (SELECT DISTINCT dictionary FROM features)
    UNION ALL SELECT 'logit_effects: token ' || token, token NOT IN (SELECT token FROM vocab)
        FROM (SELECT DISTINCT token FROM logit_effects)
    UNION ALL SELECT 'token_changes: token ' || token, token NOT IN (SELECT token FROM vocab)
        FROM (SELECT DISTINCT token FROM token_changes)
    UNION ALL SELECT 'explanations: lookup ' || lookup, lookup NOT IN (SELECT lookup FROM lookups)
        FROM (SELECT DISTINCT lookup FROM explanations WHERE lookup IS NOT NULL)
    UNION ALL SELECT 'sample_lists: lookup ' || lookup, lookup NOT IN (SELECT lookup FROM lookups)
        FROM (SELECT DISTINCT lookup FROM sample_lists WHERE lookup IS NOT NULL)
    UNION ALL SELECT 'pool_firing: ' || dictionary || '/' || feature,
        coalesce(list_max(pools) >= coalesce(n_pool, 0), false) OR pools <> list_sort(list_distinct(pools))
            OR (listed IS NULL) = (bits IS NULL)
            OR coalesce(octet_length(bits) <> (coalesce(n_pool, 0) + 7) // 8, false)
        FROM (SELECT *, pools_of(listed, bits) AS pools FROM pool_firing) LEFT JOIN (SELECT split, count(*) AS n_pool FROM pool GROUP BY split) USING (split)
    UNION ALL SELECT 'of dictionaries: ' || name, name NOT IN (SELECT dictionary FROM dictionaries)
        FROM (SELECT dictionary AS name FROM description_lengths UNION SELECT dictionary FROM steering_strengths UNION SELECT a FROM dictionary_similarities
              UNION SELECT b FROM dictionary_similarities UNION SELECT dictionary FROM effect_means
              UNION SELECT a FROM effect_differences UNION SELECT b FROM effect_differences)
    UNION ALL SELECT 'dictionaries: matched_to ' || matched_to, matched_to NOT IN (SELECT dictionary FROM dictionaries)
        FROM dictionaries WHERE matched_to IS NOT NULL
    UNION ALL SELECT 'llm_calls: prefix ' || prefix, prefix NOT IN (SELECT prefix FROM llm_prefixes)
        FROM (SELECT DISTINCT prefix FROM llm_calls)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(what) FILTER (wrong) AS example FROM missing;
