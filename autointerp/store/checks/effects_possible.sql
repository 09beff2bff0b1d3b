-- Measured effects: three directions at each firing token, of one norm and one entropy; KL is not negative.
WITH places AS (
    SELECT run, dictionary, feature, split, context, position,
        count(*) <> 3 OR count(DISTINCT direction) <> 3 OR max(norm) > min(norm) OR max(entropy) > min(entropy)
        OR min(kl) < 0 OR NOT bool_and(isfinite(kl)) OR min(coalesce(kl_after, 0)) < 0 OR min(activation) <= 0
        OR max(abs(coalesce(direct_share, 0))) > 1.000001
        OR bool_or(direction <> 'feature' AND (moved IS NOT NULL OR direct_share IS NOT NULL))
        OR bool_or(loss_estimate IS NOT NULL AND (loss_change IS NULL OR NOT isfinite(loss_estimate)))
        OR bool_or(likeliest IS NULL <> (likeliest_change IS NULL) OR likeliest IS NULL <> (likeliest_estimate IS NULL))
        OR bool_or(likeliest IS NULL <> (loss_estimate IS NULL)) OR count(DISTINCT likeliest) > 1
        OR bool_or(len(likeliest_change) <> len(likeliest) OR len(likeliest_estimate) <> len(likeliest))
        OR bool_or(len(list_distinct(likeliest)) < len(likeliest))
        OR bool_or(NOT isfinite(list_sum(likeliest_change)) OR NOT isfinite(list_sum(likeliest_estimate)))
        OR bool_or(len(moved) <> len(logit_change)) OR bool_or((n_after = 0) <> (kl_after IS NULL)) AS wrong
    FROM causal_effects GROUP BY ALL
), splits AS (
    SELECT e.dictionary, e.feature, e.context, e.split <> c.split AS wrong
    FROM (SELECT DISTINCT dictionary, feature, context, split FROM causal_effects) e JOIN contexts c USING (context)
), claims AS (
    SELECT dictionary || '/' || feature || ' at ' || context || ':' || position AS name, wrong FROM places
    UNION ALL SELECT dictionary || '/' || feature || ' in context ' || context, wrong FROM splits
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
