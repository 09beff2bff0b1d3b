-- Which living features does their explanation predict worst, with confidence?
-- Ranked by the upper end of the interval: at best it is this bad.
SELECT dictionary, feature, round(score, 3) AS score, round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high,
       n_firing, round(token_entropy, 2) AS token_entropy, explanation
FROM feature_cards
WHERE score IS NOT NULL AND status = 'alive'
ORDER BY coalesce(feature_cards.ci_high, feature_cards.score), feature_cards.score, dictionary, feature
LIMIT 25;
