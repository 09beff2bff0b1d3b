-- The text, by split.
SELECT split, n_documents, n_tokens FROM token_splits ORDER BY split;
