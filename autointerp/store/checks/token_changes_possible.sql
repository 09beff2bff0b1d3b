-- Clamped features: both directions in both splits, with as many ranks as each keeps; what rises rises, and ranks fall.
WITH lists AS (
    SELECT run, dictionary, feature, split, direction, side,
        count(DISTINCT token) <> count(*) OR min(rank) <> 1 OR max(rank) <> count(*)
        OR list(change ORDER BY rank) <> list(change ORDER BY CASE WHEN side = 'risen' THEN -change ELSE change END)
        OR NOT bool_and(isfinite(change) AND isfinite(z)) OR min(error) < 0
        OR bool_or(sign(z) <> sign(change) OR side NOT IN ('risen', 'fallen')) AS wrong
    FROM token_changes GROUP BY ALL
), strengths AS (
    SELECT run, dictionary, feature, count(*) <> 4 OR count(DISTINCT split || direction) <> 4
        OR bool_or(split NOT IN ('explain', 'score') OR direction NOT IN ('feature', 'covariance'))
        OR min(activation) <= 0 OR min(activation) < max(activation) OR min(n_contexts) < 2
        OR bool_or(n_tokens % n_contexts <> 0) OR min(kl) < 0 OR min(spread) < 0
        OR max(abs(coalesce(agreement, 0))) > 1.000001 OR max(abs(coalesce(direct_share, 0))) > 1.000001 AS wrong
    FROM token_change_strengths GROUP BY ALL
), claims AS (
    SELECT dictionary || '/' || feature || ', ' || split || ', ' || direction || ', ' || side AS name, wrong FROM lists
    UNION ALL SELECT dictionary || '/' || feature, wrong FROM strengths
    UNION ALL SELECT dictionary || '/' || feature || ': tokens', t.n IS DISTINCT FROM 8
        FROM (SELECT DISTINCT run, dictionary, feature FROM token_change_strengths)
        LEFT JOIN (SELECT run, dictionary, feature, count(DISTINCT split || direction || side) AS n
                   FROM token_changes GROUP BY ALL) t USING (run, dictionary, feature)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
