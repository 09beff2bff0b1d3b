-- No table has two rows of the same key.
WITH keys AS (
    SELECT 'meta' AS name, count(*) AS n_rows,
        (SELECT count(*) FROM (SELECT DISTINCT key FROM meta)) AS n_keys FROM meta
    UNION ALL SELECT 'runs', count(*), (SELECT count(*) FROM (SELECT DISTINCT run, started_at FROM runs)) FROM runs
    UNION ALL SELECT 'works', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, stage, dictionary, explainer, scorer FROM works)) FROM works
    UNION ALL SELECT 'stages', count(*), (SELECT count(*) FROM (SELECT DISTINCT stage, work FROM stages)) FROM stages
    UNION ALL SELECT 'subjects', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT subject, revision, processing, dtype FROM subjects)) FROM subjects
    UNION ALL SELECT 'vocab', count(*), (SELECT count(*) FROM (SELECT DISTINCT token FROM vocab)) FROM vocab
    UNION ALL SELECT 'token_splits', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT split FROM token_splits)) FROM token_splits
    UNION ALL SELECT 'dictionaries', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary FROM dictionaries)) FROM dictionaries
    UNION ALL SELECT 'hook_norms', count(*), (SELECT count(*) FROM (SELECT DISTINCT hook FROM hook_norms)) FROM hook_norms
    UNION ALL SELECT 'features', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature FROM features)) FROM features
    UNION ALL SELECT 'feature_splits', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, split FROM feature_splits)) FROM feature_splits
    UNION ALL SELECT 'feature_tokens', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature FROM feature_tokens)) FROM feature_tokens
    UNION ALL SELECT 'feature_diagnostics', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature FROM feature_diagnostics)) FROM feature_diagnostics
    UNION ALL SELECT 'feature_neighbours', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, rank FROM feature_neighbours)) FROM feature_neighbours
    UNION ALL SELECT 'contexts', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT context FROM contexts)) FROM contexts
    UNION ALL SELECT 'exemplars', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, split, stratum, rank FROM exemplars)) FROM exemplars
    UNION ALL SELECT 'pool', count(*), (SELECT count(*) FROM (SELECT DISTINCT split, pool FROM pool)) FROM pool
    UNION ALL SELECT 'pool windows', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT context, window_start FROM pool)) FROM pool
    UNION ALL SELECT 'pool_firing', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, split FROM pool_firing)) FROM pool_firing
    UNION ALL SELECT 'logit_strengths', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, direction FROM logit_strengths)) FROM logit_strengths
    UNION ALL SELECT 'logit_distractors', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, direction, kind FROM logit_distractors)) FROM logit_distractors
    UNION ALL SELECT 'logit_effects', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, direction, rank FROM logit_effects)) FROM logit_effects
    UNION ALL SELECT 'logit_effects tokens', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, direction, token FROM logit_effects)) FROM logit_effects
    UNION ALL SELECT 'causal_effects', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, split, context, position, direction FROM causal_effects)) FROM causal_effects
    UNION ALL SELECT 'context_effects', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, context, peak, position, other FROM context_effects)) FROM context_effects
    UNION ALL SELECT 'following_effects', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, context, peak FROM following_effects)) FROM following_effects
    UNION ALL SELECT 'sensitivity', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, context, position, direction FROM sensitivity)) FROM sensitivity
    UNION ALL SELECT 'feature_geometry', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, direction FROM feature_geometry)) FROM feature_geometry
    UNION ALL SELECT 'description_lengths', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary FROM description_lengths)) FROM description_lengths
    UNION ALL SELECT 'dictionary_similarities', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, a, b FROM dictionary_similarities)) FROM dictionary_similarities
    UNION ALL SELECT 'feature_matches', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, other FROM feature_matches)) FROM feature_matches
    UNION ALL SELECT 'token_changes', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, split, direction, side, rank FROM token_changes)) FROM token_changes
    UNION ALL SELECT 'token_change_strengths', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, split, direction FROM token_change_strengths)) FROM token_change_strengths
    UNION ALL SELECT 'token_change_distractors', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, side, kind FROM token_change_distractors)) FROM token_change_distractors
    UNION ALL SELECT 'steering_strengths', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, kl FROM steering_strengths)) FROM steering_strengths
    UNION ALL SELECT 'steered_texts', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, number FROM steered_texts)) FROM steered_texts
    UNION ALL SELECT 'picks', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, question, option FROM picks)) FROM picks
    UNION ALL SELECT 'output_scores', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature FROM output_scores)) FROM output_scores
    UNION ALL SELECT 'lookups', count(*), (SELECT count(*) FROM (SELECT DISTINCT lookup FROM lookups)) FROM lookups
    UNION ALL SELECT 'explanations', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, explainer, again FROM explanations)) FROM explanations
    UNION ALL SELECT 'again', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT number, event, dictionary, explainer FROM again)) FROM again
    UNION ALL SELECT 'drafts', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, explainer, draft, again FROM drafts)) FROM drafts
    UNION ALL SELECT 'probes', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, explainer, draft, number, again FROM probes)) FROM probes
    UNION ALL SELECT 'sample_lists', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, explainer, again FROM sample_lists)) FROM sample_lists
    UNION ALL SELECT 'simulations', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, context, window_start FROM simulations)) FROM simulations
    UNION ALL SELECT 'judgements', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, context, window_start FROM judgements)) FROM judgements
    UNION ALL SELECT 'choices', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, question, option FROM choices)) FROM choices
    UNION ALL SELECT 'generations', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, number FROM generations)) FROM generations
    UNION ALL SELECT 'token_judgements', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, token FROM token_judgements)) FROM token_judgements
    UNION ALL SELECT 'feature_blocks', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature FROM feature_blocks)) FROM feature_blocks
    UNION ALL SELECT 'score_moments', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT dictionary, feature, explainer, scorer FROM score_moments)) FROM score_moments
    UNION ALL SELECT 'scores', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, metric, design FROM scores)) FROM scores
    UNION ALL SELECT 'dictionary_scores', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, explainer, scorer, metric, design FROM dictionary_scores)) FROM dictionary_scores
    UNION ALL SELECT 'comparisons', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, a, b, explainer, scorer, metric, design FROM comparisons)) FROM comparisons
    UNION ALL SELECT 'effect_means', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, direction, measure FROM effect_means)) FROM effect_means
    UNION ALL SELECT 'effect_differences', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, measure, a, b, direction_b FROM effect_differences)) FROM effect_differences
    UNION ALL SELECT 'powered_means', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, explainer, scorer, metric, design FROM powered_means)) FROM powered_means
    UNION ALL SELECT 'label_chances', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, dictionary, feature, explainer, scorer, metric FROM label_chances)) FROM label_chances
    UNION ALL SELECT 'powered_differences', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT run, a, b, explainer, scorer, metric, design FROM powered_differences)) FROM powered_differences
    UNION ALL SELECT 'llm_calls', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT request, sample, attempt FROM llm_calls)) FROM llm_calls
    UNION ALL SELECT 'llm_prefixes', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT prefix FROM llm_prefixes)) FROM llm_prefixes
    UNION ALL SELECT 'llm_batch_requests', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT file, custom_id FROM llm_batch_requests)) FROM llm_batch_requests
    UNION ALL SELECT 'llm_batches', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT file, status, since FROM llm_batches)) FROM llm_batches
    UNION ALL SELECT 'llm_probes', count(*),
        (SELECT count(*) FROM (SELECT DISTINCT server, model, wish FROM llm_probes)) FROM llm_probes
    UNION ALL SELECT 'exemplars of the select and score split', count(*), (SELECT count(*) FROM (
        SELECT DISTINCT dictionary, feature, context, window_start FROM exemplars WHERE split <> 'explain'))
        FROM exemplars WHERE split <> 'explain'
)
SELECT sum(n_rows)::BIGINT AS n_checked, sum(n_rows - n_keys)::BIGINT AS n_wrong,
       min(name) FILTER (n_rows > n_keys) AS example
FROM keys;
