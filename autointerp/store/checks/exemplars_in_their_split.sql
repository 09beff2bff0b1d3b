-- Every exemplar is cut from a context of the split that it claims.
WITH judged AS (
    SELECT e.dictionary, e.feature, e.context, c.split IS DISTINCT FROM e.split AS wrong
    FROM exemplars e LEFT JOIN contexts c USING (context)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(dictionary || '/' || feature || ', context ' || context) FILTER (wrong) AS example
FROM judged;
