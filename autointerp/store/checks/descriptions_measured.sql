-- The length of a description is that of its texts, and of its lookup where the text does not name the entries.
WITH sizes AS (
    SELECT lookup, any_value(len(tokens)) AS n,
           any_value(3 * len(tokens) + len(list_filter(previous, lambda p: p <> -1))) AS numbers
    FROM lookups GROUP BY lookup
), measured AS (
    SELECT e.dictionary || '/' || e.feature || ', ' || e.explainer AS what, e.description_length, e.n_entries, s.n,
           CASE WHEN e.status = 'ok' THEN
               CAST(ceil((strlen(coalesce(e.text, '')) + strlen(coalesce(e.promotes, ''))) / 4) AS INTEGER)
               + CASE WHEN says_its_lookup(e.explainer) THEN 0 ELSE coalesce(s.numbers, 0) END
           END AS expected
    FROM explanations e LEFT JOIN sizes s USING (lookup)
), judged AS (
    SELECT what, description_length IS DISTINCT FROM expected OR n_entries IS DISTINCT FROM n AS wrong FROM measured
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(what) FILTER (wrong) AS example FROM judged;
