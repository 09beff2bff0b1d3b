-- What activations depend on: changed tokens stand before the peak, a context once, all tokens in one row each; activations are not negative.
WITH groups AS (
    SELECT run, dictionary, feature, context, peak,
        min(activation) < max(activation) OR min(position) < 0 OR max(position - peak) >= 0
        OR NOT bool_and(isfinite(activation)) OR min(activation) <= 0
        OR bool_or(other IS NOT NULL AND (other <= position OR other >= peak))
        OR bool_or(other IS NULL AND (removed IS NULL OR replaced IS NULL OR cut IS NULL))
        OR bool_or(other IS NOT NULL AND (removed IS NOT NULL OR cut IS NOT NULL OR between IS NOT NULL))
        OR min(least(removed, masked, replaced, cut, between)) < 0
        OR count(*) FILTER (other IS NULL) <> count(DISTINCT position) FILTER (other IS NULL)
        OR count(masked) NOT IN (0, count(*)) AS wrong
    FROM context_effects GROUP BY ALL
), firing AS (
    SELECT g.dictionary, g.feature, g.context,
        bool_and(e.peak <> g.peak OR abs(e.max_activation - g.activation) > 0.01 * e.max_activation + 1e-3) AS wrong
    FROM (SELECT DISTINCT dictionary, feature, context, peak, activation FROM context_effects) g
    LEFT JOIN exemplars e ON e.dictionary = g.dictionary AND e.feature = g.feature AND e.context = g.context
         AND e.split = 'explain' AND e.stratum = 'top'
    GROUP BY g.dictionary, g.feature, g.context, g.peak, g.activation
), behind AS (
    SELECT f.dictionary, f.feature, f.context,
        f.start < 1 OR f.start + len(f.logp_change) <> len(c.tokens) OR n_firing < 1 OR c.split <> 'explain'
        OR list_bool_and([isfinite(x) FOR x IN f.logp_change]) IS NOT TRUE AS wrong
    FROM following_effects f JOIN contexts c USING (context)
), claims AS (
    SELECT dictionary || '/' || feature || ' at ' || context || ':' || peak AS name, wrong FROM groups
    UNION ALL SELECT dictionary || '/' || feature || ' in context ' || context, coalesce(wrong, true) FROM firing
    UNION ALL SELECT dictionary || '/' || feature || ' behind, in context ' || context, wrong FROM behind
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
