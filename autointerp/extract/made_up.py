"""Units for a line-up: some features of a dictionary, and as many made-up ones beside them, on the same sample of text.

1. A sample of activations at the dictionary's hook (that of pass 0, in the order of the token file).
2. Each feature: its activation on the sample. A made-up unit is a direction d with relu(s (x.d - mu) - theta): centred,
   signed by its skewness, theta where it fires on as many tokens of the sample as the feature that it is paired with
   (as baselines are fitted).
       combination   d is a Gaussian mixture of the directions by which COMBINED other features read
       random        d is the difference of two activations of the sample
3. Of each unit, real or not, the same excerpts: around its TOP strongest firings, and around OTHERS drawn uniformly
   among all its firings, no context twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from autointerp.hashing import hash64, rng_for, stream_key
from autointerp.records import Float32, Int64
from autointerp.subject.baselines.fit import fit
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder
from autointerp.subject.outliers import past_limit
from autointerp.subject.tokens import TokenFile

Kind = Literal["real", "combination", "random"]
COMBINED = 4
"""Features in a combination."""
TOP, OTHERS = 4, 4
LEFT, RIGHT = 14, 9
"""Tokens shown before and behind the token that an excerpt is chosen for."""
ROWS = 4_096
"""Rows of the sample that are encoded together."""


@dataclass(frozen=True)
class Excerpt:
    """Some tokens of a context, and what the unit does on them."""

    context: int
    start: int
    tokens: tuple[int, ...]
    activation: tuple[float, ...]
    """0 where silent; tokens that do not count are silent."""


@dataclass(frozen=True)
class LineupUnit:
    """One of the ten."""

    kind: Kind
    feature: int
    """real: the feature; else the one that it is matched to."""
    parents: tuple[int, ...]
    """combination: the features that it is made of."""
    n_firing: int
    """Tokens of the sample that it fires on."""
    maximum: float
    excerpts: tuple[Excerpt, ...]


@torch.inference_mode()
def lineup_units(
    dictionary: Dictionary,
    features: Int64,
    others: Int64,
    x: Tensor,
    contexts: Int64,
    tokens: TokenFile,
    seed: int,
    norm_limit: float | None = None,
) -> list[LineupUnit]:
    """A unit for each of `features`, and a made-up one matched to it, the two kinds in turn; `others` are features
    that combinations may be made of.

    x [N, d] are the activations at the scored tokens of `contexts`, in their order. On tokens whose norm is past
    `norm_limit` no unit fires.
    """
    row, position = np.nonzero(tokens.scored(contexts))
    context = contexts[row]
    if len(context) != len(x):
        raise ValueError(f"{len(x)} activations at {len(context)} tokens")
    ordinary = np.ones(len(x), dtype=np.bool_) if norm_limit is None else ~past_limit(x, norm_limit).numpy()
    activation = _of_features(dictionary, features, x) * ordinary
    n_firing = (activation > 0).sum(axis=1).astype(np.int64)
    fitted_on = x if ordinary.all() else x[torch.from_numpy(ordinary)]
    direction, kinds, parents = _directions(dictionary, len(features), others, fitted_on, seed)
    sign, mu, theta = fit(fitted_on, np.arange(len(direction)), direction, n_firing)
    made_up = _of_directions(x, direction, sign, mu, theta) * ordinary
    units = [
        _unit("real", int(feature), (), values, context, position, tokens, seed)
        for feature, values in zip(features, activation, strict=True)
    ]
    return units + [
        _unit(kind, int(feature), made_of, values, context, position, tokens, seed)
        for kind, feature, made_of, values in zip(kinds, features, parents, made_up, strict=True)
    ]


def _of_features(dictionary: Dictionary, features: Int64, x: Tensor) -> Float32:
    """Activations [features, N]."""
    index = torch.from_numpy(features)
    parts = [dictionary.encode(x[first : first + ROWS].clone())[:, index] for first in range(0, len(x), ROWS)]
    return np.ascontiguousarray(torch.cat(parts).T.float().numpy())


def _directions(
    dictionary: Dictionary, n: int, others: Int64, x: Tensor, seed: int
) -> tuple[Tensor, list[Kind], list[tuple[int, ...]]]:
    """Unit vectors [n, d], what each is, and what combinations are made of."""
    reading = dictionary.W_enc.T if isinstance(dictionary, SparseAutoencoder) else dictionary.directions
    rng = rng_for(seed, "made up")
    vectors: list[Tensor] = []
    kinds: list[Kind] = []
    parents: list[tuple[int, ...]] = []
    for i in range(n):
        if i % 2 == 0 and len(others) >= COMBINED:
            chosen = np.sort(rng.choice(others, COMBINED, replace=False))
            read = reading[torch.from_numpy(chosen)].float()
            weight = torch.from_numpy(rng.normal(size=COMBINED)).float()
            vectors.append(weight @ (read / read.norm(dim=1, keepdim=True).clamp(min=1e-30)))
            kinds.append("combination")
            parents.append(tuple(int(feature) for feature in chosen))
        else:
            a, b = rng.choice(len(x), 2, replace=False)
            vectors.append(x[int(a)] - x[int(b)])
            kinds.append("random")
            parents.append(())
    direction = torch.stack(vectors)
    return direction / direction.norm(dim=1, keepdim=True).clamp(min=1e-30), kinds, parents


def _of_directions(x: Tensor, direction: Tensor, sign: Tensor, mu: Tensor, theta: Tensor) -> Float32:
    """Activations [units, N]."""
    parts = [
        torch.relu(sign * (x[first : first + ROWS] @ direction.T - mu) - theta) for first in range(0, len(x), ROWS)
    ]
    return np.ascontiguousarray(torch.cat(parts).T.float().numpy())


def _unit(
    kind: Kind,
    feature: int,
    parents: tuple[int, ...],
    values: Float32,
    context: Int64,
    position: Int64,
    tokens: TokenFile,
    seed: int,
) -> LineupUnit:
    firing = np.flatnonzero(values > 0)
    strongest = firing[np.argsort(-values[firing], kind="stable")]
    uniform = firing[np.argsort(hash64(stream_key(seed, "lineup", kind), feature, firing), kind="stable")]
    chosen: list[int] = []
    seen: set[int] = set()
    for order, n in ((strongest, TOP), (uniform, TOP + OTHERS)):
        for place in order.tolist():
            if len(chosen) >= n:
                break
            if int(context[place]) not in seen:
                seen.add(int(context[place]))
                chosen.append(place)
    maximum = float(values.max(initial=0.0))
    excerpts = tuple(_excerpt(place, values, context, position, tokens) for place in chosen)
    return LineupUnit(kind, feature, parents, len(firing), maximum, excerpts)


def _excerpt(place: int, values: Float32, context: Int64, position: Int64, tokens: TokenFile) -> Excerpt:
    """The tokens around a place of the sample, as far as the context reaches and tokens may be shown."""
    number, at = int(context[place]), int(position[place])
    shown_from, shown_to = (int(edge[0, at]) for edge in tokens.shown_runs(np.array([number])))
    first, last = max(shown_from, at - LEFT), min(shown_to, at + RIGHT + 1)
    activation = np.zeros(tokens.context_length, dtype=np.float32)
    begin, end = np.searchsorted(context, [number, number + 1])  # the sample is in the order of the token file
    activation[position[begin:end]] = values[begin:end]
    ids = tokens.tokens[number, first:last]
    return Excerpt(number, first, tuple(int(i) for i in ids), tuple(float(value) for value in activation[first:last]))


def strengths(activation: Sequence[float], maximum: float) -> list[int]:
    """How an activation is shown: 1 to 9 of the unit's maximum, 0 where it is silent."""
    return [0 if value <= 0 else max(1, int(np.ceil(9 * value / maximum))) for value in activation]
