-- The histograms by place in the context hold all firings, and all tokens; no bin has more firings than tokens.
WITH judged AS (
    SELECT dictionary || '/' || feature || ', ' || split AS name,
           len(f.position_histogram) <> 16 OR list_sum(f.position_histogram) <> f.n_firing
           OR len(list_filter(list_zip(f.position_histogram, t.position_histogram), lambda p: p[1] > p[2])) > 0 AS wrong
    FROM feature_splits f JOIN token_splits t USING (split)
    UNION ALL SELECT split, len(position_histogram) <> 16 OR list_sum(position_histogram) <> n_tokens FROM token_splits
)
SELECT count(*) AS n_checked, count(*) FILTER (wrong) AS n_wrong, min(name) FILTER (wrong) AS example FROM judged;
