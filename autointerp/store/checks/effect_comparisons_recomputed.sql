-- Means and differences of effects are those of the values that they are of; a verdict lies on its side of the interval.
WITH latest AS (
    SELECT w.work, w.decided_by::VARCHAR AS decided_by
    FROM works w JOIN runs r USING (run) SEMI JOIN stages s ON s.stage = w.stage AND s.work = w.work
    WHERE w.stage = 'compare_effects' QUALIFY row_number() OVER (ORDER BY r.started_at DESC) = 1
), unchanged AS (  -- dictionaries that were not measured anew since
    SELECT l.work AS run, c.dictionary FROM current_works c, latest l WHERE c.stage IN ('ablate', 'sensitivity')
    GROUP BY ALL HAVING bool_and(contains(l.decided_by, c.work))
), counted AS (
    SELECT u.run, v.dictionary, v.direction, v.measure, v.feature, v.value, v.reached
    FROM effect_values v JOIN unchanged u USING (dictionary)
), means AS (
    SELECT run, dictionary, direction, measure, count(*) AS n, count(*) FILTER (NOT reached) AS n_unreached,
           avg(value) AS mean
    FROM counted GROUP BY ALL
), pairs AS (
    SELECT a.run, a.measure, a.dictionary AS a, b.dictionary AS b, b.direction AS direction_b, count(*) AS n,
           avg(a.value - b.value) AS difference, avg(a.value - b.value) FILTER (a.reached AND b.reached) AS reached,
           count(*) FILTER (a.reached AND b.reached) AS n_reached
    FROM counted b JOIN features f ON f.dictionary = b.dictionary AND f.feature = b.feature
    JOIN counted a ON a.run = b.run AND a.measure = b.measure AND a.direction = 'feature'
         AND ((a.dictionary = b.dictionary AND a.feature = b.feature AND b.direction <> 'feature')
              OR (a.dictionary <> b.dictionary AND a.feature = f.matched_feature AND b.direction = 'feature'))
    GROUP BY ALL
), claims AS (
    SELECT concat_ws(', ', dictionary, direction, measure) AS name,
        s.n_features IS NULL OR m.n IS NULL OR s.n_features <> m.n OR s.n_unreached <> m.n_unreached
        OR abs(s.mean - m.mean) > 1e-9 AS wrong
    FROM means m FULL JOIN (FROM effect_means SEMI JOIN unchanged USING (run, dictionary)) s
        USING (run, dictionary, direction, measure)
    UNION ALL SELECT concat_ws(', ', d.a || ' - ' || d.b, d.direction_b, d.measure, 'pairs'),
        p.n IS NULL OR d.n_a <> p.n OR d.n_b <> p.n OR coalesce(abs(d.difference - p.difference) > 1e-9, p.n > 1)
        OR d.n_reached <> p.n_reached OR coalesce(abs(d.reached_difference - p.reached) > 1e-9, p.n_reached > 0)
    FROM effect_differences d LEFT JOIN pairs p USING (run, measure, a, b, direction_b)
    WHERE d.paired AND d.n_b > 0 AND (d.run, d.a) IN (SELECT (run, dictionary) FROM unchanged)
        AND (d.run, d.b) IN (SELECT (run, dictionary) FROM unchanged)
    UNION ALL SELECT concat_ws(', ', d.a || ' - ' || d.b, d.measure),
        a.mean IS NULL OR b.mean IS NULL OR d.n_a <> a.n_features OR d.n_b <> b.n_features
        OR coalesce(abs(d.difference - (a.mean - b.mean)) > 1e-9, false)
    FROM effect_differences d
    LEFT JOIN effect_means a ON a.run = d.run AND a.dictionary = d.a AND a.direction = 'feature' AND a.measure = d.measure
    LEFT JOIN effect_means b ON b.run = d.run AND b.dictionary = d.b AND b.direction = 'feature' AND b.measure = d.measure
    WHERE NOT d.paired
    UNION ALL SELECT concat_ws(', ', a || ' - ' || b, direction_b, measure, 'verdict'),
        verdict NOT IN ('A', 'B', 'equivalent', 'undecided') OR (verdict <> 'undecided' AND difference IS NULL)
        OR (verdict = 'A') <> coalesce(se > 0 AND simultaneous_low > 0, false)
        OR (verdict = 'B') <> coalesce(se > 0 AND simultaneous_high < 0, false)
        OR (verdict = 'equivalent' AND abs(difference) > margin) OR coalesce(p NOT BETWEEN 0 AND p_holm OR p_holm > 1, false)
        OR coalesce(simultaneous_low > ci_low + 1e-12 OR simultaneous_high < ci_high - 1e-12, false)
        OR n_unreached_a NOT BETWEEN 0 AND n_a OR n_unreached_b NOT BETWEEN 0 AND n_b
        OR n_reached NOT BETWEEN 0 AND n_a - n_unreached_a
    FROM effect_differences
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
