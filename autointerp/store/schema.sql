-- The store: one DuckDB file. This file is its only definition; `docs/SCHEMA.md` is generated from
-- the comments below (`make docs`). Append-only, no secondary indexes.
-- Keys that a person can type: dictionary, feature (integer), explainer, scorer, metric.

CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL);
COMMENT ON TABLE meta IS 'About the file itself: schema_version, created_by.';
COMMENT ON COLUMN meta.key IS 'Name of the fact.';
COMMENT ON COLUMN meta.value IS 'The fact, as text.';

CREATE TABLE runs (
    run VARCHAR NOT NULL, name VARCHAR NOT NULL, seed BIGINT NOT NULL, config VARCHAR NOT NULL,
    versions VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE runs IS 'The manifest of each run that wrote here: its configuration and the versions it ran with. Another row when the configuration changes, or changes back.';
COMMENT ON COLUMN runs.run IS 'Hash of the configuration (all that changes the rows, nothing else); its work is in works.';
COMMENT ON COLUMN runs.name IS 'Name in the run file.';
COMMENT ON COLUMN runs.seed IS 'Seed of every random choice.';
COMMENT ON COLUMN runs.config IS 'The whole run file with its defaults, as JSON.';
COMMENT ON COLUMN runs.versions IS 'Versions of autointerp, Python, torch, transformer_lens and duckdb, as JSON.';
COMMENT ON COLUMN runs.started_at IS 'When this configuration became the one that counts, UTC.';

CREATE MACRO is_control(explainer) AS (
    explainer IN ('shuffled', 'constant', 'generic') OR starts_with(explainer, 'shuffled:') OR starts_with(explainer, 'permuted:')
);
CREATE MACRO is_failure(status) AS (
    status NOT IN ('ok', 'constant', 'few_documents', 'underpowered', 'fewer', 'rare', 'dead', 'no_generated_text', 'no_judged_steering')
);
CREATE MACRO is_ceiling(explainer) AS (explainer IN ('context_lookup', 'token_lookup'));
CREATE MACRO is_label(explainer) AS (NOT is_control(explainer) AND NOT is_ceiling(explainer));
CREATE MACRO says_its_lookup(explainer) AS (explainer IN ('lexical', 'lexical_input', 'lexical_direct', 'lexical_measured', 'lexical_all', 'shuffled', 'constant', 'generic'));
CREATE MACRO evidence_of(explainer) AS (
    CASE WHEN explainer = 'lexical' THEN 'both'
         WHEN explainer IN ('lexical_input', 'lexical_direct', 'lexical_measured', 'lexical_all') THEN substr(explainer, 9)
         WHEN is_control(explainer) THEN NULL
         ELSE replace(list_filter(string_split(explainer, '/')[3:],
                                  lambda part: part IN ('input', 'output', 'measured', 'both', 'all'))[-1],
                      'output', 'direct') END
);

CREATE TABLE works (
    run VARCHAR NOT NULL, stage VARCHAR NOT NULL, dictionary VARCHAR, explainer VARCHAR, scorer VARCHAR,
    work VARCHAR NOT NULL, decided_by VARCHAR NOT NULL
);
COMMENT ON TABLE works IS 'The pieces of work that each run consists of, done or not. Runs share a piece where all that decides it is the same.';
COMMENT ON COLUMN works.run IS 'The run.';
COMMENT ON COLUMN works.stage IS '{stages}.';
COMMENT ON COLUMN works.dictionary IS 'The dictionary it is about; empty where it is about all.';
COMMENT ON COLUMN works.explainer IS 'The explainer it is about; controls for shuffled, constant and generic together; empty where it is about none.';
COMMENT ON COLUMN works.scorer IS 'The scorer it is about, where an LLM judges: {scorers} or one of the user''s own; empty where it is about none, or about all embedded ones.';
COMMENT ON COLUMN works.work IS 'Hash of everything that decides its rows.';
COMMENT ON COLUMN works.decided_by IS 'Everything that decides its rows, as JSON; builds_on holds the hashes of the work before it.';

CREATE TABLE stages (
    stage VARCHAR NOT NULL, work VARCHAR NOT NULL, dictionary VARCHAR, explainer VARCHAR, scorer VARCHAR,
    n_rows BIGINT NOT NULL, seconds DOUBLE NOT NULL, finished_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE stages IS 'Work that is done: a row is committed in the same transaction as the rows that the work made.';
COMMENT ON COLUMN stages.stage IS '{stages}.';
COMMENT ON COLUMN stages.work IS 'Hash of everything that decides its rows: the work of table works.';
COMMENT ON COLUMN stages.dictionary IS 'The dictionary it is about; empty where it is about all.';
COMMENT ON COLUMN stages.explainer IS 'The explainer it is about; controls for shuffled, constant and generic together.';
COMMENT ON COLUMN stages.scorer IS 'The scorer it is about, as in works.';
COMMENT ON COLUMN stages.n_rows IS 'Rows committed.';
COMMENT ON COLUMN stages.seconds IS 'Wall seconds it took.';
COMMENT ON COLUMN stages.finished_at IS 'When it was committed, UTC.';

CREATE TABLE subjects (
    subject VARCHAR NOT NULL, revision VARCHAR, processing VARCHAR NOT NULL, dtype VARCHAR NOT NULL,
    architecture VARCHAR NOT NULL, n_layers INTEGER NOT NULL, d_model INTEGER NOT NULL, d_vocab INTEGER NOT NULL,
    n_ctx INTEGER NOT NULL, rerandomised BIGINT, checksum VARCHAR NOT NULL
);
COMMENT ON TABLE subjects IS 'The subject model.';
COMMENT ON COLUMN subjects.subject IS 'Name or path as the run file gives it.';
COMMENT ON COLUMN subjects.revision IS 'Revision of a hub model.';
COMMENT ON COLUMN subjects.processing IS 'raw, or folded (layer norms folded, writing weights centred).';
COMMENT ON COLUMN subjects.dtype IS 'Type the weights run in.';
COMMENT ON COLUMN subjects.architecture IS 'Architecture class in its config.';
COMMENT ON COLUMN subjects.n_layers IS 'Blocks.';
COMMENT ON COLUMN subjects.d_model IS 'Width of the residual stream.';
COMMENT ON COLUMN subjects.d_vocab IS 'Tokens in the vocabulary.';
COMMENT ON COLUMN subjects.n_ctx IS 'Tokens that it takes at most.';
COMMENT ON COLUMN subjects.rerandomised IS 'Seed with which its weight matrices were drawn again, each with its own mean and variance; null: as trained.';
COMMENT ON COLUMN subjects.checksum IS 'Hash of all weights as loaded (and redrawn).';

CREATE TABLE vocab (
    token INTEGER NOT NULL, text VARCHAR NOT NULL, is_special BOOLEAN NOT NULL,
    n_explain BIGINT NOT NULL, n_select BIGINT NOT NULL, n_score BIGINT NOT NULL
);
COMMENT ON TABLE vocab IS 'The subject''s vocabulary and how often each token was scored in each split.';
COMMENT ON COLUMN vocab.token IS 'Token id.';
COMMENT ON COLUMN vocab.text IS 'The token as text; bytes that are not UTF-8 on their own are written \xNN.';
COMMENT ON COLUMN vocab.is_special IS 'Masked everywhere: begin, end, padding, unknown.';
COMMENT ON COLUMN vocab.n_explain IS 'Occurrences in the explain split.';
COMMENT ON COLUMN vocab.n_select IS 'Occurrences in the select split.';
COMMENT ON COLUMN vocab.n_score IS 'Occurrences in the score split.';

CREATE TABLE token_splits (
    split VARCHAR NOT NULL, n_documents BIGINT NOT NULL, n_contexts BIGINT NOT NULL, n_tokens BIGINT NOT NULL,
    n_windows BIGINT NOT NULL, n_windows_dropped BIGINT NOT NULL, n_tokens_dropped BIGINT NOT NULL,
    position_histogram UBIGINT[] NOT NULL
);
COMMENT ON TABLE token_splits IS 'What was really processed, by split.';
COMMENT ON COLUMN token_splits.split IS 'explain, select or score; decided by document hash.';
COMMENT ON COLUMN token_splits.n_documents IS 'Documents.';
COMMENT ON COLUMN token_splits.n_contexts IS 'Contexts.';
COMMENT ON COLUMN token_splits.n_tokens IS 'Tokens counted in every statistic: not special, not padding, not dropped.';
COMMENT ON COLUMN token_splits.n_windows IS 'Windows with at least one such token.';
COMMENT ON COLUMN token_splits.n_windows_dropped IS 'Windows left out because the same tokens stand in a later split: of explain those in select or score, of select those in score.';
COMMENT ON COLUMN token_splits.n_tokens_dropped IS 'Tokens in the dropped windows.';
COMMENT ON COLUMN token_splits.position_histogram IS 'The tokens counted, by place in the context: 16 bins, that of place p being p * 16 // context length.';

CREATE TABLE dictionaries (
    dictionary VARCHAR NOT NULL, kind VARCHAR NOT NULL, format VARCHAR, source VARCHAR, hook VARCHAR NOT NULL,
    d_in INTEGER NOT NULL, n_features INTEGER NOT NULL, n_selected INTEGER NOT NULL, activation VARCHAR NOT NULL,
    matched_to VARCHAR, natural_of VARCHAR, n_units INTEGER, norm_limit DOUBLE, checksum VARCHAR NOT NULL,
    config VARCHAR NOT NULL
);
COMMENT ON TABLE dictionaries IS 'The sets of features under study, baselines included.';
COMMENT ON COLUMN dictionaries.dictionary IS 'Name in the run file.';
COMMENT ON COLUMN dictionaries.kind IS 'sae, transcoder, planted, or the kind of a baseline: docs/RUN_FILE.md lists them; or one of the user''s own.';
COMMENT ON COLUMN dictionaries.format IS 'File format it was read from.';
COMMENT ON COLUMN dictionaries.source IS 'Where it was read from, as the run file gives it.';
COMMENT ON COLUMN dictionaries.hook IS 'Hook point, whole.';
COMMENT ON COLUMN dictionaries.d_in IS 'Width of the activations it reads.';
COMMENT ON COLUMN dictionaries.n_features IS 'Features in the dictionary.';
COMMENT ON COLUMN dictionaries.n_selected IS 'Features that are extracted.';
COMMENT ON COLUMN dictionaries.activation IS 'relu, jumprelu, topk (with k), gated, matched ...';
COMMENT ON COLUMN dictionaries.matched_to IS 'Dictionary whose features a baseline is density-matched to.';
COMMENT ON COLUMN dictionaries.natural_of IS 'NAME@natural: the matched baseline whose units these are, at their natural density; in no comparison.';
COMMENT ON COLUMN dictionaries.n_units IS 'Distinct units behind the features of a baseline; fewer than features where units are reused.';
COMMENT ON COLUMN dictionaries.norm_limit IS 'Baselines: tokens with a larger norm at the hook fire no unit (hook_norms.norm_limit); none where evidence.exclude_outliers is false, and of dictionaries that were read from files.';
COMMENT ON COLUMN dictionaries.checksum IS 'Hash of the weights as loaded.';
COMMENT ON COLUMN dictionaries.config IS 'The file''s own configuration, as JSON; of components what their fit says (rank, steps, converged).';

CREATE TABLE hook_norms (
    hook VARCHAR NOT NULL, n_tokens BIGINT NOT NULL, median DOUBLE NOT NULL, multiple DOUBLE NOT NULL,
    norm_limit DOUBLE NOT NULL, largest DOUBLE NOT NULL, n_outliers BIGINT NOT NULL, variance_share DOUBLE NOT NULL,
    participation_all DOUBLE NOT NULL, participation DOUBLE NOT NULL
);
COMMENT ON TABLE hook_norms IS 'Tokens of enormous norm (outliers, attention sinks) at each hook, measured on scored tokens of the explain split: a hash sample of its contexts. Baselines are fitted without them, and exemplars on them are a stratum of their own.';
COMMENT ON COLUMN hook_norms.hook IS 'Hook point.';
COMMENT ON COLUMN hook_norms.n_tokens IS 'Tokens of the sample.';
COMMENT ON COLUMN hook_norms.median IS 'Median norm of their activations.';
COMMENT ON COLUMN hook_norms.multiple IS 'The rule: a token is an outlier where its norm is above so many times the median.';
COMMENT ON COLUMN hook_norms.norm_limit IS 'That norm, rounded to four digits.';
COMMENT ON COLUMN hook_norms.largest IS 'Largest norm in the sample.';
COMMENT ON COLUMN hook_norms.n_outliers IS 'Outliers in the sample.';
COMMENT ON COLUMN hook_norms.variance_share IS 'Share of the variance (sum of squared distances from the mean of all) that they hold.';
COMMENT ON COLUMN hook_norms.participation_all IS 'Participation ratio of the covariance''s spectrum, (sum of eigenvalues)^2 / sum of their squares, of all tokens: about how many directions the variance is spread over.';
COMMENT ON COLUMN hook_norms.participation IS 'The same without the outliers.';

CREATE TABLE features (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, status VARCHAR NOT NULL, density DOUBLE NOT NULL,
    max_activation DOUBLE NOT NULL, n_tokens BIGINT NOT NULL, n_firing BIGINT NOT NULL, mean DOUBLE NOT NULL,
    variance DOUBLE NOT NULL, token_entropy DOUBLE, single_token_share DOUBLE, planted_label VARCHAR,
    encoder_bias DOUBLE, decoder_norm DOUBLE, cos_encoder_decoder DOUBLE,
    unit INTEGER, matched_feature INTEGER, match_status VARCHAR, sign INTEGER, mu DOUBLE, theta DOUBLE
);
COMMENT ON TABLE features IS 'One row a feature, dead ones too; statistics of the explain split.';
COMMENT ON COLUMN features.dictionary IS 'Dictionary.';
COMMENT ON COLUMN features.feature IS 'Index in the dictionary.';
COMMENT ON COLUMN features.status IS 'alive, rare (fewer than 20 firings on the explain split) or dead (none).';
COMMENT ON COLUMN features.density IS 'Share of the explain split''s tokens with a non-zero activation.';
COMMENT ON COLUMN features.max_activation IS 'Largest activation on the explain split; 0 where dead.';
COMMENT ON COLUMN features.n_tokens IS 'Tokens of the explain split.';
COMMENT ON COLUMN features.n_firing IS 'Tokens of the explain split with a non-zero activation.';
COMMENT ON COLUMN features.mean IS 'Mean activation over all tokens of the explain split.';
COMMENT ON COLUMN features.variance IS 'Variance of the activation over all tokens of the explain split.';
COMMENT ON COLUMN features.token_entropy IS 'Entropy of the activation mass over token ids, nats (listed tokens; the rest as one token).';
COMMENT ON COLUMN features.single_token_share IS 'Share of the activation mass that the heaviest token holds.';
COMMENT ON COLUMN features.planted_label IS 'The known label of a planted feature.';
COMMENT ON COLUMN features.encoder_bias IS 'Encoder bias.';
COMMENT ON COLUMN features.decoder_norm IS 'Norm of the decoder direction.';
COMMENT ON COLUMN features.cos_encoder_decoder IS 'Cosine of encoder and decoder direction.';
COMMENT ON COLUMN features.unit IS 'Baselines: the unit (neuron, direction) behind the feature; intervals cluster by it.';
COMMENT ON COLUMN features.matched_feature IS 'Baselines: the feature of dictionaries.matched_to whose density theta reproduces.';
COMMENT ON COLUMN features.match_status IS 'matched, unmatched (with fewer than 100 firings to match) or natural (an unmatched kind, or the twin of a matched one).';
COMMENT ON COLUMN features.sign IS 'Baselines: s of relu(s (x.d - mu) - theta); the output direction is s d.';
COMMENT ON COLUMN features.mu IS 'Baselines: mean of x.d.';
COMMENT ON COLUMN features.theta IS 'Baselines: threshold.';

CREATE TABLE feature_splits (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, split VARCHAR NOT NULL, n_tokens BIGINT NOT NULL,
    n_firing BIGINT NOT NULL, n_firing_outliers BIGINT NOT NULL, density DOUBLE NOT NULL,
    max_activation DOUBLE NOT NULL, mean DOUBLE NOT NULL,
    variance DOUBLE NOT NULL, n_windows BIGINT NOT NULL, n_firing_windows BIGINT NOT NULL,
    histogram_upper DOUBLE NOT NULL, histogram_linear UBIGINT[] NOT NULL, histogram_log UBIGINT[] NOT NULL,
    position_histogram UBIGINT[] NOT NULL
);
COMMENT ON TABLE feature_splits IS 'Statistics of each feature on each split.';
COMMENT ON COLUMN feature_splits.dictionary IS 'Dictionary.';
COMMENT ON COLUMN feature_splits.feature IS 'Feature.';
COMMENT ON COLUMN feature_splits.split IS 'explain, select or score.';
COMMENT ON COLUMN feature_splits.n_tokens IS 'Tokens seen.';
COMMENT ON COLUMN feature_splits.n_firing IS 'Tokens with a non-zero activation.';
COMMENT ON COLUMN feature_splits.n_firing_outliers IS 'Of these, tokens of enormous norm (hook_norms); 0 where evidence.exclude_outliers is false.';
COMMENT ON COLUMN feature_splits.density IS 'n_firing / n_tokens.';
COMMENT ON COLUMN feature_splits.max_activation IS 'Largest activation; 0 where it never fires.';
COMMENT ON COLUMN feature_splits.mean IS 'Mean over all tokens.';
COMMENT ON COLUMN feature_splits.variance IS 'Variance over all tokens.';
COMMENT ON COLUMN feature_splits.n_windows IS 'Windows seen.';
COMMENT ON COLUMN feature_splits.n_firing_windows IS 'Windows in which it fires.';
COMMENT ON COLUMN feature_splits.histogram_upper IS 'Upper edge of the linear histogram: the power of two above max_activation.';
COMMENT ON COLUMN feature_splits.histogram_linear IS 'Positive activations in 16 equal bins of [0, histogram_upper).';
COMMENT ON COLUMN feature_splits.histogram_log IS 'Positive activations by octave: bin i holds [2^(i-16), 2^(i-15)); ends are open.';
COMMENT ON COLUMN feature_splits.position_histogram IS 'Firings by place in the context, in the 16 bins of token_splits.position_histogram.';

CREATE TABLE feature_tokens (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, tokens INTEGER[] NOT NULL, mass FLOAT[] NOT NULL,
    n_firing UINTEGER[] NOT NULL, n_seen UINTEGER[] NOT NULL, mass_error DOUBLE NOT NULL,
    pair_previous INTEGER[] NOT NULL, pair_tokens INTEGER[] NOT NULL, pair_mass FLOAT[] NOT NULL,
    pair_n_firing UINTEGER[] NOT NULL, pair_n_seen UINTEGER[] NOT NULL, pair_mass_error DOUBLE NOT NULL,
    pair_share DOUBLE NOT NULL
);
COMMENT ON TABLE feature_tokens IS 'Activation mass of each feature by token and by pair (previous token, token), explain split, heaviest first.';
COMMENT ON COLUMN feature_tokens.dictionary IS 'Dictionary.';
COMMENT ON COLUMN feature_tokens.feature IS 'Feature.';
COMMENT ON COLUMN feature_tokens.tokens IS 'Token ids, up to 256.';
COMMENT ON COLUMN feature_tokens.mass IS 'Sum of the activation over the token''s occurrences.';
COMMENT ON COLUMN feature_tokens.n_firing IS 'Occurrences with a non-zero activation.';
COMMENT ON COLUMN feature_tokens.n_seen IS 'Occurrences in the explain split.';
COMMENT ON COLUMN feature_tokens.mass_error IS 'What a listed mass may lack at most; 0 where exact.';
COMMENT ON COLUMN feature_tokens.pair_previous IS 'Pairs: token id before; -1 at the start of a context.';
COMMENT ON COLUMN feature_tokens.pair_tokens IS 'Pairs: token id, up to 256 pairs.';
COMMENT ON COLUMN feature_tokens.pair_mass IS 'Pairs: sum of the activation.';
COMMENT ON COLUMN feature_tokens.pair_n_firing IS 'Pairs: occurrences with a non-zero activation.';
COMMENT ON COLUMN feature_tokens.pair_n_seen IS 'Pairs: occurrences in the explain split.';
COMMENT ON COLUMN feature_tokens.pair_mass_error IS 'Pairs: what a listed mass may lack at most, sampling aside.';
COMMENT ON COLUMN feature_tokens.pair_share IS 'Pairs: share of the tokens, chosen by hash, that they were counted on and scaled up from; 1 but for dense features.';

CREATE TABLE feature_diagnostics (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, n_tokens BIGINT NOT NULL, n_firing BIGINT NOT NULL,
    alone FLOAT[] NOT NULL, alone_correlation DOUBLE, alone_status VARCHAR NOT NULL,
    neuron_hook VARCHAR, neuron INTEGER, neuron_correlation DOUBLE, neuron_status VARCHAR NOT NULL,
    density_cluster VARCHAR, ultralow_below DOUBLE
);
COMMENT ON TABLE feature_diagnostics IS 'Is it a neuron? Can it be read off the embedding? Is it of the ultralow-density cluster? Correlations are Pearson''s, exact on a sample: the scored tokens of the contexts of the explain split of smallest hash(seed, context), until they are 65,536.';
COMMENT ON COLUMN feature_diagnostics.dictionary IS 'Dictionary.';
COMMENT ON COLUMN feature_diagnostics.feature IS 'Feature.';
COMMENT ON COLUMN feature_diagnostics.n_tokens IS 'Tokens of the sample.';
COMMENT ON COLUMN feature_diagnostics.n_firing IS 'Tokens of the sample with a non-zero activation: with few, the correlations say little.';
COMMENT ON COLUMN feature_diagnostics.alone IS 'Activation on the token alone, in the context [BOS, token] ([token] where the subject has no BOS), for the first 32 of feature_tokens.tokens, in their order.';
COMMENT ON COLUMN feature_diagnostics.alone_correlation IS 'Correlation, over all tokens of the sample, of the activation with that on the token alone: near 1, the feature can be read off the embedding. 0 with status constant: silent on every token alone.';
COMMENT ON COLUMN feature_diagnostics.alone_status IS 'ok; silent: never fires in the sample; constant: one side never changes there.';
COMMENT ON COLUMN feature_diagnostics.neuron_hook IS 'Neurons of the nearest MLP (activations after the nonlinearity): at hook_resid_pre the block before, elsewhere in a block its own, at the embedding the first; none where the subject has no such hook.';
COMMENT ON COLUMN feature_diagnostics.neuron IS 'The neuron there of largest absolute correlation with the activation, over all tokens of the sample.';
COMMENT ON COLUMN feature_diagnostics.neuron_correlation IS 'That correlation, with its sign: near 1 or -1, the feature is a neuron.';
COMMENT ON COLUMN feature_diagnostics.neuron_status IS 'ok; silent; constant; no_mlp: there are no neurons to compare with.';
COMMENT ON COLUMN feature_diagnostics.density_cluster IS 'main, or ultralow where features.density is below ultralow_below; none where dead.';
COMMENT ON COLUMN feature_diagnostics.ultralow_below IS 'The same for all features of a dictionary: the density at the valley between two modes of log10 density of those extracted (the rule is in extract/diagnose/clusters.py); none where there is one mode.';

CREATE TABLE feature_neighbours (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, rank INTEGER NOT NULL, neighbour INTEGER NOT NULL,
    cosine DOUBLE NOT NULL, correlation DOUBLE, status VARCHAR NOT NULL
);
COMMENT ON TABLE feature_neighbours IS 'The nearest features: of the whole dictionary, extracted or not, the 5 of largest decoder cosine above 0.';
COMMENT ON COLUMN feature_neighbours.dictionary IS 'Dictionary.';
COMMENT ON COLUMN feature_neighbours.feature IS 'Feature.';
COMMENT ON COLUMN feature_neighbours.rank IS 'From 1, the nearest.';
COMMENT ON COLUMN feature_neighbours.neighbour IS 'The other feature of the same dictionary.';
COMMENT ON COLUMN feature_neighbours.cosine IS 'Cosine of the two directions.';
COMMENT ON COLUMN feature_neighbours.correlation IS 'Pearson correlation of the two activations on the sample of feature_diagnostics.';
COMMENT ON COLUMN feature_neighbours.status IS 'ok; silent: the feature never fires in the sample; constant: the other one never changes there.';

CREATE TABLE contexts (
    context BIGINT NOT NULL, document BIGINT NOT NULL, document_name VARCHAR NOT NULL, document_hash VARCHAR NOT NULL,
    document_block INTEGER NOT NULL, split VARCHAR NOT NULL, document_offset BIGINT NOT NULL,
    tokens INTEGER[] NOT NULL, scored BOOLEAN[] NOT NULL
);
COMMENT ON TABLE contexts IS 'The token sequences that exemplars and the pool refer to; stored once.';
COMMENT ON COLUMN contexts.context IS 'Index in the token file.';
COMMENT ON COLUMN contexts.document IS 'Index of its document.';
COMMENT ON COLUMN contexts.document_name IS 'Name of its document in the source.';
COMMENT ON COLUMN contexts.document_hash IS 'Hash of the document''s content: decides the split.';
COMMENT ON COLUMN contexts.document_block IS 'Block that the document is resampled with, 0 to 31.';
COMMENT ON COLUMN contexts.split IS 'explain, select or score.';
COMMENT ON COLUMN contexts.document_offset IS 'Offset of its first token of text in the document, tokens.';
COMMENT ON COLUMN contexts.tokens IS 'Token ids, special tokens included, padding not.';
COMMENT ON COLUMN contexts.scored IS 'False at special tokens and in dropped windows.';

CREATE TABLE exemplars (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, split VARCHAR NOT NULL, stratum VARCHAR NOT NULL,
    rank INTEGER NOT NULL, context BIGINT NOT NULL, window_start INTEGER NOT NULL, n_tokens INTEGER NOT NULL,
    peak INTEGER NOT NULL,
    max_activation FLOAT GENERATED ALWAYS AS (coalesce(list_max(activations), 0)) VIRTUAL,
    stratum_low DOUBLE, stratum_high DOUBLE, probability DOUBLE, u FLOAT NOT NULL,
    positions UTINYINT[] NOT NULL, activations FLOAT[] NOT NULL
);
COMMENT ON TABLE exemplars IS 'The windows kept for each feature, to be shown (explain), to revise and choose explanations on (select), or scored (score).';
COMMENT ON COLUMN exemplars.dictionary IS 'Dictionary.';
COMMENT ON COLUMN exemplars.feature IS 'Feature.';
COMMENT ON COLUMN exemplars.split IS 'explain, select or score; never two for a document.';
COMMENT ON COLUMN exemplars.stratum IS 'explain: top, quantile_NN, interval_NN, outlier (the strongest firings on tokens of enormous norm, which top, quantile and interval leave out), near_miss, random. select and score: T (the top windows), F (uniform among the other firing windows).';
COMMENT ON COLUMN exemplars.rank IS 'Order in its stratum, from 0.';
COMMENT ON COLUMN exemplars.context IS 'The context the window is cut from.';
COMMENT ON COLUMN exemplars.window_start IS 'Position of its first token in the context. random, T, F: of a window of the grid. The others: of the span around the peak (evidence.left tokens before it), moved inwards at the ends of the context and of dropped windows.';
COMMENT ON COLUMN exemplars.n_tokens IS 'Tokens from there on: tokens.window, fewer where a span or the context is cut short.';
COMMENT ON COLUMN exemplars.peak IS 'Position in the context of the token that it was chosen for (near_miss: one of the feature''s heaviest tokens), else of the largest activation, else of its first token.';
COMMENT ON COLUMN exemplars.max_activation IS 'Largest of activations; 0 in a silent window. Computed when it is read.';
COMMENT ON COLUMN exemplars.stratum_low IS 'Lower end of the activations in a quantile or interval stratum.';
COMMENT ON COLUMN exemplars.stratum_high IS 'Upper end.';
COMMENT ON COLUMN exemplars.probability IS 'Inclusion probability of the unit (token for quantile and interval, window elsewhere); 1 in top and outlier.';
COMMENT ON COLUMN exemplars.u IS 'Hash of (seed, feature, window or position) in [0, 1) that it was chosen by.';
COMMENT ON COLUMN exemplars.positions IS 'Offsets from window_start with a non-zero activation, across the borders of windows too.';
COMMENT ON COLUMN exemplars.activations IS 'The activations there; everywhere else it is 0.';

CREATE TABLE pool (
    split VARCHAR NOT NULL, pool INTEGER NOT NULL, context BIGINT NOT NULL, window_start INTEGER NOT NULL,
    u DOUBLE NOT NULL
);
COMMENT ON TABLE pool IS 'Windows shared by all features: those of smallest hash(seed, window), at most 4,000 of the select split and 20,000 of the score split.';
COMMENT ON COLUMN pool.split IS 'select or score.';
COMMENT ON COLUMN pool.pool IS 'Number in the pool of its split.';
COMMENT ON COLUMN pool.context IS 'Context.';
COMMENT ON COLUMN pool.window_start IS 'Position of the window''s first token in the context.';
COMMENT ON COLUMN pool.u IS 'Hash of (seed, window) in [0, 1).';

CREATE TABLE pool_firing (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, split VARCHAR NOT NULL, listed UINTEGER[], bits BLOB
);
CREATE MACRO pools_of(listed, bits) AS (
    if(bits IS NULL, listed, list_where(range(8 * octet_length(bits))::UINTEGER[], string_split(bits::BIT::VARCHAR, '')::BOOLEAN[]))
);
COMMENT ON TABLE pool_firing IS 'Pool windows in which a feature fires, measured; in all others it is silent. pools_of(listed, bits) are their numbers, rising.';
COMMENT ON COLUMN pool_firing.dictionary IS 'Dictionary.';
COMMENT ON COLUMN pool_firing.feature IS 'Feature.';
COMMENT ON COLUMN pool_firing.split IS 'select or score.';
COMMENT ON COLUMN pool_firing.listed IS 'Numbers of the pool windows, rising, of a feature that fires in few; empty where bits holds them.';
COMMENT ON COLUMN pool_firing.bits IS 'A bit a window, 1 where it fires: the first window of the pool is the highest bit of the first byte, and the last byte is filled up with 0. Of a feature that fires in more than one of 14, which takes less room; empty where listed holds them.';

CREATE TABLE logit_effects (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, direction VARCHAR NOT NULL, rank INTEGER NOT NULL,
    token INTEGER NOT NULL, effect DOUBLE NOT NULL, z DOUBLE NOT NULL
);
COMMENT ON TABLE logit_effects IS 'Direct logit effects: decoder direction through the final norm''s weight and the unembedding, median zero.';
COMMENT ON COLUMN logit_effects.dictionary IS 'Dictionary.';
COMMENT ON COLUMN logit_effects.feature IS 'Feature.';
COMMENT ON COLUMN logit_effects.direction IS 'promoted or suppressed.';
COMMENT ON COLUMN logit_effects.rank IS 'From 1.';
COMMENT ON COLUMN logit_effects.token IS 'Token id; tokens that never stand in the corpus are left out.';
COMMENT ON COLUMN logit_effects.effect IS 'Change of the logit for a unit step along the decoder direction (final norm''s scale taken as 1).';
COMMENT ON COLUMN logit_effects.z IS 'Effect over the standard deviation of the feature''s effects.';

CREATE TABLE logit_strengths (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, direction VARCHAR NOT NULL, n_half INTEGER, skew DOUBLE,
    excess_kurtosis DOUBLE, counts UINTEGER[] NOT NULL
);
COMMENT ON TABLE logit_strengths IS 'How concentrated the direct logit effects of a feature are: a list of promoted tokens says little where many tokens share its effect.';
COMMENT ON COLUMN logit_strengths.dictionary IS 'Dictionary.';
COMMENT ON COLUMN logit_strengths.feature IS 'Feature.';
COMMENT ON COLUMN logit_strengths.direction IS 'promoted or suppressed.';
COMMENT ON COLUMN logit_strengths.n_half IS 'The fewest tokens that hold half of the squared effects on this side of the median; none: more than 1,024.';
COMMENT ON COLUMN logit_strengths.skew IS 'Skewness of the feature''s effects on all tokens of the corpus, the same in both rows: above 0, a few tokens are promoted far more than any is suppressed; none where all effects are one.';
COMMENT ON COLUMN logit_strengths.excess_kurtosis IS 'Their kurtosis less 3, the same in both rows: 0 as of a normal distribution, large where a few tokens hold the effect; none where all effects are one.';
COMMENT ON COLUMN logit_strengths.counts IS 'How many tokens lie how far on this side of the median, in standard deviations of the effects: 0 to 0.5, 0.5 to 1, and so on; the last of 17 counts is 8 and more. Tokens at the median count as promoted; the counts of both rows are all tokens of the corpus.';

CREATE TABLE output_scores (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, status VARCHAR NOT NULL,
    activation DOUBLE, norm DOUBLE, token INTEGER, probability DOUBLE, rank INTEGER, score DOUBLE, score_before DOUBLE
);
COMMENT ON TABLE output_scores IS 'Whether a feature, amplified at the end of a neutral prompt, makes the model say the tokens that it promotes directly: a row for every feature. current_output_scores shows the latest.';
COMMENT ON COLUMN output_scores.run IS 'The work that measured it.';
COMMENT ON COLUMN output_scores.dictionary IS 'Dictionary.';
COMMENT ON COLUMN output_scores.feature IS 'Feature.';
COMMENT ON COLUMN output_scores.status IS 'ok; silent, it never fires on the explain split, so that there is no size to amplify it to; writes_nothing, its decoder direction is zero; not_finite, the model''s output with it is not.';
COMMENT ON COLUMN output_scores.activation IS 'What was added to its activation: effects.output_factor times features.max_activation.';
COMMENT ON COLUMN output_scores.norm IS 'Norm of what that adds at the hook point.';
COMMENT ON COLUMN output_scores.token IS 'The likeliest, when it is amplified, of its 20 most promoted tokens (logit_effects).';
COMMENT ON COLUMN output_scores.probability IS 'The probability of that token then.';
COMMENT ON COLUMN output_scores.rank IS 'Its place among all tokens then, from 1.';
COMMENT ON COLUMN output_scores.score IS 'probability times (1 - (rank - 1) / number of tokens of the subject): the output score of Arad et al. 2025.';
COMMENT ON COLUMN output_scores.score_before IS 'The same of the likeliest of the 20 where nothing is amplified.';

CREATE TABLE logit_distractors (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, direction VARCHAR NOT NULL, kind VARCHAR NOT NULL,
    tokens INTEGER[] NOT NULL, made_like INTEGER[] NOT NULL, promoted_by INTEGER[] NOT NULL
);
COMMENT ON TABLE logit_distractors IS 'Tokens that a feature does not promote and that are hard to tell from those that it does: wrong tokens of the hard set of logit effects are taken from these. Whole characters only, none that is special or never stands in the corpus.';
COMMENT ON COLUMN logit_distractors.dictionary IS 'Dictionary.';
COMMENT ON COLUMN logit_distractors.feature IS 'Feature.';
COMMENT ON COLUMN logit_distractors.direction IS 'promoted; suppressed: the same of the tokens that it suppresses.';
COMMENT ON COLUMN logit_distractors.kind IS 'similar: as similar to the ten shown tokens as a promoted one, own rank past 600; same_norm: of the same length of its row of the centred unembedding and as frequent as a promoted one, own rank past 600; neighbour: promoted by one of the nearest other features (cosine of effects below .9), own rank past 200.';
COMMENT ON COLUMN logit_distractors.tokens IS 'Token ids.';
COMMENT ON COLUMN logit_distractors.made_like IS 'similar, same_norm: the promoted token that each is made like.';
COMMENT ON COLUMN logit_distractors.promoted_by IS 'neighbour: the feature that promotes each.';

CREATE TABLE causal_effects (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, split VARCHAR NOT NULL,
    context BIGINT NOT NULL, position INTEGER NOT NULL, activation FLOAT NOT NULL, direction VARCHAR NOT NULL,
    norm DOUBLE NOT NULL, kl DOUBLE NOT NULL, kl_after DOUBLE, n_after INTEGER NOT NULL, entropy DOUBLE NOT NULL,
    loss_change DOUBLE, loss_estimate DOUBLE, loss_change_after DOUBLE, direct_share DOUBLE,
    likeliest INTEGER[], likeliest_change FLOAT[], likeliest_estimate FLOAT[], moved INTEGER[], logit_change FLOAT[]
);
COMMENT ON TABLE causal_effects IS 'What changes where a feature is taken away at a token at which it fires, and the model goes on without it; beside it random directions of the same norm, at the same token. current_effects shows the latest.';
COMMENT ON COLUMN causal_effects.run IS 'The work that measured it.';
COMMENT ON COLUMN causal_effects.dictionary IS 'Dictionary.';
COMMENT ON COLUMN causal_effects.feature IS 'Feature.';
COMMENT ON COLUMN causal_effects.split IS 'explain or score: each firing token of a split is as likely to be among those of a feature.';
COMMENT ON COLUMN causal_effects.context IS 'Context.';
COMMENT ON COLUMN causal_effects.position IS 'Position in the context of the token at which the feature fires.';
COMMENT ON COLUMN causal_effects.activation IS 'Its activation there.';
COMMENT ON COLUMN causal_effects.direction IS 'What is subtracted: feature, its activation times its decoder direction; isotropic, a random direction; covariance, one with the covariance of the activations at the hook; all of the same norm.';
COMMENT ON COLUMN causal_effects.norm IS 'Norm of what is subtracted.';
COMMENT ON COLUMN causal_effects.kl IS 'KL divergence of the model without it from the model as it is, at the position, nats.';
COMMENT ON COLUMN causal_effects.kl_after IS 'Its mean over the positions behind it; none at the last token of a context.';
COMMENT ON COLUMN causal_effects.n_after IS 'How many those are: effects.after, fewer at the end of a context.';
COMMENT ON COLUMN causal_effects.entropy IS 'Entropy of the model as it is at the position, nats: what kl is to be held against.';
COMMENT ON COLUMN causal_effects.loss_change IS 'Change of the loss of the next token, nats; above 0, the model is worse without it; none at the last token of a context.';
COMMENT ON COLUMN causal_effects.loss_estimate IS 'What a first-order estimate says of loss_change: the gradient of that loss at the hook point times what is subtracted, with a minus; for a feature its activation times the gradient along its direction. Empty also where the model cannot be differentiated. estimate_agreement says how far to trust it.';
COMMENT ON COLUMN causal_effects.loss_change_after IS 'Mean change of the losses of the tokens after that one; none where there are none.';
COMMENT ON COLUMN causal_effects.direct_share IS 'feature: correlation, over the tokens that stand in the corpus, of what the feature adds to each logit, measured, with its direct logit effects; none where there is no direct path.';
COMMENT ON COLUMN causal_effects.likeliest IS 'The tokens that are likeliest next at the position as the model is, the likeliest first. Empty where there is no estimate.';
COMMENT ON COLUMN causal_effects.likeliest_change IS 'Change of the logit of each without what is subtracted, the mean change of all tokens taken off.';
COMMENT ON COLUMN causal_effects.likeliest_estimate IS 'What a first-order estimate says of likeliest_change, as loss_estimate does of loss_change.';
COMMENT ON COLUMN causal_effects.moved IS 'feature: the ten tokens whose logits fall most without it, then the ten that rise most; tokens that never stand in the corpus are left out.';
COMMENT ON COLUMN causal_effects.logit_change IS 'feature: by how much those logits change, the median change taken off.';

CREATE TABLE context_effects (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, context BIGINT NOT NULL,
    peak INTEGER NOT NULL, activation DOUBLE NOT NULL, position INTEGER NOT NULL, other INTEGER,
    removed DOUBLE, masked DOUBLE, replaced DOUBLE, cut DOUBLE, between DOUBLE
);
COMMENT ON TABLE context_effects IS 'What an activation depends on: that of a feature at the strongest token of a top exemplar (explain split), with tokens before it changed; a row for each of these tokens, and for pairs of those with the largest changes. current_context_effects shows the latest.';
COMMENT ON COLUMN context_effects.run IS 'The work that measured it.';
COMMENT ON COLUMN context_effects.dictionary IS 'Dictionary.';
COMMENT ON COLUMN context_effects.feature IS 'Feature.';
COMMENT ON COLUMN context_effects.context IS 'Context.';
COMMENT ON COLUMN context_effects.peak IS 'Position in the context of the exemplar''s strongest token.';
COMMENT ON COLUMN context_effects.activation IS 'The activation there, as it is.';
COMMENT ON COLUMN context_effects.position IS 'Position of the token that is changed, before the peak.';
COMMENT ON COLUMN context_effects.other IS 'Of a pair: the second token that is changed.';
COMMENT ON COLUMN context_effects.removed IS 'The activation where the token is left out, and what stands behind it moves up.';
COMMENT ON COLUMN context_effects.masked IS 'The activation where the token keeps its place and no other sees it; none where the model cannot be run so.';
COMMENT ON COLUMN context_effects.replaced IS 'The activation where another token stands there, drawn as the explain split has them: mean of two draws.';
COMMENT ON COLUMN context_effects.cut IS 'The activation where the text begins behind the token (the BOS stays). In the last row before the peak: the activation on the peak''s token alone.';
COMMENT ON COLUMN context_effects.between IS 'The activation where the token and all that stand between it and the peak are masked.';

CREATE TABLE following_effects (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, context BIGINT NOT NULL,
    peak INTEGER NOT NULL, n_firing INTEGER NOT NULL, start INTEGER NOT NULL, logp_change FLOAT[] NOT NULL
);
COMMENT ON TABLE following_effects IS 'What a feature does to the tokens that follow, in the contexts of its top exemplars (explain split): it is taken away at every token where it fires. current_following_effects shows the latest.';
COMMENT ON COLUMN following_effects.run IS 'The work that measured it.';
COMMENT ON COLUMN following_effects.dictionary IS 'Dictionary.';
COMMENT ON COLUMN following_effects.feature IS 'Feature.';
COMMENT ON COLUMN following_effects.context IS 'Context.';
COMMENT ON COLUMN following_effects.peak IS 'Position in the context of the exemplar''s strongest token.';
COMMENT ON COLUMN following_effects.n_firing IS 'Tokens of the context at which it was taken away.';
COMMENT ON COLUMN following_effects.start IS 'Position of the token behind the first of them.';
COMMENT ON COLUMN following_effects.logp_change IS 'Change of the log probability of each token from there to the context''s end, nats; below 0, the feature makes the token likelier.';

CREATE TABLE sensitivity (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, context BIGINT NOT NULL,
    position INTEGER NOT NULL, direction VARCHAR NOT NULL, entropy DOUBLE NOT NULL, sizes DOUBLE[] NOT NULL,
    kl DOUBLE[] NOT NULL, last_distance DOUBLE[], size_025 DOUBLE, size_050 DOUBLE, size_100 DOUBLE, steepest DOUBLE NOT NULL
);
COMMENT ON TABLE sensitivity IS 'How far the output moves with the size of a step at a token at which a feature fires (score split): a row for each direction of the step. current_sensitivity shows the latest.';
COMMENT ON COLUMN sensitivity.run IS 'The work that measured it.';
COMMENT ON COLUMN sensitivity.dictionary IS 'Dictionary.';
COMMENT ON COLUMN sensitivity.feature IS 'Feature.';
COMMENT ON COLUMN sensitivity.context IS 'Context.';
COMMENT ON COLUMN sensitivity.position IS 'Position in the context of the token.';
COMMENT ON COLUMN sensitivity.direction IS 'What is added: feature, along its decoder direction; isotropic, a random direction; covariance, one with the covariance of the activations at the hook; difference, from one activation of the corpus to another; neuron, the output of the neuron nearest to the feature''s direction (none where no MLP wrote there last).';
COMMENT ON COLUMN sensitivity.entropy IS 'Entropy of the model as it is at the position, nats.';
COMMENT ON COLUMN sensitivity.sizes IS 'Norms of the steps, rising: from 1/32 of the median norm of the activations at the hook to 4 times it.';
COMMENT ON COLUMN sensitivity.kl IS 'KL divergence of the model with each step from the model as it is, at the position, nats.';
COMMENT ON COLUMN sensitivity.last_distance IS 'Of each step, at the position: Euclidean distance of the residual stream behind the last block, before the final norm, with the step from that without, over the norm of that without. Empty where it cannot be read.';
COMMENT ON COLUMN sensitivity.size_025 IS 'The first size whose KL is 0.25, between the steps by a line of logarithms; none where no step reaches it.';
COMMENT ON COLUMN sensitivity.size_050 IS 'Of 0.5.';
COMMENT ON COLUMN sensitivity.size_100 IS 'Of 1.';
COMMENT ON COLUMN sensitivity.steepest IS 'The size at which KL grows fastest with it: small where a step counts at once, large behind a plateau.';

CREATE TABLE feature_geometry (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, direction VARCHAR NOT NULL,
    status VARCHAR NOT NULL, nearest INTEGER, cosine DOUBLE, atoms INTEGER[], explained DOUBLE[],
    neuron INTEGER, neuron_cosine DOUBLE
);
COMMENT ON TABLE feature_geometry IS 'Where the direction that a feature writes lies among those of the other features of its dictionary, and among neurons; beside it random directions held against the same rows. Of the features that effects.geometry_features chooses.';
COMMENT ON COLUMN feature_geometry.run IS 'The piece of work that made it: `work` of stage geometry.';
COMMENT ON COLUMN feature_geometry.dictionary IS 'Dictionary.';
COMMENT ON COLUMN feature_geometry.feature IS 'Feature; of a random direction the one it stands beside, whose row is left out too.';
COMMENT ON COLUMN feature_geometry.direction IS 'feature: its own; isotropic: a random one; covariance: a random one that is spread as the activations at the hook are (outliers left out).';
COMMENT ON COLUMN feature_geometry.status IS 'ok; zero: the direction has no length; alone: there is no other row.';
COMMENT ON COLUMN feature_geometry.nearest IS 'The other feature of the whole dictionary whose row has the largest cosine with it, extracted or not; rows of the same unit of a baseline are no others.';
COMMENT ON COLUMN feature_geometry.cosine IS 'That cosine, with its sign.';
COMMENT ON COLUMN feature_geometry.atoms IS 'The features whose rows orthogonal matching pursuit takes, in order: 8 at most, fewer where nothing is left.';
COMMENT ON COLUMN feature_geometry.explained IS 'Share of the direction''s squared norm that the first 1, 2, ... 8 of them span.';
COMMENT ON COLUMN feature_geometry.neuron IS 'The neuron, of the MLP that wrote at the hook last, whose output has the largest absolute cosine with it; none where there is no such MLP.';
COMMENT ON COLUMN feature_geometry.neuron_cosine IS 'That cosine, with its sign: near 1 or -1, the feature writes what one neuron writes.';

CREATE TABLE description_lengths (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, n_tokens BIGINT NOT NULL, step DOUBLE NOT NULL,
    bits DOUBLE NOT NULL, n_active DOUBLE NOT NULL, coordinate_bits DOUBLE NOT NULL, n_cut BIGINT NOT NULL,
    variance_explained DOUBLE
);
COMMENT ON TABLE description_lengths IS 'What the activations of a dictionary cost to tell at a stated precision, bits a token, beside what they explain. Sum over features of the entropy of the contribution (activation x norm of the direction) rounded to multiples of step, features coded apart (after Ayonrinde, Pearce & Sharkey 2024), with Miller''s correction.';
COMMENT ON COLUMN description_lengths.run IS 'The piece of work that made it: `work` of stage geometry.';
COMMENT ON COLUMN description_lengths.dictionary IS 'Dictionary.';
COMMENT ON COLUMN description_lengths.n_tokens IS 'Tokens of the explain split behind it; outliers are left out.';
COMMENT ON COLUMN description_lengths.step IS '1/64 of the median norm of the activations where it writes.';
COMMENT ON COLUMN description_lengths.bits IS 'Bits a token.';
COMMENT ON COLUMN description_lengths.n_active IS 'Features a token whose contribution is not rounded to 0.';
COMMENT ON COLUMN description_lengths.coordinate_bits IS 'The same of the coordinates of the activations themselves, their means taken off: without any dictionary.';
COMMENT ON COLUMN description_lengths.n_cut IS 'Contributions above 255 steps, which count as 255.';
COMMENT ON COLUMN description_lengths.variance_explained IS 'Of what is there, on the same tokens: 1 - residual / variance. Empty for baselines, which reconstruct nothing.';

CREATE TABLE dictionary_similarities (
    run VARCHAR NOT NULL, a VARCHAR NOT NULL, b VARCHAR NOT NULL, n_tokens BIGINT NOT NULL, n_features BIGINT NOT NULL,
    n_compared BIGINT NOT NULL, correlation DOUBLE, share_050 DOUBLE, share_070 DOUBLE, cosine DOUBLE,
    n_gram_tokens BIGINT NOT NULL, cka DOUBLE, cka_permuted DOUBLE, n_rsa_tokens BIGINT NOT NULL, rsa DOUBLE,
    rsa_permuted DOUBLE
);
COMMENT ON TABLE dictionary_similarities IS 'How much of dictionary A is in dictionary B: best matches of the features of A, and what both make of the same tokens (explain split, outliers left out).';
COMMENT ON COLUMN dictionary_similarities.run IS 'The piece of work that made it: `work` of stage similarity.';
COMMENT ON COLUMN dictionary_similarities.a IS 'Dictionary A.';
COMMENT ON COLUMN dictionary_similarities.b IS 'Dictionary B.';
COMMENT ON COLUMN dictionary_similarities.n_tokens IS 'Tokens on which activations are correlated.';
COMMENT ON COLUMN dictionary_similarities.n_features IS 'Extracted features of A.';
COMMENT ON COLUMN dictionary_similarities.n_compared IS 'Of these, those that fire on 20 of the tokens or more: the others cannot be matched.';
COMMENT ON COLUMN dictionary_similarities.correlation IS 'Mean over these of the largest correlation of activations with any feature of B that fires so often (feature_matches); 0 where none fires with it.';
COMMENT ON COLUMN dictionary_similarities.share_050 IS 'Share of them whose largest correlation is .5 or more, as compare --match counts.';
COMMENT ON COLUMN dictionary_similarities.share_070 IS 'Share of .7 or more.';
COMMENT ON COLUMN dictionary_similarities.cosine IS 'Mean, over the features of A that effects.geometry_features chooses, of the largest cosine with the direction of any feature of B; none where the two write at different hooks.';
COMMENT ON COLUMN dictionary_similarities.n_gram_tokens IS 'Tokens behind cka, evenly spread over n_tokens.';
COMMENT ON COLUMN dictionary_similarities.cka IS 'Linear centred kernel alignment of the activations of all features (Kornblith et al. 2019).';
COMMENT ON COLUMN dictionary_similarities.cka_permuted IS 'The same with the tokens of B in another order: what chance gives.';
COMMENT ON COLUMN dictionary_similarities.n_rsa_tokens IS 'Of the tokens, those at which neither dictionary is silent, evenly thinned to 512 at most.';
COMMENT ON COLUMN dictionary_similarities.rsa IS 'Spearman''s correlation, over pairs of these tokens, of their similarity in A and in B: Pearson''s of the activations of all features (Kriegeskorte et al. 2008).';
COMMENT ON COLUMN dictionary_similarities.rsa_permuted IS 'The same with the tokens of B in another order.';

CREATE TABLE feature_matches (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, other VARCHAR NOT NULL, match INTEGER,
    correlation DOUBLE, cosine DOUBLE, status VARCHAR NOT NULL
);
COMMENT ON TABLE feature_matches IS 'Of each extracted feature the feature of each other dictionary whose activations correlate most with its own, on the tokens of dictionary_similarities.';
COMMENT ON COLUMN feature_matches.run IS 'The piece of work that made it: `work` of stage similarity.';
COMMENT ON COLUMN feature_matches.dictionary IS 'Dictionary.';
COMMENT ON COLUMN feature_matches.feature IS 'Feature.';
COMMENT ON COLUMN feature_matches.other IS 'The other dictionary.';
COMMENT ON COLUMN feature_matches.match IS 'Its feature of largest correlation, extracted or not; none where status is not ok.';
COMMENT ON COLUMN feature_matches.correlation IS 'Pearson correlation of the two activations.';
COMMENT ON COLUMN feature_matches.cosine IS 'Cosine of their directions; none where the two dictionaries write at different hooks.';
COMMENT ON COLUMN feature_matches.status IS 'ok; seldom: the feature fires on fewer than 20 of the tokens; none: no feature of the other that fires so often ever fires with it.';

CREATE TABLE token_changes (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, split VARCHAR NOT NULL,
    direction VARCHAR NOT NULL, side VARCHAR NOT NULL, rank INTEGER NOT NULL, token INTEGER NOT NULL,
    change DOUBLE NOT NULL, error DOUBLE NOT NULL, z DOUBLE NOT NULL
);
COMMENT ON TABLE token_changes IS 'TokenChange: the tokens whose logits rise and fall most where a feature is clamped at its maximum, in contexts of the corpus that are the same for all features; beside it a random direction of the same norm. current_token_changes shows the latest.';
COMMENT ON COLUMN token_changes.run IS 'The work that measured it.';
COMMENT ON COLUMN token_changes.dictionary IS 'Dictionary.';
COMMENT ON COLUMN token_changes.feature IS 'Feature.';
COMMENT ON COLUMN token_changes.split IS 'Whose contexts: explain, which explainers see, or score, which they are judged by.';
COMMENT ON COLUMN token_changes.direction IS 'feature, or covariance: a random direction with the covariance of the activations at the hook, one for each feature.';
COMMENT ON COLUMN token_changes.side IS 'risen or fallen.';
COMMENT ON COLUMN token_changes.rank IS 'From 1, the strongest: 60 of a feature, 10 of a random direction. Tokens that never stand in the corpus are left out.';
COMMENT ON COLUMN token_changes.token IS 'Token.';
COMMENT ON COLUMN token_changes.change IS 'Mean change of its logit, the median change of all tokens taken off.';
COMMENT ON COLUMN token_changes.error IS 'Standard error of that over contexts.';
COMMENT ON COLUMN token_changes.z IS 'The change over the standard deviation of all tokens'' changes.';

CREATE TABLE token_change_strengths (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, split VARCHAR NOT NULL,
    direction VARCHAR NOT NULL, activation DOUBLE NOT NULL, norm DOUBLE NOT NULL, n_contexts INTEGER NOT NULL,
    n_tokens INTEGER NOT NULL, kl DOUBLE NOT NULL, spread DOUBLE NOT NULL, agreement DOUBLE, direct_share DOUBLE
);
COMMENT ON TABLE token_change_strengths IS 'How far the output moves where a feature is clamped, over all tokens: a row for each feature, split and direction of token_changes.';
COMMENT ON COLUMN token_change_strengths.run IS 'The work that measured it.';
COMMENT ON COLUMN token_change_strengths.dictionary IS 'Dictionary.';
COMMENT ON COLUMN token_change_strengths.feature IS 'Feature.';
COMMENT ON COLUMN token_change_strengths.split IS 'explain or score.';
COMMENT ON COLUMN token_change_strengths.direction IS 'feature or covariance.';
COMMENT ON COLUMN token_change_strengths.activation IS 'What the feature is clamped at: its largest activation on the explain split.';
COMMENT ON COLUMN token_change_strengths.norm IS 'Norm of what is added, mean over the tokens.';
COMMENT ON COLUMN token_change_strengths.n_contexts IS 'Contexts.';
COMMENT ON COLUMN token_change_strengths.n_tokens IS 'Tokens at which it is clamped, in all.';
COMMENT ON COLUMN token_change_strengths.kl IS 'KL divergence from the model as it is, nats, mean over the tokens.';
COMMENT ON COLUMN token_change_strengths.spread IS 'Standard deviation over tokens of the vocabulary of the mean changes of their logits.';
COMMENT ON COLUMN token_change_strengths.agreement IS 'Correlation, over the vocabulary, of the changes in the two splits: near 1, they are the feature''s and not those of the contexts.';
COMMENT ON COLUMN token_change_strengths.direct_share IS 'Correlation, over the vocabulary, of the changes with the direct effects of what is added; none where there is no direct path.';

CREATE TABLE token_change_distractors (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, side VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, tokens INTEGER[] NOT NULL, made_like INTEGER[] NOT NULL, promoted_by INTEGER[] NOT NULL
);
COMMENT ON TABLE token_change_distractors IS 'As logit_distractors, of measured effects: tokens that a clamped feature does not raise (or lower) in the score split, and that are hard to tell from those that it does.';
COMMENT ON COLUMN token_change_distractors.run IS 'The work that measured it.';
COMMENT ON COLUMN token_change_distractors.dictionary IS 'Dictionary.';
COMMENT ON COLUMN token_change_distractors.feature IS 'Feature.';
COMMENT ON COLUMN token_change_distractors.side IS 'risen or fallen.';
COMMENT ON COLUMN token_change_distractors.kind IS 'similar, same_norm, neighbour, as of logit_distractors; the nearest other features are those measured with it.';
COMMENT ON COLUMN token_change_distractors.tokens IS 'Token ids.';
COMMENT ON COLUMN token_change_distractors.made_like IS 'similar, same_norm: the changed token that each is made like.';
COMMENT ON COLUMN token_change_distractors.promoted_by IS 'neighbour: the feature that changes each.';

CREATE TABLE steered_texts (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, number INTEGER NOT NULL,
    context BIGINT NOT NULL, position INTEGER NOT NULL, size DOUBLE NOT NULL, kl_select DOUBLE NOT NULL,
    kl DOUBLE NOT NULL, tokens INTEGER[] NOT NULL
);
COMMENT ON TABLE steered_texts IS 'What the model writes behind a beginning of the score split with a feature''s direction added at every token: what the scorer intervention asks about. current_steered_texts shows the latest.';
COMMENT ON COLUMN steered_texts.run IS 'The work that made it.';
COMMENT ON COLUMN steered_texts.dictionary IS 'Dictionary.';
COMMENT ON COLUMN steered_texts.feature IS 'Feature.';
COMMENT ON COLUMN steered_texts.number IS 'Of the beginning, from 1: the same for all features.';
COMMENT ON COLUMN steered_texts.context IS 'Context of the beginning.';
COMMENT ON COLUMN steered_texts.position IS 'Position in the context of the beginning''s first token.';
COMMENT ON COLUMN steered_texts.size IS 'Length of what is added at each token: the one at which the prediction moves by the chosen KL (steering_strengths) on average behind beginnings of the select split.';
COMMENT ON COLUMN steered_texts.kl_select IS 'That average, nats.';
COMMENT ON COLUMN steered_texts.kl IS 'KL divergence of the prediction behind this beginning from that of the model as it is, nats.';
COMMENT ON COLUMN steered_texts.tokens IS 'What was written.';

CREATE TABLE steering_strengths (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, kl DOUBLE NOT NULL, n_features INTEGER NOT NULL,
    n_unreached INTEGER NOT NULL, n_questions INTEGER NOT NULL, accuracy DOUBLE, se DOUBLE, chosen BOOLEAN NOT NULL
);
COMMENT ON TABLE steering_strengths IS 'The strengths of effects.steer_kl, and which of them the steered texts are written at: chosen on the select split, the same for all dictionaries of a run. current_steering_strengths shows the latest.';
COMMENT ON COLUMN steering_strengths.run IS 'The work that made it.';
COMMENT ON COLUMN steering_strengths.dictionary IS 'Dictionary.';
COMMENT ON COLUMN steering_strengths.kl IS 'KL divergence by which the prediction moves, nats.';
COMMENT ON COLUMN steering_strengths.n_features IS 'Features that were steered.';
COMMENT ON COLUMN steering_strengths.n_unreached IS 'Those of them whose direction does not move the output so far.';
COMMENT ON COLUMN steering_strengths.n_questions IS 'Questions about texts of the select split; 0 where there is a single strength and nothing to choose.';
COMMENT ON COLUMN steering_strengths.accuracy IS 'Share of the questions that the tokens of the largest direct effects answer right (one in three by chance), mean over features, one that does not reach the strength being at chance; not there where no feature has a question.';
COMMENT ON COLUMN steering_strengths.se IS 'Its standard error over features.';
COMMENT ON COLUMN steering_strengths.chosen IS 'Whether texts of the score split are written at it: the least strength that is within a standard error of the best, dictionaries counting the same.';

CREATE TABLE again (
    number INTEGER NOT NULL, event VARCHAR NOT NULL, said VARCHAR NOT NULL, dictionary VARCHAR, explainer VARCHAR,
    explained INTEGER[] NOT NULL, judged INTEGER[] NOT NULL, happened_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE again IS 'Requests to ask about features again (run --features, --where): a row for each dictionary and explainer when one is made, and one when it is finished.';
COMMENT ON COLUMN again.number IS 'Number of the request, from 1. LLMs are asked under sample numbers from 100 times this.';
COMMENT ON COLUMN again.event IS 'asked or finished. The same command goes on with a request that is not finished.';
COMMENT ON COLUMN again.said IS 'The options of the command.';
COMMENT ON COLUMN again.dictionary IS 'asked: the dictionary.';
COMMENT ON COLUMN again.explainer IS 'asked: the explainer.';
COMMENT ON COLUMN again.explained IS 'asked: the features that are explained again.';
COMMENT ON COLUMN again.judged IS 'asked: the features that are judged again, where they are sampled.';
COMMENT ON COLUMN again.happened_at IS 'When, UTC.';

CREATE TABLE lookups (
    lookup VARCHAR NOT NULL, previous INTEGER[] NOT NULL, tokens INTEGER[] NOT NULL, value FLOAT[] NOT NULL,
    probability FLOAT[] NOT NULL
);
COMMENT ON TABLE lookups IS 'What the embedded simulator looks up: the longest match of (previous token, token) gives the prediction, else 0.';
COMMENT ON COLUMN lookups.lookup IS 'Hash of the entries.';
COMMENT ON COLUMN lookups.previous IS 'Token that must stand before; -1 for any.';
COMMENT ON COLUMN lookups.tokens IS 'Token id.';
COMMENT ON COLUMN lookups.value IS 'Predicted activation; of lexical and its controls the strength that the text says, in tenths of the strongest.';
COMMENT ON COLUMN lookups.probability IS 'Predicted share of occurrences that fire; of lexical and its controls 1 - exp(-strength / 4).';

CREATE TABLE explanations (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, text VARCHAR,
    status VARCHAR NOT NULL, lookup VARCHAR, donor INTEGER, promotes VARCHAR, triggers VARCHAR[], prompt VARCHAR,
    request VARCHAR, model VARCHAR, again INTEGER NOT NULL, is_control BOOLEAN NOT NULL,
    description_length INTEGER, n_entries INTEGER, exemplars_left_out INTEGER
);
COMMENT ON TABLE explanations IS 'All that each explainer ever said; current_explanations shows the latest. Controls (shuffled, constant, generic) and ceilings (context_lookup, token_lookup) are explainers too.';
COMMENT ON COLUMN explanations.dictionary IS 'Dictionary.';
COMMENT ON COLUMN explanations.feature IS 'Feature.';
COMMENT ON COLUMN explanations.explainer IS 'lexical; ceilings: context_lookup, token_lookup; model/preset/evidence (behind it /best3+revise1 where drafts were refined), the name of your own, human, what was imported; controls: shuffled, constant, generic, shuffled:EXPLAINER.';
COMMENT ON COLUMN explanations.text IS 'The explanation: when it fires.';
COMMENT ON COLUMN explanations.status IS 'ok, or why there is none (dead, no_disjoint_feature ...).';
COMMENT ON COLUMN explanations.lookup IS 'The lookup that the embedded simulator runs for it.';
COMMENT ON COLUMN explanations.donor IS 'shuffled: the feature whose explanation this is.';
COMMENT ON COLUMN explanations.promotes IS 'The second answer: which tokens it makes likelier; none where it was not asked for.';
COMMENT ON COLUMN explanations.triggers IS 'Tokens that the explainer expects to fire it, as it wrote them.';
COMMENT ON COLUMN explanations.prompt IS 'LLM explainers: hash of the words, demonstrations and constants that the prompt was made of.';
COMMENT ON COLUMN explanations.request IS 'LLM explainers: the call it comes from, in llm_calls.';
COMMENT ON COLUMN explanations.model IS 'LLM explainers: the model that the server says answered.';
COMMENT ON COLUMN explanations.again IS '0, or the number of the request (table again) that it was explained again for.';
COMMENT ON COLUMN explanations.is_control IS 'Whether the explainer is there to score low (shuffled, constant, generic, shuffled:NAME): its text is no label.';
COMMENT ON COLUMN explanations.description_length IS 'Tokens of what it says: a quarter of the UTF-8 bytes of text and promotes, rounded up; where the text does not name the entries of the lookup, one more for each number of it (three an entry, four where a token before is named). Empty where it says nothing.';
COMMENT ON COLUMN explanations.n_entries IS 'Entries of its lookup; none where it has no lookup.';
COMMENT ON COLUMN explanations.exemplars_left_out IS 'LLM explainers: exemplars that the prompt leaves out because the model''s context is too short for them; the prompt says so too. 0: none. Empty where nothing was asked.';

CREATE TABLE probes (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, draft INTEGER NOT NULL,
    number INTEGER NOT NULL, intended BOOLEAN NOT NULL, text VARCHAR NOT NULL, n_tokens INTEGER NOT NULL,
    max_activation DOUBLE, again INTEGER NOT NULL
);
COMMENT ON TABLE probes IS 'Explainers with probe: texts that the explainer wrote from a draft, and what the feature does on them: the subject read them.';
COMMENT ON COLUMN probes.dictionary IS 'Dictionary.';
COMMENT ON COLUMN probes.feature IS 'Feature.';
COMMENT ON COLUMN probes.explainer IS 'Explainer: model/preset/evidence/probe1.';
COMMENT ON COLUMN probes.draft IS 'The draft (table drafts) that it was written from.';
COMMENT ON COLUMN probes.number IS 'From 1, in the order of the reply.';
COMMENT ON COLUMN probes.intended IS 'Whether it was written to make the feature fire.';
COMMENT ON COLUMN probes.text IS 'The text.';
COMMENT ON COLUMN probes.n_tokens IS 'Tokens of it that were read; a text longer than a context is cut.';
COMMENT ON COLUMN probes.max_activation IS 'The feature''s largest activation on it, in the dictionary''s own scale; none where no token was read.';
COMMENT ON COLUMN probes.again IS 'Which time of asking again (0: the first): explanations.again.';

CREATE TABLE drafts (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, draft INTEGER NOT NULL,
    round INTEGER NOT NULL, revised INTEGER, chosen BOOLEAN NOT NULL, text VARCHAR, promotes VARCHAR,
    triggers VARCHAR[], status VARCHAR NOT NULL, reason VARCHAR NOT NULL, select_score DOUBLE,
    select_status VARCHAR NOT NULL, n_select INTEGER NOT NULL, select_contexts BIGINT[] NOT NULL,
    shown_contexts BIGINT[] NOT NULL, prompt VARCHAR NOT NULL, request VARCHAR NOT NULL, sample INTEGER NOT NULL,
    model VARCHAR, again INTEGER NOT NULL
);
COMMENT ON TABLE drafts IS 'Explainers with best_of, probe or revise: every draft, how it did on the select split, and which was kept as the explanation.';
COMMENT ON COLUMN drafts.dictionary IS 'Dictionary.';
COMMENT ON COLUMN drafts.feature IS 'Feature.';
COMMENT ON COLUMN drafts.explainer IS 'Explainer: model/preset/evidence/best3+probe1+revise1.';
COMMENT ON COLUMN drafts.draft IS 'Number among the feature''s drafts, from 0.';
COMMENT ON COLUMN drafts.round IS '0: one of the best_of first drafts; from 1: the round, those with probes first.';
COMMENT ON COLUMN drafts.revised IS 'From round 1: the draft that was shown, with its probes or its counterexamples.';
COMMENT ON COLUMN drafts.chosen IS 'Whether it is the explanation: the best select_score, the earlier one of equals; the last draft where no judge chooses.';
COMMENT ON COLUMN drafts.text IS 'When it fires, as the draft says.';
COMMENT ON COLUMN drafts.promotes IS 'Which tokens it makes likelier, as the draft says.';
COMMENT ON COLUMN drafts.triggers IS 'Tokens that the draft expects to fire it.';
COMMENT ON COLUMN drafts.status IS 'ok, or why there is no draft: refused, truncated, invalid ..., too_long (prompt and reply do not fit into the context, even without an exemplar: nothing was sent).';
COMMENT ON COLUMN drafts.reason IS 'Why, in a line; empty where it is ok.';
COMMENT ON COLUMN drafts.select_score IS 'Balanced accuracy of the judge''s detection from this draft, on windows of the select split that are the same for all drafts of the feature. It is what the draft was chosen by, so it flatters the chosen one: scores are those of the score split.';
COMMENT ON COLUMN drafts.select_status IS 'ok; not_judged (it had no rival, or is no draft); no_items (the feature fires too seldom there); or why the judge did not answer.';
COMMENT ON COLUMN drafts.n_select IS 'Windows behind select_score.';
COMMENT ON COLUMN drafts.select_contexts IS 'Contexts that these windows are cut from.';
COMMENT ON COLUMN drafts.shown_contexts IS 'Revisions: contexts that the counterexamples shown are cut from; of other documents than select_contexts.';
COMMENT ON COLUMN drafts.prompt IS 'Hash of the words, demonstrations and constants that the prompt was made of.';
COMMENT ON COLUMN drafts.request IS 'The call it comes from, in llm_calls; empty where nothing was sent (too_long).';
COMMENT ON COLUMN drafts.sample IS 'The sample number of that call.';
COMMENT ON COLUMN drafts.model IS 'The model that the server says answered.';
COMMENT ON COLUMN drafts.again IS 'explanations.again of what it is a draft of.';

CREATE TABLE sample_lists (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, again INTEGER NOT NULL,
    wave INTEGER NOT NULL, lookup VARCHAR, tokens INTEGER[] NOT NULL
);
COMMENT ON TABLE sample_lists IS 'What explanations of a feature list, by which the class E of its sample is made. Never changed: explainers of the first wave share all windows; what is explained when others have been tested makes another wave, whose windows are those of the waves before and some of its own.';
COMMENT ON COLUMN sample_lists.dictionary IS 'Dictionary.';
COMMENT ON COLUMN sample_lists.feature IS 'Feature.';
COMMENT ON COLUMN sample_lists.explainer IS 'Explainer.';
COMMENT ON COLUMN sample_lists.again IS 'explanations.again of the explanation that lists this.';
COMMENT ON COLUMN sample_lists.wave IS 'From 1.';
COMMENT ON COLUMN sample_lists.lookup IS 'Embedded explainers: the lookup whose entries are listed.';
COMMENT ON COLUMN sample_lists.tokens IS 'Others: token ids of the triggers that the explainer wrote; none where it wrote none.';

CREATE TABLE simulations (
    run VARCHAR, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    context BIGINT NOT NULL, window_start INTEGER NOT NULL, class VARCHAR NOT NULL, n_class BIGINT NOT NULL,
    size_class DOUBLE NOT NULL, available_class BIGINT NOT NULL, truth FLOAT[] NOT NULL, prediction FLOAT[] NOT NULL, scored BOOLEAN[] NOT NULL,
    status VARCHAR NOT NULL
);
COMMENT ON TABLE simulations IS 'The sample design: the windows drawn for a feature and explanation, their truth and what the simulator predicted.';
COMMENT ON COLUMN simulations.run IS 'The work of stage judge that asked for it; none for the embedded ones, whose rows are there once.';
COMMENT ON COLUMN simulations.dictionary IS 'Dictionary.';
COMMENT ON COLUMN simulations.feature IS 'Feature.';
COMMENT ON COLUMN simulations.explainer IS 'Explainer.';
COMMENT ON COLUMN simulations.scorer IS 'Simulator: simulation (the embedded lookup), simulation:MODEL, simulation:lookup@EXPLAINER (the lookup on the windows drawn for another explainer).';
COMMENT ON COLUMN simulations.context IS 'Context.';
COMMENT ON COLUMN simulations.window_start IS 'Position of the window''s first token in the context.';
COMMENT ON COLUMN simulations.class IS 'T, F1 to F5 (firing), E, E2 to E8 (silent, on the rarest of the lists of sample_lists, on the next ...), M, R (silent).';
COMMENT ON COLUMN simulations.n_class IS 'Windows drawn from the class.';
COMMENT ON COLUMN simulations.size_class IS 'Windows that the class stands for; n_class / size_class is the inclusion probability.';
COMMENT ON COLUMN simulations.available_class IS 'Candidates of its class that the windows were drawn from.';
COMMENT ON COLUMN simulations.truth IS 'Activations, a value a token.';
COMMENT ON COLUMN simulations.prediction IS 'Predictions, a value a token.';
COMMENT ON COLUMN simulations.scored IS 'False at special tokens and padding.';
COMMENT ON COLUMN simulations.status IS 'ok, or why there is no prediction.';

CREATE TABLE judgements (
    run VARCHAR, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    context BIGINT NOT NULL, window_start INTEGER NOT NULL, stratum VARCHAR NOT NULL, marks UTINYINT[],
    weight DOUBLE, fires BOOLEAN NOT NULL, judged BOOLEAN, probability DOUBLE, status VARCHAR NOT NULL,
    request VARCHAR, sample INTEGER
);
COMMENT ON TABLE judgements IS 'Yes or no, as judged from the explanation alone: fires or not (detection), marked rightly or not (fuzzing), or what a scorer of the user''s own asks.';
COMMENT ON COLUMN judgements.run IS 'The work of stage judge that asked for it; none for the embedded ones, whose rows are there once.';
COMMENT ON COLUMN judgements.dictionary IS 'Dictionary.';
COMMENT ON COLUMN judgements.feature IS 'Feature.';
COMMENT ON COLUMN judgements.explainer IS 'Explainer.';
COMMENT ON COLUMN judgements.scorer IS 'detection (published windows), or SCORER:JUDGE; the judge is a model, or lookup.';
COMMENT ON COLUMN judgements.context IS 'Context.';
COMMENT ON COLUMN judgements.window_start IS 'Position of the window''s first token in the context.';
COMMENT ON COLUMN judgements.stratum IS 'Why this window was judged: weak, middle, strong (it fires; the third of the firing windows by their maximum), wrong (made like a right one), claimed (silent, and some explanation lists what stands there), rest (silent, nothing does); top, firing, silent (published windows); right, wrong (a scorer of the user''s own).';
COMMENT ON COLUMN judgements.weight IS 'Windows of the score split that it stands for; 0: none. Those of a feature add up to the split. Empty where nobody stands for any.';
COMMENT ON COLUMN judgements.marks IS 'fuzzing: offsets of the marked tokens in the window.';
COMMENT ON COLUMN judgements.fires IS 'Truth: it fires in the window; fuzzing: the marked tokens are those that fire.';
COMMENT ON COLUMN judgements.judged IS 'The judgement.';
COMMENT ON COLUMN judgements.probability IS 'Probability of "fires", where the judge gives one.';
COMMENT ON COLUMN judgements.status IS 'ok, or why there is no judgement.';
COMMENT ON COLUMN judgements.request IS 'The call that it was said in, in llm_calls; its windows stand there in the order of the rows. Empty of the embedded ones, which ask nobody, where nothing was sent (too_long), and where a scorer of the user''s own asks several questions and does not say which.';
COMMENT ON COLUMN judgements.sample IS 'The sample number of that call.';

CREATE TABLE token_judgements (
    run VARCHAR, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    token INTEGER NOT NULL, promoted BOOLEAN NOT NULL, kind VARCHAR NOT NULL, rating DOUBLE, status VARCHAR NOT NULL
);
COMMENT ON TABLE token_judgements IS 'Logit effects: how likely each token is to be promoted, as rated from the explanation alone. Only the order counts.';
COMMENT ON COLUMN token_judgements.run IS 'The work of stage judge that asked for it; none for the embedded ones, whose rows are there once.';
COMMENT ON COLUMN token_judgements.dictionary IS 'Dictionary.';
COMMENT ON COLUMN token_judgements.feature IS 'Feature.';
COMMENT ON COLUMN token_judgements.explainer IS 'Explainer; completion, unembedding_norm: rankings without an explanation; permuted:EXPLAINER: the control with the vocabulary permuted.';
COMMENT ON COLUMN token_judgements.scorer IS 'The scorer of logit effects (logits, logits_hard ...) and its judge: a model, text (likeness to what the explanation quotes) or, of rankings without an explanation, unembedding.';
COMMENT ON COLUMN token_judgements.token IS 'Token id.';
COMMENT ON COLUMN token_judgements.promoted IS 'Truth: of ranks 11 to 60 of the direct effects.';
COMMENT ON COLUMN token_judgements.kind IS 'promoted; random (logits), or the kind of logit_distractors that a wrong token is of (logits_hard).';
COMMENT ON COLUMN token_judgements.rating IS 'The rating; on a scale of the judge''s own.';
COMMENT ON COLUMN token_judgements.status IS 'ok, or why there is no rating.';

CREATE TABLE choices (
    run VARCHAR, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    question INTEGER NOT NULL, option INTEGER NOT NULL, source INTEGER NOT NULL, context BIGINT NOT NULL,
    window_start INTEGER NOT NULL, stratum VARCHAR NOT NULL, marks UTINYINT[], is_right BOOLEAN NOT NULL,
    probability DOUBLE, status VARCHAR NOT NULL
);
COMMENT ON TABLE choices IS 'Questions with five windows, one of which is to be chosen: discrimination, intruders. A row is an option.';
COMMENT ON COLUMN choices.run IS 'The work of stage judge that asked for it; none for the embedded ones, whose rows are there once.';
COMMENT ON COLUMN choices.dictionary IS 'Dictionary.';
COMMENT ON COLUMN choices.feature IS 'Feature.';
COMMENT ON COLUMN choices.explainer IS 'Explainer; unlabelled: no explanation was shown; shuffled:unlabelled: its control, in which no window belongs more than another.';
COMMENT ON COLUMN choices.scorer IS 'SCORER:JUDGE; the judge is a model, or lookup.';
COMMENT ON COLUMN choices.question IS 'From 1.';
COMMENT ON COLUMN choices.option IS 'From 1 to 5, as shown.';
COMMENT ON COLUMN choices.source IS 'The feature whose window it is: the feature itself, or another of the dictionary.';
COMMENT ON COLUMN choices.context IS 'Context.';
COMMENT ON COLUMN choices.window_start IS 'Position of the window''s first token in the context.';
COMMENT ON COLUMN choices.stratum IS 'weak, middle, strong: the third of the feature''s firing windows by their maximum; other: another feature''s.';
COMMENT ON COLUMN choices.marks IS 'Offsets of the marked tokens in the window; none where none are shown.';
COMMENT ON COLUMN choices.is_right IS 'Truth: the window that the question asks for.';
COMMENT ON COLUMN choices.probability IS 'How much the judge is for it: 1 for what it chose, 0 for the others, unless it says more.';
COMMENT ON COLUMN choices.status IS 'ok, or why there is no answer.';

CREATE TABLE picks (
    run VARCHAR, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    question INTEGER NOT NULL, option INTEGER NOT NULL, source INTEGER NOT NULL, number INTEGER NOT NULL,
    is_right BOOLEAN NOT NULL, probability DOUBLE, status VARCHAR NOT NULL
);
COMMENT ON TABLE picks IS 'Questions with three texts that the model wrote with a direction added, one of which is to be picked: intervention. A row is an option.';
COMMENT ON COLUMN picks.run IS 'The work that asked for it.';
COMMENT ON COLUMN picks.dictionary IS 'Dictionary.';
COMMENT ON COLUMN picks.feature IS 'Feature.';
COMMENT ON COLUMN picks.explainer IS 'Explainer.';
COMMENT ON COLUMN picks.scorer IS 'SCORER:JUDGE; the judge is a model, or text (likeness to what the explanation names).';
COMMENT ON COLUMN picks.question IS 'From 1.';
COMMENT ON COLUMN picks.option IS 'From 1 to 3, as shown.';
COMMENT ON COLUMN picks.source IS 'The feature whose direction was added: the feature itself, or another of the dictionary.';
COMMENT ON COLUMN picks.number IS 'Of the text in steered_texts.';
COMMENT ON COLUMN picks.is_right IS 'Truth: the text of the feature itself.';
COMMENT ON COLUMN picks.probability IS 'How much the judge is for it: 1 for what it picked, 0 for the others; several that are alike share it.';
COMMENT ON COLUMN picks.status IS 'ok, or why there is no answer.';

CREATE TABLE generations (
    run VARCHAR, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    number INTEGER NOT NULL, intended BOOLEAN NOT NULL, text VARCHAR NOT NULL, n_tokens INTEGER NOT NULL,
    max_activation DOUBLE, reached DOUBLE, corpus_rank DOUBLE, status VARCHAR NOT NULL
);
COMMENT ON TABLE generations IS 'Texts that a judge wrote from an explanation, and what the feature does on them: the subject read them.';
COMMENT ON COLUMN generations.run IS 'The work of stage judge that asked for it.';
COMMENT ON COLUMN generations.dictionary IS 'Dictionary.';
COMMENT ON COLUMN generations.feature IS 'Feature.';
COMMENT ON COLUMN generations.explainer IS 'Explainer.';
COMMENT ON COLUMN generations.scorer IS 'generation:JUDGE.';
COMMENT ON COLUMN generations.number IS 'From 1, in the order of the reply.';
COMMENT ON COLUMN generations.intended IS 'Whether it was written to fire.';
COMMENT ON COLUMN generations.text IS 'The text; empty where there is none.';
COMMENT ON COLUMN generations.n_tokens IS 'Tokens of it that were read; a text longer than a context is cut.';
COMMENT ON COLUMN generations.max_activation IS 'The feature''s largest activation on it, in the dictionary''s own scale.';
COMMENT ON COLUMN generations.reached IS 'Share of the feature''s own firing windows (a uniform sample of the score split''s) whose maximum is no larger; 0 where it is silent.';
COMMENT ON COLUMN generations.corpus_rank IS 'Share of all windows of the score split whose maximum is smaller, windows of the same one by half (estimated from that sample and the share of firing windows).';
COMMENT ON COLUMN generations.status IS 'ok; empty: no token of it; or why there is no text.';

CREATE TABLE feature_blocks (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, n BIGINT[] NOT NULL, t DOUBLE[] NOT NULL, t2 DOUBLE[] NOT NULL,
    threshold DOUBLE NOT NULL, n_above BIGINT[] NOT NULL
);
COMMENT ON TABLE feature_blocks IS 'The census''s truth: sums over the score split, one value a document block.';
COMMENT ON COLUMN feature_blocks.dictionary IS 'Dictionary.';
COMMENT ON COLUMN feature_blocks.feature IS 'Feature.';
COMMENT ON COLUMN feature_blocks.n IS 'Tokens.';
COMMENT ON COLUMN feature_blocks.t IS 'Sum of activations.';
COMMENT ON COLUMN feature_blocks.t2 IS 'Sum of squared activations.';
COMMENT ON COLUMN feature_blocks.threshold IS 'The activation above which a token counts as firing in the thresholded metrics: score.threshold times features.max_activation.';
COMMENT ON COLUMN feature_blocks.n_above IS 'Tokens with an activation above the threshold.';

CREATE TABLE score_moments (
    dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    p DOUBLE[] NOT NULL, p2 DOUBLE[] NOT NULL, tp DOUBLE[] NOT NULL,
    positives BIGINT[] NOT NULL, negatives BIGINT[] NOT NULL, above BIGINT[] NOT NULL, below BIGINT[] NOT NULL
);
COMMENT ON TABLE score_moments IS 'The census: sums over all tokens of the score split, one value a document block (with feature_blocks: all a Pearson correlation needs).';
COMMENT ON COLUMN score_moments.dictionary IS 'Dictionary.';
COMMENT ON COLUMN score_moments.feature IS 'Feature.';
COMMENT ON COLUMN score_moments.explainer IS 'Explainer.';
COMMENT ON COLUMN score_moments.scorer IS 'Simulator.';
COMMENT ON COLUMN score_moments.p IS 'Sum of predictions.';
COMMENT ON COLUMN score_moments.p2 IS 'Sum of squared predictions.';
COMMENT ON COLUMN score_moments.tp IS 'Sum of activation times prediction.';
COMMENT ON COLUMN score_moments.positives IS 'Firing tokens by predicted probability: bin 0 holds 0, bin i ((i-1)/32, i/32].';
COMMENT ON COLUMN score_moments.negatives IS 'Silent tokens by predicted probability.';
COMMENT ON COLUMN score_moments.above IS 'Tokens above the threshold (feature_blocks.threshold) by predicted activation: bin 0 holds 0, bins 1 to 8 what is predicted at the threshold or below, 9 to 32 above, in a geometric row up to the largest activation (score/activation_bins.py).';
COMMENT ON COLUMN score_moments.below IS 'The other tokens by predicted activation.';

CREATE TABLE scores (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL,
    scorer VARCHAR NOT NULL, metric VARCHAR NOT NULL, design VARCHAR NOT NULL, value DOUBLE, ci_low DOUBLE,
    ci_high DOUBLE, n BIGINT NOT NULL, n_failed BIGINT NOT NULL, status VARCHAR NOT NULL
);
COMMENT ON TABLE scores IS 'All scores ever computed; score_table shows the latest of each.';
COMMENT ON COLUMN scores.run IS 'The piece of work that computed it: `work` of stage score; current_works says which counts.';
COMMENT ON COLUMN scores.dictionary IS 'Dictionary.';
COMMENT ON COLUMN scores.feature IS 'Feature.';
COMMENT ON COLUMN scores.explainer IS 'Explainer.';
COMMENT ON COLUMN scores.scorer IS '{scorers} or one of the user''s own; behind it who judges: a model, or lookup, text, unembedding.';
COMMENT ON COLUMN scores.metric IS 'Name of the metric: docs/SCORES.md lists them; or one of the user''s own.';
COMMENT ON COLUMN scores.design IS 'census (all tokens of the score split) or sample (drawn windows); never compared with each other.';
COMMENT ON COLUMN scores.value IS 'The score; none where status says why.';
COMMENT ON COLUMN scores.ci_low IS 'Lower end of the 95 % interval.';
COMMENT ON COLUMN scores.ci_high IS 'Upper end.';
COMMENT ON COLUMN scores.n IS 'Tokens (census) or windows (sample) behind it; of logits, tokens of the vocabulary.';
COMMENT ON COLUMN scores.n_failed IS 'Beside these, those without a prediction.';
COMMENT ON COLUMN scores.status IS 'ok; constant (value 0); few_documents (a value without an interval); underpowered (a value not to be trusted); fewer (from fewer windows than its published protocol asks for); rare, dead, failed ... (no value); no_generated_text, no_judged_steering: the store lacks what the metric needs (texts written from the explanation; answers whether texts written without steering and with it express the explanation).';

CREATE TABLE dictionary_scores (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    metric VARCHAR NOT NULL, design VARCHAR NOT NULL, mean DOUBLE, ci_low DOUBLE, ci_high DOUBLE,
    mean_all DOUBLE, mean_all_low DOUBLE, mean_all_high DOUBLE, interval_over VARCHAR, floor DOUBLE, residual_alarm_rate DOUBLE, residual_alarm_high DOUBLE, n_residual BIGINT,
    residual_alarm_cost DOUBLE, n_features BIGINT NOT NULL, n_scored BIGINT NOT NULL, n_failed BIGINT NOT NULL,
    n_dead BIGINT NOT NULL, n_rare BIGINT NOT NULL, median DOUBLE
);
COMMENT ON TABLE dictionary_scores IS 'Means over a dictionary with intervals; interval_over says what they count.';
COMMENT ON COLUMN dictionary_scores.run IS 'The piece of work that computed it: `work` of stage means; current_works says which counts.';
COMMENT ON COLUMN dictionary_scores.dictionary IS 'Dictionary.';
COMMENT ON COLUMN dictionary_scores.explainer IS 'Explainer.';
COMMENT ON COLUMN dictionary_scores.scorer IS 'Scorer.';
COMMENT ON COLUMN dictionary_scores.metric IS 'Metric.';
COMMENT ON COLUMN dictionary_scores.design IS 'census or sample.';
COMMENT ON COLUMN dictionary_scores.mean IS 'Mean over the features with a score; one that is underpowered counts as none.';
COMMENT ON COLUMN dictionary_scores.ci_low IS 'Lower end of the 95 % interval of mean.';
COMMENT ON COLUMN dictionary_scores.ci_high IS 'Upper end.';
COMMENT ON COLUMN dictionary_scores.mean_all IS 'Mean over all features, those without a score at the floor: what verdicts are about.';
COMMENT ON COLUMN dictionary_scores.mean_all_low IS 'Lower end of the 95 % interval of mean_all; the floor counts as known.';
COMMENT ON COLUMN dictionary_scores.mean_all_high IS 'Upper end.';
COMMENT ON COLUMN dictionary_scores.interval_over IS 'What the intervals count the spread of: features and documents (a two-way clustered variance), or features alone (a clustered one), where no moments by document are stored.';
COMMENT ON COLUMN dictionary_scores.floor IS 'What a worthless explanation gets: the highest mean of the controls shuffled (of an explainer that is judged: shuffled:EXPLAINER), constant and generic.';
COMMENT ON COLUMN dictionary_scores.residual_alarm_rate IS 'pearson_framed: share of class R windows in which the simulator fired, pooled over features.';
COMMENT ON COLUMN dictionary_scores.residual_alarm_high IS 'Its exact 97.5 % upper bound.';
COMMENT ON COLUMN dictionary_scores.n_residual IS 'Class R windows behind it.';
COMMENT ON COLUMN dictionary_scores.residual_alarm_cost IS 'pearson_framed: by how much the mean would be higher if predictions in class R windows counted as 0, not at the pooled rate.';
COMMENT ON COLUMN dictionary_scores.n_features IS 'Features with a row in scores.';
COMMENT ON COLUMN dictionary_scores.n_scored IS 'Of these, those with a value.';
COMMENT ON COLUMN dictionary_scores.n_failed IS 'Those whose status says that something went wrong: no value, and neither dead, rare nor without what the metric needs.';
COMMENT ON COLUMN dictionary_scores.n_dead IS 'Dead ones.';
COMMENT ON COLUMN dictionary_scores.n_rare IS 'Rare ones.';
COMMENT ON COLUMN dictionary_scores.median IS 'Median of the values.';

CREATE TABLE powered_means (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    metric VARCHAR NOT NULL, design VARCHAR NOT NULL, predictor VARCHAR NOT NULL, n BIGINT NOT NULL,
    n_all BIGINT NOT NULL, sample_mean DOUBLE NOT NULL, mean DOUBLE NOT NULL, se DOUBLE NOT NULL,
    ci_low DOUBLE NOT NULL, ci_high DOUBLE NOT NULL, interval_over VARCHAR NOT NULL, slope DOUBLE NOT NULL,
    correlation DOUBLE NOT NULL, as_good_as DOUBLE NOT NULL
);
COMMENT ON TABLE powered_means IS 'Prediction-powered means: the mean of scores that an LLM gave to drawn features + slope x (the mean of the predictor''s census over all features - over the drawn ones).';
COMMENT ON COLUMN powered_means.run IS 'The piece of work that computed it: `work` of stage means; powered_mean_table has the current ones.';
COMMENT ON COLUMN powered_means.dictionary IS 'Dictionary.';
COMMENT ON COLUMN powered_means.explainer IS 'Explainer: an LLM or a class of the user''s own.';
COMMENT ON COLUMN powered_means.scorer IS 'Scorer.';
COMMENT ON COLUMN powered_means.metric IS 'Metric.';
COMMENT ON COLUMN powered_means.design IS 'sample.';
COMMENT ON COLUMN powered_means.predictor IS 'The embedded explainer whose census Pearson predicts these scores; 0 for a feature without one.';
COMMENT ON COLUMN powered_means.n IS 'Features drawn.';
COMMENT ON COLUMN powered_means.n_all IS 'Features from which they were drawn.';
COMMENT ON COLUMN powered_means.sample_mean IS 'The plain mean over the drawn ones, those without a score at the floor: mean_all of dictionary_scores.';
COMMENT ON COLUMN powered_means.mean IS 'The prediction-powered mean.';
COMMENT ON COLUMN powered_means.se IS 'Its standard error.';
COMMENT ON COLUMN powered_means.ci_low IS 'Lower end of its 95 % interval.';
COMMENT ON COLUMN powered_means.ci_high IS 'Upper end.';
COMMENT ON COLUMN powered_means.interval_over IS 'As in dictionary_scores.';
COMMENT ON COLUMN powered_means.slope IS 'b: of the scores on the predictor''s, over the drawn features.';
COMMENT ON COLUMN powered_means.correlation IS 'Of the two over the drawn features.';
COMMENT ON COLUMN powered_means.as_good_as IS 'So many drawn features would give the plain mean the same variance over features.';

CREATE TABLE label_chances (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, feature INTEGER NOT NULL, explainer VARCHAR NOT NULL,
    scorer VARCHAR NOT NULL, metric VARCHAR NOT NULL, holds_from DOUBLE NOT NULL, probability DOUBLE, ci_low DOUBLE,
    ci_high DOUBLE, status VARCHAR NOT NULL, n_scored BIGINT NOT NULL
);
COMMENT ON TABLE label_chances IS 'Features whose labels a drawn sample left unscored: how likely it is that a score would be holds_from or more, from what is known of them without a judge.';
COMMENT ON COLUMN label_chances.run IS 'The piece of work that computed it: `work` of stage means; unscored_labels has the current ones.';
COMMENT ON COLUMN label_chances.dictionary IS 'Dictionary.';
COMMENT ON COLUMN label_chances.feature IS 'Feature; only those without a score of this explainer and scorer.';
COMMENT ON COLUMN label_chances.explainer IS 'Explainer: one that writes labels.';
COMMENT ON COLUMN label_chances.scorer IS 'Scorer.';
COMMENT ON COLUMN label_chances.metric IS 'Metric: the first one of its scorer.';
COMMENT ON COLUMN label_chances.holds_from IS 'A label holds from this score on: half of the way from chance to the metric''s largest value.';
COMMENT ON COLUMN label_chances.probability IS 'P(label holds), where status is covariates or base_rate; a scoring that fails counts as a label that does not hold.';
COMMENT ON COLUMN label_chances.ci_low IS 'Lower end of its 95 % interval: Wilson''s, about the probability and what it misses by among the 40 scored features whose held-out predictions are nearest to it; of base_rate among all scored ones.';
COMMENT ON COLUMN label_chances.ci_high IS 'Upper end.';
COMMENT ON COLUMN label_chances.status IS 'covariates: from a regression that predicts held-out features better than the base rate does (autointerp whole shows its calibration); base_rate: the share of labels that hold among the scored ones, as nothing better is known; without a probability: no_label (the explainer gave none), rare or dead (fires too seldom to be scored), nothing_scored.';
COMMENT ON COLUMN label_chances.n_scored IS 'Scored features behind it.';

CREATE TABLE comparisons (
    run VARCHAR NOT NULL, a VARCHAR NOT NULL, b VARCHAR NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    metric VARCHAR NOT NULL, design VARCHAR NOT NULL, paired BOOLEAN NOT NULL, other_site BOOLEAN NOT NULL, over VARCHAR NOT NULL,
    n_a BIGINT NOT NULL, n_b BIGINT NOT NULL, n_unscored_a BIGINT NOT NULL, n_unscored_b BIGINT NOT NULL,
    difference DOUBLE, se DOUBLE, se_documents DOUBLE, df DOUBLE, ci_low DOUBLE, ci_high DOUBLE,
    simultaneous_low DOUBLE, simultaneous_high DOUBLE, interval_over VARCHAR, p DOUBLE, p_holm DOUBLE,
    detectable DOUBLE, margin DOUBLE NOT NULL, verdict VARCHAR NOT NULL, scored_n_a BIGINT NOT NULL,
    scored_n_b BIGINT NOT NULL, scored_difference DOUBLE, scored_simultaneous_low DOUBLE,
    scored_simultaneous_high DOUBLE, scored_p_holm DOUBLE, scored_verdict VARCHAR NOT NULL,
    hangs_on_failures BOOLEAN NOT NULL
);
COMMENT ON TABLE comparisons IS 'Pairs of dictionaries: the difference of their mean scores and whether it is real.';
COMMENT ON COLUMN comparisons.run IS 'The piece of work that computed it: `work` of stage compare; comparison_table has the latest.';
COMMENT ON COLUMN comparisons.a IS 'First dictionary.';
COMMENT ON COLUMN comparisons.b IS 'Second dictionary.';
COMMENT ON COLUMN comparisons.explainer IS 'Explainer.';
COMMENT ON COLUMN comparisons.scorer IS 'Scorer.';
COMMENT ON COLUMN comparisons.metric IS 'Metric.';
COMMENT ON COLUMN comparisons.design IS 'census or sample.';
COMMENT ON COLUMN comparisons.paired IS 'True where b is density-matched to a: features are compared in pairs.';
COMMENT ON COLUMN comparisons.other_site IS 'True where b is a baseline at another hook than a.';
COMMENT ON COLUMN comparisons.over IS 'all: the difference is over all features, those without a score at the floor of their dictionary; scored: there is no floor, and it is over those with a score.';
COMMENT ON COLUMN comparisons.n_a IS 'Features of a behind the difference.';
COMMENT ON COLUMN comparisons.n_b IS 'Features of b.';
COMMENT ON COLUMN comparisons.n_unscored_a IS 'Features of a without a score: at the floor, or left out where over says scored.';
COMMENT ON COLUMN comparisons.n_unscored_b IS 'Features of b.';
COMMENT ON COLUMN comparisons.difference IS 'Mean of a minus mean of b.';
COMMENT ON COLUMN comparisons.se IS 'Its standard error.';
COMMENT ON COLUMN comparisons.se_documents IS 'The part of se that more features of the same documents would not take away; 0 where interval_over says features.';
COMMENT ON COLUMN comparisons.df IS 'Degrees of freedom of its t.';
COMMENT ON COLUMN comparisons.ci_low IS 'Lower end of its 95 % interval; interval_over says what it counts.';
COMMENT ON COLUMN comparisons.ci_high IS 'Upper end.';
COMMENT ON COLUMN comparisons.simultaneous_low IS 'Lower end of the interval that holds for all pairs at once, and decides between A and B.';
COMMENT ON COLUMN comparisons.simultaneous_high IS 'Upper end.';
COMMENT ON COLUMN comparisons.interval_over IS 'As in dictionary_scores.';
COMMENT ON COLUMN comparisons.p IS 'p of no difference, by the same standard error as the interval: it knows units, and documents where interval_over does.';
COMMENT ON COLUMN comparisons.p_holm IS 'p after Holm over all pairs of this explainer, scorer and metric.';
COMMENT ON COLUMN comparisons.detectable IS 'Smallest difference that this comparison finds with power 0.8: at that level and with that t.';
COMMENT ON COLUMN comparisons.margin IS 'Differences below this count as none.';
COMMENT ON COLUMN comparisons.verdict IS 'A, B (the interval for all pairs excludes 0), equivalent (the interval at 1 - 0.10 / pairs lies within the margin) or undecided.';
COMMENT ON COLUMN comparisons.scored_n_a IS 'Complete cases: features of a with a score; of matched pairs those of which both have one.';
COMMENT ON COLUMN comparisons.scored_n_b IS 'Features of b.';
COMMENT ON COLUMN comparisons.scored_difference IS 'The difference over complete cases.';
COMMENT ON COLUMN comparisons.scored_simultaneous_low IS 'Lower end of its interval for all pairs at once.';
COMMENT ON COLUMN comparisons.scored_simultaneous_high IS 'Upper end.';
COMMENT ON COLUMN comparisons.scored_p_holm IS 'Its p after Holm.';
COMMENT ON COLUMN comparisons.scored_verdict IS 'What the verdict would be over complete cases.';
COMMENT ON COLUMN comparisons.hangs_on_failures IS 'True: the verdict would be A, B or equivalent, but not with the failed features (not the dead and rare ones) of the winner, or of either of two equivalent ones, at the lowest score of either side instead of at the floor; for equivalent also not without them. The verdict is undecided.';

CREATE TABLE powered_differences (
    run VARCHAR NOT NULL, a VARCHAR NOT NULL, b VARCHAR NOT NULL, explainer VARCHAR NOT NULL, scorer VARCHAR NOT NULL,
    metric VARCHAR NOT NULL, design VARCHAR NOT NULL, predictor VARCHAR NOT NULL, paired BOOLEAN NOT NULL,
    n_a BIGINT NOT NULL, n_b BIGINT NOT NULL, as_good_as DOUBLE, difference DOUBLE NOT NULL, se DOUBLE NOT NULL,
    simultaneous_low DOUBLE NOT NULL, simultaneous_high DOUBLE NOT NULL, interval_over VARCHAR NOT NULL,
    p_holm DOUBLE NOT NULL, verdict VARCHAR NOT NULL
);
COMMENT ON TABLE powered_differences IS 'Differences of prediction-powered means, beside the verdicts of comparisons.';
COMMENT ON COLUMN powered_differences.run IS 'The piece of work that computed it: `work` of stage compare; powered_difference_table has the latest.';
COMMENT ON COLUMN powered_differences.a IS 'First dictionary.';
COMMENT ON COLUMN powered_differences.b IS 'Second dictionary.';
COMMENT ON COLUMN powered_differences.explainer IS 'Explainer.';
COMMENT ON COLUMN powered_differences.scorer IS 'Scorer.';
COMMENT ON COLUMN powered_differences.metric IS 'Metric.';
COMMENT ON COLUMN powered_differences.design IS 'sample.';
COMMENT ON COLUMN powered_differences.predictor IS 'As in powered_means.';
COMMENT ON COLUMN powered_differences.paired IS 'True where b is density-matched to a: differences of pairs are sharpened by differences of the predictor.';
COMMENT ON COLUMN powered_differences.n_a IS 'Drawn features of a.';
COMMENT ON COLUMN powered_differences.n_b IS 'Drawn features of b.';
COMMENT ON COLUMN powered_differences.as_good_as IS 'So many drawn pairs would give the plain difference the same variance over features; empty where not paired.';
COMMENT ON COLUMN powered_differences.difference IS 'Mean of a minus mean of b.';
COMMENT ON COLUMN powered_differences.se IS 'Its standard error.';
COMMENT ON COLUMN powered_differences.simultaneous_low IS 'Lower end of the interval that holds for all pairs at once.';
COMMENT ON COLUMN powered_differences.simultaneous_high IS 'Upper end.';
COMMENT ON COLUMN powered_differences.interval_over IS 'As in dictionary_scores.';
COMMENT ON COLUMN powered_differences.p_holm IS 'p after Holm over all pairs of this explainer, scorer and metric.';
COMMENT ON COLUMN powered_differences.verdict IS 'A, B, equivalent or undecided, by the rules of comparisons; undecided where it hangs on failed features, as there.';

CREATE TABLE effect_means (
    run VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, direction VARCHAR NOT NULL, measure VARCHAR NOT NULL,
    n_features BIGINT NOT NULL, n_unreached BIGINT NOT NULL, mean DOUBLE NOT NULL, ci_low DOUBLE, ci_high DOUBLE
);
COMMENT ON TABLE effect_means IS 'What the features of a dictionary do to the output, on average: means of effect_values over features.';
COMMENT ON COLUMN effect_means.run IS 'The piece of work that computed it: `work` of stage compare_effects; effect_mean_table has the latest.';
COMMENT ON COLUMN effect_means.dictionary IS 'Dictionary.';
COMMENT ON COLUMN effect_means.direction IS 'feature: along the features'' own directions; isotropic, covariance: along random ones at the same tokens.';
COMMENT ON COLUMN effect_means.measure IS 'step_025, step_050, step_100, kl_of_entropy or direct_share, as in effect_values.';
COMMENT ON COLUMN effect_means.n_features IS 'Features behind the mean.';
COMMENT ON COLUMN effect_means.n_unreached IS 'Of these, those whose output never moves so far: they count with the largest step that was tried.';
COMMENT ON COLUMN effect_means.mean IS 'Mean over features; of all measures but direct_share the values are logarithms to the base 2, so that 2 to the power of it is a geometric mean.';
COMMENT ON COLUMN effect_means.ci_low IS 'Lower end of its 95 % interval over features that share no unit; empty of a single one.';
COMMENT ON COLUMN effect_means.ci_high IS 'Upper end.';

CREATE TABLE effect_differences (
    run VARCHAR NOT NULL, measure VARCHAR NOT NULL, a VARCHAR NOT NULL, b VARCHAR NOT NULL, direction_b VARCHAR NOT NULL,
    paired BOOLEAN NOT NULL, n_a BIGINT NOT NULL, n_b BIGINT NOT NULL, n_unreached_a BIGINT NOT NULL,
    n_unreached_b BIGINT NOT NULL, difference DOUBLE, se DOUBLE, df DOUBLE, ci_low DOUBLE, ci_high DOUBLE,
    simultaneous_low DOUBLE, simultaneous_high DOUBLE, p DOUBLE, p_holm DOUBLE, detectable DOUBLE, margin DOUBLE NOT NULL,
    verdict VARCHAR NOT NULL, reached_difference DOUBLE, n_reached BIGINT NOT NULL
);
COMMENT ON TABLE effect_differences IS 'Pairs of dictionaries, and dictionaries beside random directions at the same tokens: the difference of what they do to the output, and whether it is real. Of all measures but direct_share a difference is a logarithm to the base 2 of a ratio.';
COMMENT ON COLUMN effect_differences.run IS 'The piece of work that computed it: `work` of stage compare_effects; effect_difference_table has the latest.';
COMMENT ON COLUMN effect_differences.measure IS 'As in effect_means; each is a family of its own.';
COMMENT ON COLUMN effect_differences.a IS 'First dictionary, along its features.';
COMMENT ON COLUMN effect_differences.b IS 'Second dictionary; a itself where direction_b is not feature.';
COMMENT ON COLUMN effect_differences.direction_b IS 'feature: along the features of b; isotropic, covariance: along random directions at the tokens of the features of a.';
COMMENT ON COLUMN effect_differences.paired IS 'True where b is matched to a, and beside random directions: features are compared in pairs.';
COMMENT ON COLUMN effect_differences.n_a IS 'Features of a behind the difference.';
COMMENT ON COLUMN effect_differences.n_b IS 'Features of b.';
COMMENT ON COLUMN effect_differences.n_unreached_a IS 'Features of a whose output never moves so far: they count with the largest step.';
COMMENT ON COLUMN effect_differences.n_unreached_b IS 'Features of b.';
COMMENT ON COLUMN effect_differences.difference IS 'Mean of a minus mean of b; empty with fewer than two features on a side.';
COMMENT ON COLUMN effect_differences.se IS 'Its standard error, over features.';
COMMENT ON COLUMN effect_differences.df IS 'Degrees of freedom of its t.';
COMMENT ON COLUMN effect_differences.ci_low IS 'Lower end of its 95 % interval.';
COMMENT ON COLUMN effect_differences.ci_high IS 'Upper end.';
COMMENT ON COLUMN effect_differences.simultaneous_low IS 'Lower end of the interval that holds for all pairs of the measure at once.';
COMMENT ON COLUMN effect_differences.simultaneous_high IS 'Upper end.';
COMMENT ON COLUMN effect_differences.p IS 'p of no difference.';
COMMENT ON COLUMN effect_differences.p_holm IS 'p after Holm over all pairs of the measure.';
COMMENT ON COLUMN effect_differences.detectable IS 'Smallest difference that this comparison finds with power 0.8: at that level and with that t.';
COMMENT ON COLUMN effect_differences.margin IS 'Differences below this count as none.';
COMMENT ON COLUMN effect_differences.verdict IS 'A, B (whose values are higher), equivalent or undecided, by the rules of comparisons.';
COMMENT ON COLUMN effect_differences.reached_difference IS 'The difference of those features alone whose output moves so far, of pairs both.';
COMMENT ON COLUMN effect_differences.n_reached IS 'Features of a behind that.';

CREATE TABLE failures (
    stage VARCHAR NOT NULL, dictionary VARCHAR, feature INTEGER, explainer VARCHAR, scorer VARCHAR, status VARCHAR NOT NULL,
    reason VARCHAR NOT NULL, again INTEGER NOT NULL
);
COMMENT ON TABLE failures IS 'What could not be done, with the reason; current_failures leaves out what was asked again since.';
COMMENT ON COLUMN failures.stage IS 'Stage.';
COMMENT ON COLUMN failures.dictionary IS 'Dictionary.';
COMMENT ON COLUMN failures.feature IS 'Feature.';
COMMENT ON COLUMN failures.explainer IS 'Explainer.';
COMMENT ON COLUMN failures.scorer IS 'Scorer.';
COMMENT ON COLUMN failures.status IS 'The status that the row without a value carries.';
COMMENT ON COLUMN failures.reason IS 'A sentence.';
COMMENT ON COLUMN failures.again IS '0, or the number of the request (table again) that it failed in.';

CREATE TABLE lineups (
    lineup VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, number INTEGER NOT NULL, letter VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, feature INTEGER NOT NULL, parents INTEGER[] NOT NULL, n_firing BIGINT NOT NULL,
    max_activation DOUBLE NOT NULL, n_tokens BIGINT NOT NULL, excerpts VARCHAR[] NOT NULL
);
COMMENT ON TABLE lineups IS 'Line-ups (autointerp lineup): five learned features and five made-up units each, as they are shown, a row a unit.';
COMMENT ON COLUMN lineups.lineup IS 'Hash of what decides it.';
COMMENT ON COLUMN lineups.dictionary IS 'Dictionary.';
COMMENT ON COLUMN lineups.number IS 'Number of the line-up in its dictionary, from 0.';
COMMENT ON COLUMN lineups.letter IS 'What the unit is called: A to J, in an order drawn by hash.';
COMMENT ON COLUMN lineups.kind IS 'real: a feature of the dictionary; combination: a Gaussian mixture of the directions by which its parents read; random: the difference of two activations. The last two are thresholded to fire as often as the feature that they are matched to.';
COMMENT ON COLUMN lineups.feature IS 'real: the feature; else the one that it is matched to.';
COMMENT ON COLUMN lineups.parents IS 'combination: the features that it is made of.';
COMMENT ON COLUMN lineups.n_firing IS 'Tokens of the sample that it fires on.';
COMMENT ON COLUMN lineups.max_activation IS 'Its largest activation on the sample.';
COMMENT ON COLUMN lineups.n_tokens IS 'Tokens of the sample: of contexts of the explain split of smallest hash.';
COMMENT ON COLUMN lineups.excerpts IS 'As shown: the four strongest firings, then up to four drawn uniformly; firing tokens between marks, with a strength of 1 to 9.';

CREATE TABLE lineup_answers (
    lineup VARCHAR NOT NULL, dictionary VARCHAR NOT NULL, judge VARCHAR NOT NULL, named VARCHAR[] NOT NULL, n_right INTEGER,
    value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, p DOUBLE, status VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    request VARCHAR, answered_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE lineup_answers IS 'Which five units of a line-up somebody took for learned features, and how well that is.';
COMMENT ON COLUMN lineup_answers.lineup IS 'The line-up.';
COMMENT ON COLUMN lineup_answers.dictionary IS 'Its dictionary.';
COMMENT ON COLUMN lineup_answers.judge IS 'person, or the model that was asked.';
COMMENT ON COLUMN lineup_answers.named IS 'The letters named; none where the answer is none.';
COMMENT ON COLUMN lineup_answers.n_right IS 'How many of them are features.';
COMMENT ON COLUMN lineup_answers.value IS 'n_right / 5; by chance 0.5.';
COMMENT ON COLUMN lineup_answers.ci_low IS 'Lower end of the exact 95 % interval (Fisher''s noncentral hypergeometric distribution).';
COMMENT ON COLUMN lineup_answers.ci_high IS 'Upper end.';
COMMENT ON COLUMN lineup_answers.p IS 'Chance of so many or more at random (hypergeometric).';
COMMENT ON COLUMN lineup_answers.status IS 'ok, or why there is no score: refused, truncated, invalid ...';
COMMENT ON COLUMN lineup_answers.reason IS 'Why, in a line; empty where it is ok.';
COMMENT ON COLUMN lineup_answers.request IS 'The call it comes from, in llm_calls; none of a person.';
COMMENT ON COLUMN lineup_answers.answered_at IS 'When, UTC.';

CREATE TABLE llm_calls (
    request VARCHAR NOT NULL, sample INTEGER NOT NULL, attempt INTEGER NOT NULL, kind VARCHAR NOT NULL, about VARCHAR,
    provider VARCHAR NOT NULL, server VARCHAR NOT NULL, model VARCHAR NOT NULL, returned_model VARCHAR,
    channel VARCHAR NOT NULL, status VARCHAR NOT NULL, reason VARCHAR NOT NULL, http_status INTEGER, stop_reason VARCHAR,
    prefix VARCHAR NOT NULL, prompt VARCHAR, reply VARCHAR, tokens VARCHAR, input_tokens BIGINT, output_tokens BIGINT,
    cache_read_tokens BIGINT, cache_write_tokens BIGINT, reasoning_tokens BIGINT, cost_usd DOUBLE,
    latency_ms DOUBLE NOT NULL, called_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE llm_calls IS 'Every attempt at an LLM call: the reply log. A call whose latest attempt is ok is replayed from here and not paid again.';
COMMENT ON COLUMN llm_calls.request IS 'Hash of the whole rendered request: address, path and body.';
COMMENT ON COLUMN llm_calls.sample IS 'Number of the draw, from 0: the same request may be asked several times.';
COMMENT ON COLUMN llm_calls.attempt IS 'Attempt at this draw, from 1, over all runs.';
COMMENT ON COLUMN llm_calls.kind IS 'What it was asked for: {ask_kinds}, or the word of a scorer of the user''s own.';
COMMENT ON COLUMN llm_calls.about IS 'Dictionary, feature, explainer ... it is about, as JSON.';
COMMENT ON COLUMN llm_calls.provider IS 'anthropic or openai: the API spoken.';
COMMENT ON COLUMN llm_calls.server IS 'Base URL.';
COMMENT ON COLUMN llm_calls.model IS 'Model asked for.';
COMMENT ON COLUMN llm_calls.returned_model IS 'Model that the server says answered.';
COMMENT ON COLUMN llm_calls.channel IS 'live, batch (a provider''s batch API) or offline (answered elsewhere, read from a file).';
COMMENT ON COLUMN llm_calls.status IS 'ok; refused, truncated, prompt_cut (the server read less than the prompt), empty, unparseable, invalid, unsupported (replies that are no answer); rate_limited, server_error, no_connection, timeout, broken_body, api_error (no reply).';
COMMENT ON COLUMN llm_calls.reason IS 'Why it is not ok, in a line; empty where it is.';
COMMENT ON COLUMN llm_calls.http_status IS 'HTTP status; none where there was no answer.';
COMMENT ON COLUMN llm_calls.stop_reason IS 'Why the model stopped, in the provider''s word.';
COMMENT ON COLUMN llm_calls.prefix IS 'The request but for the user''s prompt: llm_prefixes.';
COMMENT ON COLUMN llm_calls.prompt IS 'The user''s prompt; none where the server turned the request away unanswered.';
COMMENT ON COLUMN llm_calls.reply IS 'What the model wrote, as it came; the whole body where it could not be read.';
COMMENT ON COLUMN llm_calls.tokens IS 'Log probabilities, where asked for, as JSON: [[token, logprob, [[alternative, logprob] ...]] ...].';
COMMENT ON COLUMN llm_calls.input_tokens IS 'Tokens of the prompt as the provider counts them, cached ones among them; none where not reported.';
COMMENT ON COLUMN llm_calls.output_tokens IS 'Tokens written, reasoning among them.';
COMMENT ON COLUMN llm_calls.cache_read_tokens IS 'Of the prompt''s tokens, those read from the provider''s prompt cache.';
COMMENT ON COLUMN llm_calls.cache_write_tokens IS 'Of the prompt''s tokens, those written to it.';
COMMENT ON COLUMN llm_calls.reasoning_tokens IS 'Of the tokens written, those of reasoning.';
COMMENT ON COLUMN llm_calls.cost_usd IS 'Dollars, from the tokens reported; 0 where the server turned the request away, none where it may have been billed unseen.';
COMMENT ON COLUMN llm_calls.latency_ms IS 'From sending to the last byte, milliseconds; of a batch 0.';
COMMENT ON COLUMN llm_calls.called_at IS 'When it was sent, UTC.';

CREATE TABLE llm_prefixes (prefix VARCHAR NOT NULL, text VARCHAR NOT NULL);
COMMENT ON TABLE llm_prefixes IS 'What requests share, once: with llm_calls.prompt, the whole request.';
COMMENT ON COLUMN llm_prefixes.prefix IS 'Hash of text.';
COMMENT ON COLUMN llm_prefixes.text IS 'Address, path and body as canonical JSON, with null for the user''s prompt.';

CREATE TABLE llm_batches (
    file VARCHAR NOT NULL, provider VARCHAR NOT NULL, server VARCHAR NOT NULL, model VARCHAR NOT NULL,
    path VARCHAR NOT NULL, n_requests BIGINT NOT NULL, status VARCHAR NOT NULL, batch VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL, worst_usd DOUBLE NOT NULL
);
COMMENT ON TABLE llm_batches IS 'Batches at providers; a row for each thing that happened to one, the latest counts.';
COMMENT ON COLUMN llm_batches.file IS 'Hash of its requests: our name for it.';
COMMENT ON COLUMN llm_batches.provider IS 'anthropic or openai.';
COMMENT ON COLUMN llm_batches.server IS 'Base URL.';
COMMENT ON COLUMN llm_batches.model IS 'Model asked.';
COMMENT ON COLUMN llm_batches.path IS 'Endpoint below the base URL.';
COMMENT ON COLUMN llm_batches.n_requests IS 'Requests in it.';
COMMENT ON COLUMN llm_batches.status IS 'submitting (written before it is sent), submitted, ended (its replies are here), failed (refused as a whole).';
COMMENT ON COLUMN llm_batches.batch IS 'The provider''s id; empty until it is known.';
COMMENT ON COLUMN llm_batches.since IS 'When, UTC.';
COMMENT ON COLUMN llm_batches.worst_usd IS 'Dollars that it may cost at most: until it is collected, they count towards max_usd.';

CREATE TABLE llm_batch_requests (file VARCHAR NOT NULL, custom_id VARCHAR NOT NULL);
COMMENT ON TABLE llm_batch_requests IS 'The requests in each batch, committed before it is sent.';
COMMENT ON COLUMN llm_batch_requests.file IS 'The batch: llm_batches.file.';
COMMENT ON COLUMN llm_batch_requests.custom_id IS 'REQUEST-SAMPLE-N: the N-th filing of this draw of the request.';

CREATE TABLE llm_probes (
    server VARCHAR NOT NULL, model VARCHAR NOT NULL, wish VARCHAR NOT NULL, found_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE llm_probes IS 'What a server has shown that it does when asked.';
COMMENT ON COLUMN llm_probes.server IS 'Base URL.';
COMMENT ON COLUMN llm_probes.model IS 'Model asked for.';
COMMENT ON COLUMN llm_probes.wish IS 'schema, logprobs, echo or decisions; of a server that was asked first also: answers, form NAME (how it takes a schema), context N (tokens that it states; where there are several, the latest holds) or no context stated, counts N (tokens that it counts a piece of text).';
COMMENT ON COLUMN llm_probes.found_at IS 'When, UTC.';

CREATE VIEW latest_works AS
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs) FROM works SEMI JOIN latest USING (run);
COMMENT ON VIEW latest_works IS 'The works of the run that wrote last: which dictionaries and explainers a page shows.';

CREATE VIEW current_works AS
WITH started AS (SELECT run, max(started_at) AS started_at FROM runs GROUP BY run)
SELECT w.stage, w.dictionary, w.explainer, w.scorer, arg_max(w.work, r.started_at) AS work
FROM works w JOIN started r USING (run) SEMI JOIN stages s ON s.stage = w.stage AND s.work = w.work
GROUP BY w.stage, w.dictionary, w.explainer, w.scorer;
COMMENT ON VIEW current_works IS 'The work that counts: for each stage, dictionary, explainer and scorer that of the latest run whose work is done.';

CREATE VIEW current_explanations AS
SELECT * FROM explanations
QUALIFY row_number() OVER (PARTITION BY dictionary, feature, explainer ORDER BY again DESC) = 1;
COMMENT ON VIEW current_explanations IS 'The latest explanation of each feature by each explainer.';

CREATE VIEW current_failures AS
SELECT f.* FROM failures f ANTI JOIN (
    SELECT a.dictionary, a.explainer, a.number, 'explain' AS stage, unnest(a.explained) AS feature FROM again a
    UNION ALL SELECT a.dictionary, a.explainer, a.number, 'judge', unnest(a.judged) FROM again a
) later ON later.dictionary = f.dictionary AND later.explainer = f.explainer AND later.stage = f.stage
       AND later.feature = f.feature AND later.number > f.again;
COMMENT ON VIEW current_failures IS 'The failures of which nothing was asked again since (run --features failed).';

CREATE VIEW score_table AS
SELECT s.dictionary, s.feature, s.explainer, is_control(s.explainer) AS is_control, s.scorer, s.metric, s.design, s.value,
       s.ci_low, s.ci_high, s.n, s.n_failed, s.status
FROM scores s SEMI JOIN current_works c ON c.stage = 'score' AND c.work = s.run;
COMMENT ON VIEW score_table IS 'The latest score of each feature, explainer, scorer, metric and design.';

CREATE VIEW dictionary_summary AS
SELECT m.dictionary, d.kind, m.explainer, is_control(m.explainer) AS is_control, m.scorer, m.metric, m.design,
       m.n_features, m.n_scored, m.n_failed, m.mean, m.ci_low, m.ci_high, m.mean_all, m.mean_all_low, m.mean_all_high, m.interval_over, m.floor,
       m.mean_all - m.floor AS excess, m.median, m.n_dead, m.n_rare,
       m.residual_alarm_rate, m.residual_alarm_high, m.n_residual, m.residual_alarm_cost
FROM dictionary_scores m JOIN dictionaries d ON d.dictionary = m.dictionary
SEMI JOIN current_works c ON c.stage = 'means' AND c.work = m.run;
COMMENT ON VIEW dictionary_summary IS 'One row a dictionary, explainer, scorer and metric: means, intervals, floor, and how many features stand behind them. excess is mean_all - floor.';

CREATE VIEW score_by_length AS
SELECT s.dictionary, s.explainer, s.is_control, is_ceiling(s.explainer) AS is_ceiling, s.scorer, s.metric, s.design,
       count(*) AS n_scored, avg(s.value) AS mean_score, avg(e.description_length) AS mean_length,
       median(e.description_length) AS median_length, avg(e.n_entries) AS mean_entries
FROM score_table s JOIN current_explanations e USING (dictionary, feature, explainer)
WHERE s.value IS NOT NULL AND s.status <> 'underpowered'
GROUP BY ALL;
COMMENT ON VIEW score_by_length IS 'How well descriptions predict and how long they are: mean score and mean description_length (tokens; explanations says by which rule) of the features that have a score, by dictionary, explainer, scorer, metric and design.';

CREATE VIEW llm_costs AS
SELECT kind, model, channel, count(*) AS attempts, count(*) FILTER (WHERE status = 'ok') AS ok,
       count(*) FILTER (WHERE cost_usd IS NULL) AS cost_unknown,
       coalesce(sum(input_tokens), 0)::BIGINT AS input_tokens, coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens,
       coalesce(sum(cache_read_tokens), 0)::BIGINT AS cache_read_tokens,
       coalesce(sum(cache_write_tokens), 0)::BIGINT AS cache_write_tokens,
       coalesce(sum(cost_usd), 0) AS cost_usd
FROM llm_calls GROUP BY kind, model, channel ORDER BY kind, model, channel;
COMMENT ON VIEW llm_costs IS 'The ledger: what every kind of call has cost so far, failures included.';

CREATE VIEW comparison_table AS
WITH shown AS (
    SELECT w.work FROM works w JOIN runs r USING (run) SEMI JOIN stages s ON s.stage = w.stage AND s.work = w.work
    WHERE w.stage = 'compare' QUALIFY rank() OVER (ORDER BY r.started_at DESC) = 1
)
SELECT * EXCLUDE (run) FROM comparisons c SEMI JOIN shown ON shown.work = c.run;
COMMENT ON VIEW comparison_table IS 'The comparisons of the latest run that has any.';

CREATE VIEW feature_densities AS
SELECT b.dictionary, b.feature, b.threshold, list_sum(b.n)::BIGINT AS n_tokens, s.n_firing, list_sum(b.n_above)::BIGINT AS n_above,
       s.n_firing / s.n_tokens AS density, list_sum(b.n_above) / list_sum(b.n) AS density_above
FROM feature_blocks b JOIN feature_splits s ON s.dictionary = b.dictionary AND s.feature = b.feature AND s.split = 'score';
COMMENT ON VIEW feature_densities IS 'How often each feature fires on the score split: above 0, and above its threshold (score.threshold).';

CREATE VIEW powered_mean_table AS
SELECT * EXCLUDE (run) FROM powered_means m SEMI JOIN current_works c ON c.stage = 'means' AND c.work = m.run;
COMMENT ON VIEW powered_mean_table IS 'The prediction-powered means that count.';

CREATE VIEW unscored_labels AS
SELECT l.dictionary, l.feature, l.explainer, l.scorer, l.metric, l.holds_from, l.probability, l.ci_low, l.ci_high,
       l.status, l.n_scored, e.text AS label
FROM label_chances l SEMI JOIN current_works c ON c.stage = 'means' AND c.work = l.run
LEFT JOIN current_explanations e ON e.dictionary = l.dictionary AND e.feature = l.feature AND e.explainer = l.explainer;
COMMENT ON VIEW unscored_labels IS 'The labels that a drawn sample left unscored, each with the probability that its score would be holds_from or more and the 95 % interval, or with the reason in status why there is none.';

CREATE VIEW powered_difference_table AS
WITH shown AS (
    SELECT w.work FROM works w JOIN runs r USING (run) SEMI JOIN stages s ON s.stage = w.stage AND s.work = w.work
    WHERE w.stage = 'compare' QUALIFY rank() OVER (ORDER BY r.started_at DESC) = 1
)
SELECT * EXCLUDE (run) FROM powered_differences d SEMI JOIN shown ON shown.work = d.run;
COMMENT ON VIEW powered_difference_table IS 'The differences of prediction-powered means of the latest run that has any.';

CREATE VIEW matched_pairs AS
WITH splits AS (
    SELECT max(n_tokens) FILTER (split = 'score') / max(n_tokens) FILTER (split = 'explain') AS ratio FROM token_splits
), counted AS (
    SELECT d.matched_to AS dictionary, f.matched_feature, f.dictionary AS baseline, f.feature, f.unit,
           t.n_firing AS n_firing_explain, f.n_firing AS n_firing_baseline_explain, s.n_firing,
           b.n_firing AS n_firing_baseline, t.n_firing * ratio AS n_expected, f.density, n.density AS natural_density,
           u.n_above, v.n_above AS n_above_baseline
    FROM splits, features f JOIN dictionaries d ON d.dictionary = f.dictionary AND d.natural_of IS NULL
    JOIN features t ON t.dictionary = d.matched_to AND t.feature = f.matched_feature
    JOIN feature_splits s ON s.dictionary = d.matched_to AND s.feature = f.matched_feature AND s.split = 'score'
    JOIN feature_splits b ON b.dictionary = f.dictionary AND b.feature = f.feature AND b.split = 'score'
    LEFT JOIN dictionaries e ON e.natural_of = f.dictionary
    LEFT JOIN features n ON n.dictionary = e.dictionary AND n.feature = f.feature
    LEFT JOIN feature_densities u ON u.dictionary = d.matched_to AND u.feature = f.matched_feature
    LEFT JOIN feature_densities v ON v.dictionary = f.dictionary AND v.feature = f.feature
    WHERE f.match_status = 'matched'
)
SELECT *, abs(n_firing_baseline - n_firing) <= greatest(0.1 * n_firing, 3) AS within,
       abs(n_expected - n_firing) <= greatest(0.1 * n_firing, 3) AS own_within,
       abs(n_above_baseline - n_above) <= greatest(0.1 * n_above, 3) AS within_above
FROM counted;
COMMENT ON VIEW matched_pairs IS 'Each matched baseline feature beside the feature whose density it was given: firings on both splits, whether the score split is within 10 % or 3 firings, whether that feature keeps its own density so well, and the same of tokens above the threshold (feature_densities).';

CREATE VIEW baseline_pairs AS
SELECT DISTINCT c.a, c.b, c.paired, c.other_site
FROM comparison_table c JOIN dictionaries d ON d.dictionary = c.b AND d.kind NOT IN ('sae', 'transcoder');
COMMENT ON VIEW baseline_pairs IS 'Dictionaries (a) and the baselines (b) that the latest comparison sets beside them.';

CREATE VIEW excess_over_random AS
WITH random AS (
    SELECT s.*, d.matched_to FROM dictionary_summary s JOIN dictionaries d USING (dictionary)
    WHERE d.kind IN ('random_isotropic', 'random_covariance') AND d.matched_to IS NOT NULL AND d.natural_of IS NULL
), beside AS (
    SELECT s.dictionary, s.explainer, s.scorer, s.metric, s.design, s.mean_all, r.dictionary AS random,
           r.mean_all AS random_mean
    FROM dictionary_summary s JOIN dictionaries d USING (dictionary)
    JOIN random r ON r.matched_to = coalesce(d.matched_to, d.dictionary) AND r.explainer = s.explainer
         AND r.scorer = s.scorer AND r.metric = s.metric AND r.design = s.design
    WHERE r.mean_all IS NOT NULL AND d.natural_of IS NULL AND d.kind NOT IN ('random_isotropic', 'random_covariance')
    QUALIFY row_number() OVER (
        PARTITION BY s.dictionary, s.explainer, s.scorer, s.metric, s.design ORDER BY r.mean_all DESC, r.dictionary) = 1
)
SELECT b.dictionary, b.explainer, b.scorer, b.metric, b.design, b.random, b.random_mean,
       CASE WHEN c.a IS NULL THEN b.mean_all - b.random_mean ELSE c.difference END AS excess,
       c.simultaneous_low, c.simultaneous_high
FROM beside b LEFT JOIN comparison_table c ON c.a = b.dictionary AND c.b = b.random AND c.explainer = b.explainer
     AND c.scorer = b.scorer AND c.metric = b.metric AND c.design = b.design;
COMMENT ON VIEW excess_over_random IS 'What a dictionary scores above an unlearned unit: the matched random directions with the highest mean_all. Of a dictionary under study the difference over its matched features, with its interval for all pairs at once; of a baseline beside them the difference of mean_all.';

CREATE VIEW entropy_overlap AS
WITH binned AS (
    SELECT dictionary, floor(log2(n_firing))::INTEGER AS octave, floor(token_entropy)::INTEGER AS nats, count(*) AS n
    FROM features WHERE n_firing > 0 AND token_entropy IS NOT NULL GROUP BY ALL
), shares AS (
    SELECT *, sum(n) OVER (PARTITION BY dictionary, octave) AS total FROM binned
), totals AS (
    SELECT DISTINCT dictionary, octave, total FROM shares WHERE total >= 3
)
SELECT p.a, p.b, x.octave, x.total::BIGINT AS n_a, y.total::BIGINT AS n_b,
       coalesce((SELECT sum(least(u.n / u.total, v.n / v.total)) FROM shares u JOIN shares v USING (octave, nats)
                 WHERE u.dictionary = p.a AND v.dictionary = p.b AND u.octave = x.octave), 0) AS overlap
FROM baseline_pairs p JOIN totals x ON x.dictionary = p.a JOIN totals y ON y.dictionary = p.b AND y.octave = x.octave;
COMMENT ON VIEW entropy_overlap IS 'How alike the token entropies of a dictionary and a baseline are among features that fire 2^octave to 2^(octave + 1) times on the explain split: the overlap coefficient of their histograms, 1 nat a bin; strata with 3 features of both.';

CREATE VIEW entropy_strata AS
WITH placed AS (
    SELECT s.dictionary, s.feature, s.explainer, s.scorer, s.metric, s.design, s.value, f.matched_feature, f.match_status,
           least(floor(f.token_entropy)::INTEGER, 4) AS nats
    FROM score_table s JOIN features f USING (dictionary, feature)
    WHERE s.value IS NOT NULL AND f.token_entropy IS NOT NULL
), of_a AS (
    SELECT p.a, p.b, x.explainer, x.scorer, x.metric, x.design, x.nats, count(*) AS n, avg(x.value) AS mean
    FROM baseline_pairs p JOIN placed x ON x.dictionary = p.a
    WHERE NOT p.paired OR x.feature IN (
        SELECT f.matched_feature FROM features f WHERE f.dictionary = p.b AND f.match_status = 'matched')
    GROUP BY ALL
), of_b AS (
    SELECT p.a, p.b, y.explainer, y.scorer, y.metric, y.design, y.nats, count(*) AS n, avg(y.value) AS mean
    FROM baseline_pairs p JOIN placed y ON y.dictionary = p.b
    WHERE NOT p.paired OR y.match_status = 'matched'
    GROUP BY ALL
)
SELECT a, b, explainer, scorer, metric, design, nats, x.n AS n_a, y.n AS n_b, x.mean AS mean_a, y.mean AS mean_b,
       x.mean - y.mean AS difference
FROM of_a x JOIN of_b y USING (a, b, explainer, scorer, metric, design, nats);
COMMENT ON VIEW entropy_strata IS 'The difference between a dictionary and a baseline among features of the same token entropy (nats, rounded down; 4: and above): stratified, never adjusted away.';

CREATE VIEW explained_features AS
SELECT e.explainer, e.is_control, e.text AS explanation, e.status AS explanation_status, e.promotes,
       e.description_length, e.again, f.*,
       s.simulation, s.detection, s.fuzzing, s.logits, s.logits_hard
FROM current_explanations e JOIN features f USING (dictionary, feature)
LEFT JOIN (
    SELECT dictionary, feature, explainer,
           max(value) FILTER (metric = 'pearson_framed' AND NOT contains(scorer, '@')) AS simulation,
           max(value) FILTER (metric = 'balanced_accuracy_matched' AND starts_with(scorer, 'detection:')) AS detection,
           max(value) FILTER (metric = 'balanced_accuracy_matched' AND starts_with(scorer, 'fuzzing:')) AS fuzzing,
           max(value) FILTER (metric = 'logit_accuracy_direct') AS logits,
           max(value) FILTER (metric = 'logit_accuracy_direct_hard') AS logits_hard
    FROM score_table WHERE design = 'sample' GROUP BY dictionary, feature, explainer
) s USING (dictionary, feature, explainer);
COMMENT ON VIEW explained_features IS 'A row for each feature and explainer: the columns of features, what the explainer says of it, and its scores by scorer (sample design). What run --where is a condition over.';

CREATE VIEW current_effects AS
SELECT * FROM causal_effects
SEMI JOIN current_works c ON c.stage = 'ablate' AND c.dictionary = causal_effects.dictionary AND c.work = causal_effects.run;
COMMENT ON VIEW current_effects IS 'The rows of causal_effects that count: of the latest run that measured a dictionary.';

CREATE VIEW feature_effects AS
SELECT dictionary, feature, split, direction, count(*) AS n, avg(kl) AS kl, avg(kl_after) AS kl_after,
       avg(entropy) AS entropy, sum(kl) / nullif(sum(entropy), 0) AS kl_of_entropy,
       avg(loss_change) AS loss_change, stddev_samp(loss_change) / sqrt(count(loss_change)) AS loss_change_se,
       avg(loss_estimate) AS loss_estimate, avg(loss_change_after) AS loss_change_after, avg(direct_share) AS direct_share, avg(norm) AS norm
FROM current_effects GROUP BY ALL;
COMMENT ON VIEW feature_effects IS 'What each feature does to the output, measured: means over its firing tokens, beside those of random directions of the same norm.';

CREATE VIEW dictionary_effects AS
SELECT f.dictionary, f.split, f.direction, count(*) AS n_features, avg(f.kl) AS kl,
       stddev_samp(f.kl) / sqrt(count(*)) AS kl_se, avg(f.kl_of_entropy) AS kl_of_entropy,
       avg(f.kl_after) AS kl_after, avg(f.loss_change) AS loss_change,
       stddev_samp(f.loss_change) / sqrt(count(f.loss_change)) AS loss_change_se,
       avg(f.direct_share) AS direct_share, avg((f.kl > o.kl)::INTEGER) AS above_isotropic
FROM feature_effects f JOIN feature_effects o
  ON o.dictionary = f.dictionary AND o.feature = f.feature AND o.split = f.split AND o.direction = 'isotropic'
GROUP BY ALL;
COMMENT ON VIEW dictionary_effects IS 'feature_effects averaged over features; above_isotropic is the share of features whose mean KL is above that of isotropic directions of the same norm.';

CREATE VIEW estimate_agreement AS
WITH values_of AS (
    SELECT dictionary, split, direction, feature, 'loss' AS change_of, loss_estimate AS x, loss_change AS y
    FROM current_effects
    UNION ALL
    SELECT dictionary, split, direction, feature, 'logits', unnest(likeliest_estimate)::DOUBLE, unnest(likeliest_change)::DOUBLE
    FROM current_effects
), of_features AS (
    SELECT dictionary, split, direction, change_of, feature, count(*) AS n, sum(x) AS x, sum(y) AS y, sum(x ** 2) AS xx,
           sum(y ** 2) AS yy, sum(x * y) AS xy
    FROM values_of v WHERE v.x IS NOT NULL AND v.y IS NOT NULL GROUP BY dictionary, split, direction, change_of, feature
), whole AS (
    SELECT dictionary, split, direction, change_of, count(*) AS n_features, sum(n) AS n, sum(x) AS x, sum(y) AS y, sum(xx) AS xx,
           sum(yy) AS yy, sum(xy) AS xy
    FROM of_features GROUP BY dictionary, split, direction, change_of
), without AS (
    SELECT dictionary, split, direction, change_of, w.n - f.n AS n, w.x - f.x AS x, w.y - f.y AS y, w.xx - f.xx AS xx,
           w.yy - f.yy AS yy, w.xy - f.xy AS xy
    FROM whole w JOIN of_features f USING (dictionary, split, direction, change_of) WHERE n_features > 2
), spread AS (
    SELECT dictionary, split, direction, change_of, sqrt(count(*) - 1) AS factor,
           stddev_pop(atanh(greatest(least((n * xy - x * y) / sqrt(nullif((n * xx - x * x) * (n * yy - y * y), 0)), 1 - 1e-12), 1e-12 - 1))) AS of_z,
           stddev_pop((n * xy - x * y) / nullif(n * xx - x * x, 0)) AS of_slope
    FROM without GROUP BY ALL
), told AS (
    SELECT dictionary, split, direction, change_of, n_features, n::BIGINT AS n,
           (n * xy - x * y) / sqrt(nullif((n * xx - x * x) * (n * yy - y * y), 0)) AS correlation,
           (n * xy - x * y) / nullif(n * xx - x * x, 0) AS slope
    FROM whole
)
SELECT t.dictionary, d.hook, t.split, t.direction, t.change_of, t.n_features, t.n, t.correlation,
       tanh(atanh(least(greatest(t.correlation, 1e-12 - 1), 1 - 1e-12)) - 1.96 * s.factor * s.of_z) AS correlation_low,
       tanh(atanh(least(greatest(t.correlation, 1e-12 - 1), 1 - 1e-12)) + 1.96 * s.factor * s.of_z) AS correlation_high,
       t.slope, t.slope - 1.96 * s.factor * s.of_slope AS slope_low, t.slope + 1.96 * s.factor * s.of_slope AS slope_high
FROM told t JOIN dictionaries d USING (dictionary) LEFT JOIN spread s USING (dictionary, split, direction, change_of);
COMMENT ON VIEW estimate_agreement IS 'How far a first-order estimate (gradient times activation) tells measured changes, by dictionary and hook, split and direction. change_of: loss, of the next token, over n firing tokens of n_features features; logits, of the tokens that are likeliest next at each of these, over n of them (likeliest_change). Pearson''s correlation, and the slope of measured on estimated (1 where the estimate is right in size, above 1 where it falls short), with 95 % intervals of a jackknife that leaves out one feature at a time; no intervals with fewer than three features.';

CREATE VIEW current_context_effects AS
SELECT * FROM context_effects
SEMI JOIN current_works c ON c.stage = 'context_effects' AND c.dictionary = context_effects.dictionary AND c.work = context_effects.run;
COMMENT ON VIEW current_context_effects IS 'The rows of context_effects that count: of the latest run that measured a dictionary.';

CREATE VIEW current_following_effects AS
SELECT * FROM following_effects
SEMI JOIN current_works c ON c.stage = 'context_effects' AND c.dictionary = following_effects.dictionary AND c.work = following_effects.run;
COMMENT ON VIEW current_following_effects IS 'The rows of following_effects that count: of the latest run that measured a dictionary.';

CREATE VIEW context_tokens AS
SELECT e.dictionary, e.feature, e.context, e.peak, e.position - e.peak AS place, v.text,
       1 - e.removed / e.activation AS removed, 1 - e.masked / e.activation AS masked,
       1 - e.replaced / e.activation AS replaced, 1 - e.cut / e.activation AS cut,
       1 - e.between / e.activation AS between, e.activation
FROM current_context_effects e JOIN contexts c USING (context) JOIN vocab v ON v.token = c.tokens[e.position + 1]
WHERE e.other IS NULL AND e.activation > 0;
COMMENT ON VIEW context_tokens IS 'The single tokens of context_effects as text: the share of the activation that is lost with each change (above 1 never, below 0: it grows), by place before the peak.';

CREATE VIEW following_tokens AS
SELECT f.dictionary, f.feature, f.context, f.peak, f.position - f.peak AS place, v.text, f.logp_change
FROM (
    SELECT dictionary, feature, context, peak, unnest(logp_change) AS logp_change,
           start + generate_subscripts(logp_change, 1) - 1 AS position
    FROM current_following_effects
) f JOIN contexts c USING (context) JOIN vocab v ON v.token = c.tokens[f.position + 1];
COMMENT ON VIEW following_tokens IS 'The tokens of following_effects as text, by place behind (or before) the peak: the change of the log probability of each where the feature is taken away.';

CREATE VIEW current_sensitivity AS
SELECT * FROM sensitivity
SEMI JOIN current_works c ON c.stage = 'sensitivity' AND c.dictionary = sensitivity.dictionary AND c.work = sensitivity.run;
COMMENT ON VIEW current_sensitivity IS 'The rows of sensitivity that count: of the latest run that measured a dictionary.';

CREATE VIEW dictionary_sensitivity AS
SELECT dictionary, direction, count(DISTINCT feature) AS n_features, count(*) AS n, median(size_025) AS size_025,
       median(size_050) AS size_050, median(size_100) AS size_100, median(steepest) AS steepest,
       count(size_050) / count(*) AS reach_050
FROM current_sensitivity GROUP BY ALL;
COMMENT ON VIEW dictionary_sensitivity IS 'The sizes of sensitivity by dictionary and direction: medians over the tokens whose KL gets there, and the share that reaches 0.5.';

CREATE VIEW current_geometry AS
SELECT g.*, CASE WHEN g.direction = 'feature' THEN d.neuron_correlation END AS neuron_correlation
FROM feature_geometry g
SEMI JOIN current_works c ON c.stage = 'geometry' AND c.dictionary = g.dictionary AND c.work = g.run
LEFT JOIN feature_diagnostics d ON d.dictionary = g.dictionary AND d.feature = g.feature;
COMMENT ON VIEW current_geometry IS 'The rows of feature_geometry that count, and, of features, the correlation of their activation with their most-correlated neuron (feature_diagnostics).';

CREATE VIEW dictionary_geometry AS
SELECT g.dictionary, g.direction, count(*) AS n_features, avg(g.cosine) AS cosine,
       stddev_samp(g.cosine) / sqrt(count(*)) AS cosine_se, avg(g.explained[1]) AS explained_1,
       avg(g.explained[2]) AS explained_2, avg(g.explained[4]) AS explained_4, avg(g.explained[8]) AS explained_8,
       stddev_samp(g.explained[4]) / sqrt(count(*)) AS explained_4_se,
       avg((g.explained[4] > o.explained[4])::INTEGER) AS above_covariance,
       avg((g.explained[2] >= 0.9)::INTEGER) AS composite, avg(abs(g.neuron_cosine)) AS neuron_cosine,
       avg(abs(g.neuron_correlation)) AS neuron_correlation
FROM current_geometry g JOIN current_geometry o
  ON o.dictionary = g.dictionary AND o.feature = g.feature AND o.direction = 'covariance'
WHERE g.status = 'ok' GROUP BY ALL;
COMMENT ON VIEW dictionary_geometry IS 'feature_geometry averaged over features, by direction: cosine with the nearest other row, the share of the squared norm that 1, 2, 4 and 8 other rows span, the share of features of which four rows span more than of the random direction beside them that is spread as the activations are, the share of which two span .9 or more (composite features), and how like a neuron they are.';

CREATE VIEW current_description_lengths AS
SELECT l.*, d.kind, d.hook, l.bits / l.coordinate_bits AS of_coordinates
FROM description_lengths l JOIN dictionaries d USING (dictionary)
SEMI JOIN current_works c ON c.stage = 'geometry' AND c.dictionary = l.dictionary AND c.work = l.run;
COMMENT ON VIEW current_description_lengths IS 'The rows of description_lengths that count, with the dictionary''s kind and hook and the bits as a multiple of what the coordinates cost.';

CREATE VIEW universality AS
SELECT s.a, s.b, s.n_features, s.n_compared, s.share_050,
       1.96 * sqrt(s.share_050 * (1 - s.share_050) / nullif(s.n_compared, 0)) AS share_050_half_width,
       s.share_070, s.correlation, s.cosine, s.cka, s.cka_permuted, s.rsa, s.rsa_permuted,
       a.kind AS kind_a, b.kind AS kind_b
FROM dictionary_similarities s
SEMI JOIN (SELECT arg_max(w.work, r.started_at) AS work
           FROM works w JOIN runs r USING (run) SEMI JOIN stages t ON t.stage = w.stage AND t.work = w.work
           WHERE w.stage = 'similarity') latest ON latest.work = s.run
JOIN dictionaries a ON a.dictionary = s.a JOIN dictionaries b ON b.dictionary = s.b;
COMMENT ON VIEW universality IS 'The similarities of the latest run that has any: the share of the compared features of A that have a match in B (the half width of its 95 % interval over features), and how alike the two are as a whole. Rows whose A are random directions say what share an unlearned unit gets.';

CREATE VIEW current_matches AS
SELECT m.* FROM feature_matches m
SEMI JOIN (SELECT arg_max(w.work, r.started_at) AS work
           FROM works w JOIN runs r USING (run) SEMI JOIN stages t ON t.stage = w.stage AND t.work = w.work
           WHERE w.stage = 'similarity') latest ON latest.work = m.run;
COMMENT ON VIEW current_matches IS 'The rows of feature_matches of the latest run that has any: the nearest feature in each other dictionary.';

CREATE VIEW effect_values AS
SELECT dictionary, feature, direction, 'step_025' AS measure,
       avg(log2(4 * coalesce(size_025, sizes[-1]) / sizes[-1])) AS value, bool_and(size_025 IS NOT NULL) AS reached,
       count(*) AS n
FROM current_sensitivity WHERE direction IN ('feature', 'isotropic', 'covariance') GROUP BY ALL
UNION ALL
SELECT dictionary, feature, direction, 'step_050', avg(log2(4 * coalesce(size_050, sizes[-1]) / sizes[-1])),
       bool_and(size_050 IS NOT NULL), count(*)
FROM current_sensitivity WHERE direction IN ('feature', 'isotropic', 'covariance') GROUP BY ALL
UNION ALL
SELECT dictionary, feature, direction, 'step_100', avg(log2(4 * coalesce(size_100, sizes[-1]) / sizes[-1])),
       bool_and(size_100 IS NOT NULL), count(*)
FROM current_sensitivity WHERE direction IN ('feature', 'isotropic', 'covariance') GROUP BY ALL
UNION ALL
SELECT dictionary, feature, direction, 'kl_of_entropy', log2(greatest(kl_of_entropy, 1e-9)), true, n
FROM feature_effects WHERE split = 'score' AND kl_of_entropy IS NOT NULL
UNION ALL
SELECT dictionary, feature, direction, 'direct_share', direct_share, true, n
FROM feature_effects WHERE split = 'score' AND direction = 'feature' AND direct_share IS NOT NULL;
COMMENT ON VIEW effect_values IS 'What compare sets beside each other of effects, a value for each feature and direction, means over its n firing tokens of the split score: step_025, step_050, step_100: log2 of the step that moves the output by so much KL over the median norm of the activations (a step that never does counts as the largest tried, 4 times that norm, and reached is false); kl_of_entropy: log2 of the KL without its contribution over the entropy of the model as it is (1e-9 at least); direct_share.';

CREATE VIEW effect_mean_table AS
WITH shown AS (
    SELECT w.work FROM works w JOIN runs r USING (run) SEMI JOIN stages s ON s.stage = w.stage AND s.work = w.work
    WHERE w.stage = 'compare_effects' QUALIFY rank() OVER (ORDER BY r.started_at DESC) = 1
)
SELECT * EXCLUDE (run) FROM effect_means m SEMI JOIN shown ON shown.work = m.run;
COMMENT ON VIEW effect_mean_table IS 'The rows of effect_means of the latest run that has any.';

CREATE VIEW effect_difference_table AS
WITH shown AS (
    SELECT w.work FROM works w JOIN runs r USING (run) SEMI JOIN stages s ON s.stage = w.stage AND s.work = w.work
    WHERE w.stage = 'compare_effects' QUALIFY rank() OVER (ORDER BY r.started_at DESC) = 1
)
SELECT * EXCLUDE (run) FROM effect_differences d SEMI JOIN shown ON shown.work = d.run;
COMMENT ON VIEW effect_difference_table IS 'The rows of effect_differences of the latest run that has any.';

CREATE VIEW current_steered_texts AS
SELECT s.* FROM steered_texts s
SEMI JOIN current_works c ON c.stage = 'steered_texts' AND c.dictionary = s.dictionary AND c.work = s.run;
COMMENT ON VIEW current_steered_texts IS 'The rows of steered_texts that count: of the latest run that made them for a dictionary.';

CREATE VIEW current_steering_strengths AS
SELECT s.* EXCLUDE (run) FROM steering_strengths s
SEMI JOIN current_works c ON c.stage = 'steered_texts' AND c.dictionary = s.dictionary AND c.work = s.run;
COMMENT ON VIEW current_steering_strengths IS 'The rows of steering_strengths that count: of the latest run that steered a dictionary.';

CREATE VIEW evidence_grid AS
WITH of_features AS (
    SELECT dictionary, feature, explainer, evidence_of(explainer) AS evidence, value,
           CASE metric WHEN 'pearson_framed' THEN 'activations' WHEN 'logit_accuracy_direct_hard' THEN 'direct effects'
                ELSE 'measured effects' END AS scored_on
    FROM score_table
    WHERE design = 'sample' AND value IS NOT NULL AND status <> 'underpowered' AND NOT contains(scorer, '@')
      AND metric IN ('pearson_framed', 'logit_accuracy_direct_hard', 'logit_accuracy_measured_hard')
      AND evidence_of(explainer) IS NOT NULL
), judged_by AS (
    SELECT dictionary, scored_on, count(DISTINCT explainer) AS n FROM of_features GROUP BY ALL
), shared AS (
    SELECT dictionary, scored_on, feature
    FROM of_features JOIN judged_by USING (dictionary, scored_on) GROUP BY dictionary, scored_on, feature
    HAVING count(DISTINCT explainer) = any_value(n)
)
SELECT dictionary, evidence, explainer, scored_on, count(*) AS n_features, avg(value) AS mean,
       1.96 * stddev_samp(value) / sqrt(count(*)) AS half_width
FROM of_features SEMI JOIN shared USING (dictionary, scored_on, feature) GROUP BY ALL;
COMMENT ON VIEW evidence_grid IS 'What a label saw beside what it is scored on: mean scores of labels from where a feature fires and of labels from what it does, on activations (pearson_framed, 0 by chance) and on direct and measured effects (hard sets, .5 by chance), over the features that all of a dictionary''s explainers have a score of; the half width of a 95 % interval over features.';

CREATE VIEW current_token_changes AS
SELECT t.*, v.text FROM token_changes t
SEMI JOIN current_works c ON c.stage = 'token_changes' AND c.dictionary = t.dictionary AND c.work = t.run
JOIN vocab v USING (token);
COMMENT ON VIEW current_token_changes IS 'The rows of token_changes that count, of the latest run that measured a dictionary, with the token as text.';

CREATE VIEW feature_token_changes AS
SELECT t.* EXCLUDE (run) FROM token_change_strengths t
SEMI JOIN current_works c ON c.stage = 'token_changes' AND c.dictionary = t.dictionary AND c.work = t.run;
COMMENT ON VIEW feature_token_changes IS 'The rows of token_change_strengths that count.';

CREATE VIEW dictionary_token_changes AS
SELECT f.dictionary, f.split, f.direction, count(*) AS n_features, avg(f.kl) AS kl,
       stddev_samp(f.kl) / sqrt(count(*)) AS kl_se, avg(f.norm) AS norm, avg(f.spread) AS spread,
       avg(f.agreement) AS agreement, avg(f.direct_share) AS direct_share,
       avg((f.spread > o.spread)::INTEGER) AS above_covariance
FROM feature_token_changes f JOIN feature_token_changes o
  ON o.dictionary = f.dictionary AND o.feature = f.feature AND o.split = f.split AND o.direction = 'covariance'
GROUP BY ALL;
COMMENT ON VIEW dictionary_token_changes IS 'feature_token_changes averaged over features; above_covariance is the share of features whose changes are spread wider than those of a random direction of their norm.';

CREATE VIEW current_output_scores AS
SELECT o.*, v.text FROM output_scores o
SEMI JOIN current_works c ON c.stage = 'output_scores' AND c.dictionary = o.dictionary AND c.work = o.run
LEFT JOIN vocab v ON v.token = o.token;
COMMENT ON VIEW current_output_scores IS 'The rows of output_scores that count, of the latest run that measured a dictionary, with the token as text.';

CREATE VIEW dictionary_output_scores AS
SELECT dictionary, count(*) AS n_features, count(score) AS n, avg(score) AS score,
       stddev_samp(score) / sqrt(count(score)) AS score_se, median(score) AS median_score,
       avg(score_before) AS score_before, avg((score >= 0.01)::INTEGER) AS reach_001,
       avg((rank = 1)::INTEGER) AS first
FROM current_output_scores GROUP BY ALL;
COMMENT ON VIEW dictionary_output_scores IS 'Output scores by dictionary: means over the features that have one, the share whose score reaches 0.01, and the share that makes one of its tokens the likeliest of all.';

CREATE VIEW side_explainers AS
WITH ranked AS (
    SELECT DISTINCT e.dictionary, side, e.explainer,
           list_position(CASE side WHEN 'input' THEN ['input', 'both', 'all'] ELSE ['direct', 'measured', 'both', 'all'] END,
                         evidence_of(e.explainer)) AS place
    FROM current_explanations e, (VALUES ('input'), ('output')) AS sides(side)
    WHERE evidence_of(e.explainer) IS NOT NULL AND e.text <> ''
)
SELECT r.dictionary, r.side, r.explainer, m.mean
FROM ranked r LEFT JOIN dictionary_summary m
  ON m.dictionary = r.dictionary AND m.explainer = r.explainer AND m.design = 'sample' AND NOT contains(m.scorer, '@')
     AND m.metric = CASE r.side WHEN 'input' THEN 'pearson_framed' ELSE 'logit_accuracy_direct_hard' END
WHERE r.place IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY r.dictionary, r.side
                           ORDER BY r.place, NOT contains(r.explainer, '/'), m.mean DESC NULLS LAST, r.explainer) = 1;
COMMENT ON VIEW side_explainers IS 'Whose label stands in feature_cards for what fires a feature (side input) and for what it does (output), one explainer a dictionary: the one that saw the least beside that (evidence_of; input, then both, then all; direct, then measured, both, all); of several an LLM''s before others, then the one of the best mean on that side (pearson_framed, logit_accuracy_direct_hard). Explainers whose name does not say what they saw are left out.';

CREATE VIEW feature_cards AS
WITH sided AS (
    SELECT e.dictionary, e.feature, x.side, e.explainer, e.text, s.value, s.ci_low, s.ci_high
    FROM side_explainers x JOIN current_explanations e ON e.dictionary = x.dictionary AND e.explainer = x.explainer
    LEFT JOIN score_table s
      ON s.dictionary = e.dictionary AND s.feature = e.feature AND s.explainer = e.explainer AND s.design = 'sample'
         AND NOT contains(s.scorer, '@')
         AND s.metric = CASE x.side WHEN 'input' THEN 'pearson_framed' ELSE 'logit_accuracy_direct_hard' END
    QUALIFY row_number() OVER (PARTITION BY e.dictionary, e.feature, x.side ORDER BY s.value IS NULL, s.scorer) = 1
), steps AS (
    SELECT dictionary, feature, CASE WHEN count(size_050) = count(*) THEN median(size_050) END AS step_050
    FROM current_sensitivity WHERE direction = 'feature' GROUP BY ALL
)
SELECT f.dictionary, f.feature, d.kind, d.hook, f.status, f.density, f.max_activation, f.n_firing, f.token_entropy,
       e.text AS explanation, e.description_length, s.value AS score, s.ci_low, s.ci_high, f.planted_label,
       (SELECT list(v.text ORDER BY l.rank) FROM logit_effects l JOIN vocab v USING (token)
        WHERE l.dictionary = f.dictionary AND l.feature = f.feature AND l.direction = 'promoted' AND l.rank <= 10) AS promoted,
       (SELECT list(v.text ORDER BY l.rank) FROM logit_effects l JOIN vocab v USING (token)
        WHERE l.dictionary = f.dictionary AND l.feature = f.feature AND l.direction = 'suppressed' AND l.rank <= 10) AS suppressed,
       i.explainer AS input_explainer, i.text AS input_label, i.value AS input_score, i.ci_low AS input_low,
       i.ci_high AS input_high, o.explainer AS output_explainer, o.text AS output_label, o.value AS output_score,
       o.ci_low AS output_low, o.ci_high AS output_high, m.kl, m.kl_of_entropy, m.loss_change, m.loss_estimate,
       m.direct_share, t.step_050, a.score AS amplified_score
FROM features f JOIN dictionaries d USING (dictionary)
LEFT JOIN current_explanations e ON e.dictionary = f.dictionary AND e.feature = f.feature AND e.explainer = 'lexical'
LEFT JOIN score_table s ON s.dictionary = f.dictionary AND s.feature = f.feature AND s.explainer = 'lexical'
     AND s.metric = 'pearson' AND s.design = 'census'
LEFT JOIN sided i ON i.dictionary = f.dictionary AND i.feature = f.feature AND i.side = 'input'
LEFT JOIN sided o ON o.dictionary = f.dictionary AND o.feature = f.feature AND o.side = 'output'
LEFT JOIN feature_effects m ON m.dictionary = f.dictionary AND m.feature = f.feature AND m.split = 'score' AND m.direction = 'feature'
LEFT JOIN steps t ON t.dictionary = f.dictionary AND t.feature = f.feature
LEFT JOIN current_output_scores a ON a.dictionary = f.dictionary AND a.feature = f.feature;
COMMENT ON VIEW feature_cards IS 'A feature at a glance: what it is; explanation and score, those of lexical over all tokens (pearson, census); what it promotes directly. From both sides: the label of what fires it with its score on activations (pearson_framed, 0 by chance), and the label of what it does with its score on direct effects (logit_accuracy_direct_hard, .5 by chance), on the sample, with 95 % intervals (side_explainers says whose; of several judges'' scores the first by the scorer''s name). What was measured at tokens of the score split: kl, kl_of_entropy, loss_change with loss_estimate, direct_share; step_050, the step that moves the output by KL 0.5; amplified_score, of output_scores. Not there where it was not asked or measured.';

CREATE VIEW promoted_tokens AS
SELECT l.dictionary, l.feature, l.direction, l.rank, v.text, l.effect, l.z
FROM logit_effects l JOIN vocab v USING (token);
COMMENT ON VIEW promoted_tokens IS 'The tokens that a feature makes likelier (direction promoted) and less likely (suppressed) by the direct path, as text, strongest first.';

CREATE VIEW token_features AS
WITH said AS (
    SELECT dictionary, feature, arg_min(text, CASE explainer WHEN 'lexical' THEN 1 ELSE 0 END) AS label
    FROM current_explanations WHERE is_label(explainer) AND text IS NOT NULL GROUP BY dictionary, feature
), each AS (
    SELECT dictionary, feature, unnest(tokens) AS token, unnest(mass) AS mass, unnest(n_firing) AS n_firing,
           unnest(n_seen) AS n_seen
    FROM feature_tokens
)
SELECT v.text AS token_text, e.dictionary, e.feature, e.mass / nullif(f.mean * f.n_tokens, 0) AS share,
       e.n_firing, e.n_seen, e.n_firing / nullif(e.n_seen, 0) AS fires_on, e.mass / nullif(e.n_firing, 0) AS mean_activation,
       s.label, e.token
FROM each e JOIN vocab v USING (token) JOIN features f USING (dictionary, feature)
LEFT JOIN said s USING (dictionary, feature);
COMMENT ON VIEW token_features IS 'Which features fire on a token (explain split; the 256 heaviest tokens of each feature): the share of the feature''s activation that stands on it, the share of its occurrences that fire, and what the feature is said to do (by an LLM or a person where one said it, else by lexical).';

CREATE VIEW exemplar_texts AS
WITH placed AS (
    SELECT dictionary, feature, split, stratum, rank, max_activation, context, window_start, positions,
           unnest(range(n_tokens)) AS i
    FROM exemplars
)
SELECT p.dictionary, p.feature, p.split, p.stratum, p.rank, p.max_activation AS activation,
       string_agg(CASE WHEN list_contains(p.positions, p.i) THEN '«' || v.text || '»' ELSE v.text END, '' ORDER BY p.i) AS text,
       p.context, p.window_start
FROM placed p JOIN contexts c USING (context) JOIN vocab v ON v.token = c.tokens[p.window_start + p.i + 1]
GROUP BY p.dictionary, p.feature, p.split, p.stratum, p.rank, p.max_activation, p.context, p.window_start;
COMMENT ON VIEW exemplar_texts IS 'The kept windows as text, the tokens on which the feature fires in «marks», with the largest activation and the stratum. Name the feature: all of them at once are many.';

CREATE VIEW wrong_windows AS
WITH wrong AS (
    SELECT j.dictionary, j.feature, j.explainer, j.scorer, j.stratum, j.fires, j.judged, j.probability, j.marks,
           j.context, j.window_start, j.request, j.sample
    FROM judgements j LEFT JOIN current_works w ON w.stage = 'judge' AND w.work = j.run
    WHERE j.status = 'ok' AND j.judged <> j.fires AND (j.run IS NULL OR w.work IS NOT NULL)
), placed AS (
    SELECT w.*, unnest(range(least((SELECT max(n_tokens) FROM exemplars WHERE split = 'score'),
                                   len(c.tokens) - w.window_start))) AS i, c.tokens
    FROM wrong w JOIN contexts c USING (context)
), shown AS (
    SELECT p.dictionary, p.feature, p.explainer, p.scorer, CASE WHEN p.fires THEN 'miss' ELSE 'false alarm' END AS wrong,
           p.stratum, p.probability,
           string_agg(CASE WHEN list_contains(p.marks, p.i) THEN '«' || v.text || '»' ELSE v.text END, '' ORDER BY p.i) AS text,
           any_value(e.text) AS label, p.context, p.window_start, p.request, p.sample
    FROM placed p JOIN vocab v ON v.token = p.tokens[p.window_start + p.i + 1]
    LEFT JOIN current_explanations e ON e.dictionary = p.dictionary AND e.feature = p.feature AND e.explainer = p.explainer
    GROUP BY p.dictionary, p.feature, p.explainer, p.scorer, p.stratum, p.fires, p.probability, p.context, p.window_start, p.request, p.sample
)
SELECT s.*, arg_max(c.prompt, c.attempt) AS prompt, arg_max(c.reply, c.attempt) AS reply
FROM shown s LEFT JOIN llm_calls c ON c.request = s.request AND c.sample = s.sample AND c.status = 'ok'
GROUP BY ALL;
COMMENT ON VIEW wrong_windows IS 'The windows that a judge got wrong, as text: it fires there and the judge said no (miss), or it is silent and the judge said yes (false alarm); of fuzzing the tokens that were marked, in «marks», and whether they are those that fire. With the label that was judged, and prompt and reply of the call that said so (empty where judgements.request is).';
