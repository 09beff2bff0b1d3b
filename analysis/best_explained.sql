-- Which features are explained best, and by what? (Planted ones, known by construction, left out.)
-- Ranked by the lower end of the interval, so that a feature with few firings does not lead by luck.
SELECT dictionary, feature, round(score, 3) AS score, round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high,
       n_firing, explanation, promoted[1:5] AS promoted
FROM feature_cards
WHERE score IS NOT NULL AND kind <> 'planted'
ORDER BY feature_cards.ci_low DESC NULLS LAST, feature_cards.score DESC, dictionary, feature
LIMIT 25;
