-- Cosines and shares lie where they can; a row more explains no less, and one at least the square of the nearest's cosine; lengths are no less than nothing; an order of tokens does not make dictionaries more than alike.
WITH matched AS (
    SELECT run, dictionary AS a, other AS b, count(*) AS n_features, count(*) FILTER (status <> 'seldom') AS n_compared,
        avg(coalesce(correlation, 0)) FILTER (status <> 'seldom') AS correlation,
        avg((coalesce(correlation, 0) >= 0.5)::INTEGER) FILTER (status <> 'seldom') AS share_050
    FROM feature_matches GROUP BY ALL
), claims AS (
    SELECT g.dictionary || '/' || g.feature || ', ' || g.direction AS name,
        g.direction NOT IN ('feature', 'isotropic', 'covariance') OR g.status NOT IN ('ok', 'zero', 'alone')
        OR (g.status = 'ok') <> (g.cosine IS NOT NULL) OR (g.cosine IS NULL) <> (g.nearest IS NULL)
        OR (g.cosine IS NULL) <> (g.atoms IS NULL) OR (g.atoms IS NULL) <> (g.explained IS NULL)
        OR coalesce(abs(g.cosine) > 1, false) OR coalesce(g.nearest NOT BETWEEN 0 AND d.n_features - 1, false)
        OR coalesce(g.nearest = g.feature OR list_contains(g.atoms, g.feature), false)
        OR coalesce(len(g.explained) <> 8 OR len(g.atoms) > 8 OR len(list_distinct(g.atoms)) < len(g.atoms), false)
        OR coalesce(list_min(g.explained) < 0 OR list_max(g.explained) > 1 OR g.explained <> list_sort(g.explained), false)
        OR coalesce(g.explained[1] < greatest(g.cosine, 0) ** 2 - 1e-5, false)
        OR (g.neuron IS NULL) <> (g.neuron_cosine IS NULL) OR coalesce(abs(g.neuron_cosine) > 1, false) AS wrong
    FROM feature_geometry g JOIN dictionaries d USING (dictionary)
    UNION ALL SELECT dictionary || ': description length', n_tokens <= 0 OR step <= 0 OR NOT (bits >= 0)
        OR NOT (coordinate_bits >= 0) OR n_active < 0 OR n_cut < 0 OR coalesce(variance_explained > 1, false)
    FROM description_lengths
    UNION ALL SELECT a || ' and ' || b, a = b OR n_compared > n_features OR n_rsa_tokens > n_gram_tokens
        OR n_gram_tokens > n_tokens OR coalesce(share_070 > share_050, false) OR (n_compared = 0) <> (share_050 IS NULL)
        OR coalesce(share_050 NOT BETWEEN 0 AND 1, false) OR coalesce(abs(correlation) > 1, false)
        OR coalesce(abs(cosine) > 1.00001, false) OR coalesce(cka NOT BETWEEN -1e-6 AND 1.00001, false)
        OR coalesce(abs(rsa) > 1.00001, false)
        OR coalesce(abs(cka - (SELECT o.cka FROM dictionary_similarities o WHERE o.run = s.run AND o.a = s.b AND o.b = s.a)) > 1e-5, false)
    FROM dictionary_similarities s
    UNION ALL SELECT m.dictionary || '/' || feature || ' in ' || other, m.dictionary = other
        OR m.status NOT IN ('ok', 'seldom', 'none') OR (m.status = 'ok') <> (match IS NOT NULL)
        OR (match IS NULL) <> (correlation IS NULL) OR (match IS NULL AND cosine IS NOT NULL)
        OR coalesce(abs(correlation) > 1, false) OR coalesce(abs(cosine) > 1.00001, false)
        OR coalesce(match NOT BETWEEN 0 AND d.n_features - 1, false)
    FROM feature_matches m LEFT JOIN dictionaries d ON d.dictionary = m.other
    UNION ALL SELECT s.a || ' and ' || s.b || ': matches', m.n_features IS NULL OR m.n_features <> s.n_features
        OR m.n_compared <> s.n_compared OR coalesce(abs(m.correlation - s.correlation) > 1e-6, false)
        OR coalesce(abs(m.share_050 - s.share_050) > 1e-6, false)
    FROM dictionary_similarities s LEFT JOIN matched m USING (run, a, b)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
