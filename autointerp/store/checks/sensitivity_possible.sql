-- Steps rise, each has a KL that is not negative; a size that reaches more is larger, and there is one exactly where a step reaches it.
WITH claims AS (
    SELECT s.dictionary || '/' || s.feature || ' at ' || s.context || ':' || position || ', ' || direction AS name,
        len(sizes) <> len(kl) OR len(sizes) < 2 OR sizes <> list_sort(list_distinct(sizes)) OR sizes[1] <= 0
        OR list_min(kl) < 0 OR list_bool_and([isfinite(x) FOR x IN kl]) IS NOT TRUE OR entropy < 0
        OR (size_025 IS NULL) <> (list_max(kl) < 0.25) OR (size_050 IS NULL) <> (list_max(kl) < 0.5)
        OR (size_100 IS NULL) <> (list_max(kl) < 1) OR coalesce(size_025 > size_050, false)
        OR coalesce(size_050 > size_100, false) OR coalesce(size_100 > sizes[-1] * 1.000001, false)
        OR coalesce(len(last_distance) <> len(sizes) OR list_min(last_distance) < 0, false)
        OR list_bool_and([isfinite(x) FOR x IN last_distance]) IS FALSE
        OR steepest < sizes[1] OR steepest > sizes[-1] OR c.split <> 'score' AS wrong
    FROM sensitivity s JOIN contexts c USING (context)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM claims;
