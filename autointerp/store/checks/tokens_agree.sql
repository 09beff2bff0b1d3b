-- Every statistic was taken over the tokens and windows that token_splits counts.
WITH claims AS (
    SELECT dictionary || '/' || feature AS claimed_by, split, n_tokens, n_windows FROM feature_splits
    UNION ALL SELECT 'vocab', 'explain', sum(n_explain)::BIGINT, NULL FROM vocab
    UNION ALL SELECT 'vocab', 'select', sum(n_select)::BIGINT, NULL FROM vocab
    UNION ALL SELECT 'vocab', 'score', sum(n_score)::BIGINT, NULL FROM vocab
    UNION ALL SELECT dictionary || '/' || feature || ', feature_blocks', 'score', list_sum(n)::BIGINT, NULL
        FROM feature_blocks
), judged AS (
    SELECT claimed_by, split, c.n_tokens <> t.n_tokens OR coalesce(c.n_windows <> t.n_windows, false) AS wrong
    FROM claims c JOIN token_splits t USING (split)
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong,
       min(claimed_by || ', ' || split) FILTER (wrong) AS example
FROM judged;
