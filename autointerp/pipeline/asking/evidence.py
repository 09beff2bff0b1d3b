"""What an explainer may see of each feature, read from the store: the explain split only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autointerp.explain.evidence import Evidence, Exemplar
from autointerp.records import ShownExemplar
from autointerp.store.evidence import read_exemplars
from autointerp.store.query import Queryable

BEFORE = 8
"""Tokens of the context that an exemplar brings along in front of its span."""
N_EFFECTS = 10
"""Logit effects that an explainer may see: further ranks are asked about in scoring."""
_AT_ONCE = 64
"""Features read at a time: some 150 exemplars each."""

_FEATURES = """
SELECT feature, max_activation, density FROM features
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) ORDER BY feature
"""
_EFFECTS = """
SELECT feature, direction, list(token ORDER BY rank) AS tokens FROM logit_effects
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) AND rank <= $most GROUP BY feature, direction
"""


def read_evidence(
    store: Queryable, dictionary: str, features: Sequence[int], vocab: Sequence[str]
) -> Iterator[Evidence]:
    """The evidence of each of `features`, by rising number, some at a time."""
    ordered = sorted(int(feature) for feature in features)
    for first in range(0, len(ordered), _AT_ONCE):
        chunk = ordered[first : first + _AT_ONCE]
        effects = {
            (row["feature"], row["direction"]): tuple(vocab[token] for token in row["tokens"])
            for row in store.rows(_EFFECTS, dictionary=dictionary, features=chunk, most=N_EFFECTS)
        }
        facts = {row["feature"]: row for row in store.rows(_FEATURES, dictionary=dictionary, features=chunk)}
        for feature, shown in zip(chunk, read_exemplars(store, dictionary, chunk, BEFORE), strict=True):
            yield Evidence(
                dictionary,
                feature,
                facts[feature]["max_activation"],
                facts[feature]["density"],
                tuple(_exemplar(one, vocab) for one in shown),
                effects.get((feature, "promoted"), ()),
                effects.get((feature, "suppressed"), ()),
            )


def _exemplar(shown: ShownExemplar, vocab: Sequence[str]) -> Exemplar:
    return Exemplar(
        shown.stratum,
        tuple(vocab[token] for token in shown.tokens.tolist()),
        tuple(float(value) for value in shown.activations.tolist()),
        shown.peak,
        tuple(vocab[token] for token in shown.before.tolist()),
    )
