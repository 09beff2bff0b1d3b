"""A feature to look at first."""

from __future__ import annotations

from autointerp.store.query import Queryable


def good_example(store: Queryable) -> tuple[str, int] | None:
    """A feature to look at first: of those that `lexical` predicts well, the one where context says the most.

    That is where it scores furthest above the table of all tokens, which knows no context.
    """
    rows = store.rows(_GOOD_EXAMPLE) or store.rows("SELECT dictionary, feature FROM features LIMIT 1")
    return (rows[0]["dictionary"], rows[0]["feature"]) if rows else None


_GOOD_EXAMPLE = """
SELECT c.dictionary, c.feature
FROM feature_cards c
LEFT JOIN score_table t ON t.dictionary = c.dictionary AND t.feature = c.feature AND t.explainer = 'token_lookup'
     AND t.metric = 'pearson' AND t.design = 'census'
WHERE c.status = 'alive' AND c.score IS NOT NULL
ORDER BY c.kind NOT IN ('sae', 'transcoder'), c.score < 0.8, c.score - t.value DESC NULLS LAST, c.score DESC,
         c.dictionary, c.feature
LIMIT 1
"""
