-- The share of features whose activation is that on the token alone, by a correlation of at least $alone.
SELECT dictionary, avg((alone_correlation >= $alone)::INTEGER) AS share, count(*) AS n
FROM feature_diagnostics SEMI JOIN latest_works w USING (dictionary)
WHERE alone_correlation IS NOT NULL GROUP BY dictionary ORDER BY share DESC, dictionary;
