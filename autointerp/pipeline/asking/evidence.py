"""What an explainer may see of each feature, read from the store: the explain split only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autointerp.explain.evidence import Evidence, Exemplar, HeavyToken, TokenBefore
from autointerp.explain.output_labels import MEASURABLE
from autointerp.explain.told_tokens import TokenCounts, told_tokens
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
SELECT f.feature, f.max_activation, f.density, f.mean * f.n_tokens AS whole, t.tokens, t.mass, t.n_firing, t.n_seen,
       t.pair_previous, t.pair_tokens, t.pair_mass, t.pair_n_firing, t.pair_n_seen, t.pair_share,
       coalesce(s.n_firing_outliers / nullif(s.n_firing, 0), 0) AS on_outliers,
       s.position_histogram[1] / nullif(s.n_firing, 0) AS firings_at_start,
       (SELECT position_histogram[1] / nullif(n_tokens, 0) FROM token_splits WHERE split = 'explain')
           AS tokens_at_start,
       (SELECT n_half FROM logit_strengths h
        WHERE h.dictionary = f.dictionary AND h.feature = f.feature AND h.direction = 'promoted') AS n_half
FROM features f JOIN feature_tokens t USING (dictionary, feature)
JOIN feature_splits s ON s.dictionary = f.dictionary AND s.feature = f.feature AND s.split = 'explain'
WHERE f.dictionary = $dictionary AND f.feature IN (SELECT unnest($features)) ORDER BY f.feature
"""
_EFFECTS = """
SELECT feature, direction, list(token ORDER BY rank) AS tokens, list(z ORDER BY rank) AS z FROM logit_effects
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) AND rank <= $most GROUP BY feature, direction
"""
_CHANGES = """
SELECT feature, list(token ORDER BY rank) FILTER (side = 'risen' AND change > $least * error) AS risen,
       list(z ORDER BY rank) FILTER (side = 'risen' AND change > $least * error) AS risen_z,
       list(token ORDER BY rank) FILTER (side = 'fallen' AND change < -$least * error) AS fallen
FROM current_token_changes
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) AND split = 'explain'
  AND direction = 'feature' AND rank <= $most
GROUP BY feature
"""
_CLAMPED = """
SELECT DISTINCT feature FROM feature_token_changes WHERE dictionary = $dictionary AND split = 'explain'
"""


def clamped_features(store: Queryable, dictionary: str) -> set[int]:
    """The features of which it was measured what rises."""
    return {row["feature"] for row in store.rows(_CLAMPED, dictionary=dictionary)}


def read_evidence(
    store: Queryable, dictionary: str, features: Sequence[int], vocab: Sequence[str]
) -> Iterator[Evidence]:
    """The evidence of each of `features`, by rising number, some at a time."""
    ordered = sorted(int(feature) for feature in features)
    for first in range(0, len(ordered), _AT_ONCE):
        chunk = ordered[first : first + _AT_ONCE]
        effects = {
            (row["feature"], row["direction"]): (tuple(vocab[token] for token in row["tokens"]), tuple(row["z"]))
            for row in store.rows(_EFFECTS, dictionary=dictionary, features=chunk, most=N_EFFECTS)
        }
        changes = {
            row["feature"]: row
            for row in store.rows(_CHANGES, dictionary=dictionary, features=chunk, most=N_EFFECTS, least=MEASURABLE)
        }
        rows = store.rows(_FEATURES, dictionary=dictionary, features=chunk)
        facts = {row["feature"]: row for row in rows}
        for feature, shown in zip(chunk, read_exemplars(store, dictionary, chunk, BEFORE), strict=True):
            yield Evidence(
                dictionary,
                feature,
                facts[feature]["max_activation"],
                facts[feature]["density"],
                tuple(_exemplar(one, vocab) for one in shown),
                *_effects(effects, feature),
                n_half=facts[feature]["n_half"],
                tokens=_heavy_tokens(facts[feature], vocab),
                at_start=_at_start(facts[feature]),
                on_outliers=facts[feature]["on_outliers"],
                **_changes(changes.get(feature), vocab),
            )


def _effects(
    effects: Mapping[tuple[int, str], tuple[tuple[str, ...], tuple[float, ...]]], feature: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[float, ...]]:
    """Promoted and suppressed tokens, and z of the promoted ones."""
    promoted, z = effects.get((feature, "promoted"), ((), ()))
    suppressed, _ = effects.get((feature, "suppressed"), ((), ()))
    return promoted, suppressed, z


def _changes(row: Mapping[str, Any] | None, vocab: Sequence[str]) -> dict[str, Any]:
    """What measurably rises and falls; nothing where it was not measured."""
    if row is None:
        return {}
    risen, fallen = (tuple(vocab[token] for token in row[side] or ()) for side in ("risen", "fallen"))
    return {"risen": risen, "fallen": fallen, "risen_z": tuple(row["risen_z"] or ())}


def _heavy_tokens(facts: Mapping[str, Any], vocab: Sequence[str]) -> tuple[HeavyToken, ...]:
    tokens = dict(zip(facts["tokens"], _counts(facts, "mass", "n_firing", "n_seen"), strict=True))
    names = zip(facts["pair_previous"], facts["pair_tokens"], strict=True)
    pairs = dict(zip(names, _counts(facts, "pair_mass", "pair_n_firing", "pair_n_seen"), strict=True))
    whole = max(abs(facts["whole"]), 1e-30)
    heavy = []
    for token, in_front in told_tokens(tokens, pairs, facts["pair_share"]).items():
        mass, n_firing, n_seen = tokens[token]
        behind = ((vocab[previous], *pairs[previous, token]) for previous in in_front)
        told = tuple(TokenBefore(text, n_firing, n_seen, mass / n_seen) for text, mass, n_firing, n_seen in behind)
        heavy.append(HeavyToken(vocab[token], abs(mass) / whole, n_firing, n_seen, mass / max(n_firing, 1), told))
    return tuple(heavy)


def _counts(facts: Mapping[str, Any], *names: str) -> list[TokenCounts]:
    return [TokenCounts(*counts) for counts in zip(*(facts[name] for name in names), strict=True)]


def _at_start(facts: Mapping[str, Any]) -> tuple[float, float] | None:
    firings, tokens = facts["firings_at_start"], facts["tokens_at_start"]
    return None if firings is None or tokens is None else (firings, tokens)


def _exemplar(shown: ShownExemplar, vocab: Sequence[str]) -> Exemplar:
    return Exemplar(
        shown.stratum,
        tuple(vocab[token] for token in shown.tokens.tolist()),
        tuple(float(value) for value in shown.activations.tolist()),
        shown.peak,
        tuple(vocab[token] for token in shown.before.tolist()),
        document=shown.document,
        offset=shown.offset,
    )
