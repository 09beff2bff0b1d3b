"""Windows of the corpus as the pages show them: the texts of their tokens, read at once for all that a page needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autointerp.store.query import Queryable

Place = tuple[int, int]
"""Context, and the position of the window's first token in it."""


def window_texts(store: Queryable, windows: Mapping[Place, int]) -> dict[Place, tuple[str, ...]]:
    """The texts of the first n tokens of each window; fewer where the context ends."""
    contexts = sorted({context for context, _ in windows})
    tokens = {row["context"]: row["tokens"] for row in store.rows(_TOKENS, contexts=contexts)}
    cut = {place: tokens.get(place[0], [])[place[1] : place[1] + n] for place, n in windows.items()}
    text = token_texts(store, {token for ids in cut.values() for token in ids})
    return {place: tuple(text[token] for token in ids) for place, ids in cut.items()}


def token_texts(store: Queryable, tokens: Iterable[int]) -> dict[int, str]:
    """The texts of these tokens; `<id>` for one that the vocabulary lacks."""
    ids = sorted(set(tokens))
    known = {row["token"]: row["text"] for row in store.rows(_TEXTS, tokens=ids)}
    return {token: known.get(token, f"<{token}>") for token in ids}


_TOKENS = "SELECT context, tokens FROM contexts WHERE context IN (SELECT unnest($contexts::BIGINT[]))"
_TEXTS = "SELECT token, text FROM vocab WHERE token IN (SELECT unnest($tokens::INTEGER[]))"
