-- No document, by the hash of its content, stands in two splits.
WITH documents AS (
    SELECT document_hash, count(DISTINCT split) > 1 AS wrong FROM contexts GROUP BY document_hash
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       'document ' || min(document_hash) FILTER (wrong) AS example
FROM documents;
