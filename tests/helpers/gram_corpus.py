"""Tokens in contexts with activations, and the gram tables that extraction would store of them, by plain loops."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from autointerp.explain.lookup import entries_of
from autointerp.records import Bool, Float32, GramTable, Int32, LookupTable

V = 12
Gram: TypeAlias = tuple[int, int]
GramRow: TypeAlias = tuple[Any, ...]
"""Previous token (where the table is one of pairs), token, mass, firings, occurrences."""


class Corpus:
    """Tokens in contexts, and activations of some features on all of them."""

    def __init__(self, tokens: Int32, activations: Float32, vocabulary: int = V) -> None:
        self.V = vocabulary
        self.token = tokens.ravel()
        self.previous = np.concatenate([np.full((len(tokens), 1), -1), tokens[:, :-1]], axis=1).ravel()
        self.activations = activations  # [F, n]

    def occurrences(self, previous: int | None, token: int) -> Bool:
        here: Bool = self.token == token
        return here if previous is None else here & (self.previous == previous)

    def tables(self, keep: int = 256) -> tuple[GramTable, GramTable]:
        """What extraction stores, by plain loops."""
        single: list[list[GramRow]] = []
        pairs: list[list[GramRow]] = []
        for a in self.activations.astype(np.float64):
            for rows, grams in ((single, {(-1, t) for t in range(self.V)}), (pairs, self.grams())):
                found = []
                for previous, token in sorted(grams):
                    here = self.occurrences(None if rows is single else previous, token)
                    if a[here].any():
                        found.append((previous, token, a[here].sum(), (a[here] != 0).sum(), here.sum()))
                rows.append(sorted(found, key=lambda row: -row[2])[:keep])
        return table(single), table(pairs)

    def grams(self) -> set[tuple[int, int]]:
        return set(zip(self.previous.tolist(), self.token.tolist(), strict=True))


def table(rows: list[list[GramRow]], error: float = 0.0) -> GramTable:
    flat = np.asarray([row for feature in rows for row in feature], dtype=np.float64).reshape(-1, 5)
    return GramTable(
        start=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        previous=flat[:, 0].astype(np.int32),
        token=flat[:, 1].astype(np.int32),
        mass=flat[:, 2],
        n_firing=flat[:, 3].astype(np.int64),
        n_seen=flat[:, 4].astype(np.int64),
        mass_error=np.full(len(rows), error),
    )


def random_corpus(seed: int, n_features: int = 4, n_contexts: int = 60, length: int = 12) -> Corpus:
    """Some features read tokens, some pairs, all of them with noise; the last one is dead."""
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.geometric(0.2, (n_contexts, length)) - 1, V - 1).astype(np.int32)
    corpus = Corpus(tokens, np.zeros((n_features, tokens.size), np.float32))
    by_token = rng.exponential(1, (n_features, V)) * (rng.random((n_features, V)) < 0.4)
    by_pair = rng.exponential(2, (n_features, V + 1, V)) * (rng.random((n_features, V + 1, V)) < 0.15)
    mean = by_token[:, corpus.token] + by_pair[:, corpus.previous + 1, corpus.token]
    noise = rng.gamma(2, 0.5, mean.shape) * (rng.random(mean.shape) < 0.8)
    corpus.activations = (mean * noise).astype(np.float32)
    corpus.activations[-1] = 0
    return corpus


def as_dict(lookup: LookupTable, feature: int) -> dict[tuple[int, int], tuple[float, float]]:
    own = entries_of(lookup, feature)
    return {
        (int(p), int(t)): (float(v), float(q))
        for p, t, v, q in zip(own.previous, own.token, own.value, own.probability, strict=True)
    }
