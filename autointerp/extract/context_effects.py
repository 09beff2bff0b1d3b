"""What a feature's activation depends on: how it changes where tokens before it are changed.

At the strongest token of a context, each of the `before` tokens in front of it is taken in turn:

    removed   it is left out, and what stands behind it moves up
    masked    it keeps its place, and no token sees it
    replaced  another token stands in its place, drawn as the corpus has them: the mean of REPLACEMENTS draws
    cut       the text begins behind it (behind the BOS, where there is one): it and all before it are left out. Cut
              behind the last of them, the feature is alone with its own token
    between   it and all that stand between it and the feature are masked

A feature that fires after A or after B does not mind the loss of one of them. So pairs are masked and replaced too: of
the PAIRED tokens with the largest changes, where the steps of `cut` and `between` count as changes. Of two tokens that
can stand for each other, the nearer one shows in the steps of `cut`, the farther one in those of `between`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.feature_reader import ActivationReader
from autointerp.hashing import rng_for
from autointerp.records import Bool, Float64, Int32, Int64

REPLACEMENTS = 2
PAIRED = 5
NO_OTHER = -1
"""In the place of the second token of a pair: there is none."""
WAYS = ("removed", "masked", "replaced", "cut", "between")


@dataclass(frozen=True)
class ContextEffects:
    """The activation at the strongest token of a context, as it is and with tokens before it changed: n rows. NaN where
    a change was not tried, or cannot be."""

    activation: float
    position: Int32  # [n] in the context
    other: Int32  # [n] the second token of a pair, or NO_OTHER
    removed: Float64  # [n] the activation then
    masked: Float64
    replaced: Float64
    cut: Float64
    between: Float64


@dataclass(frozen=True)
class Replacements:
    """What stands in the place of a token: tokens as often as the corpus has them."""

    cumulative: Float64
    """[V] rising, counts of the tokens up to each."""
    seed: int
    name: str

    def draw(self, ids: Int64, feature: int, context: int, peak: int) -> Int64:
        """[REPLACEMENTS, len(ids)] tokens, each another than the one of `ids` that it stands for."""
        rng = rng_for(self.seed, "replace", self.name, feature, context, peak)
        drawn = np.tile(ids, (REPLACEMENTS, 1))
        for _ in range(64):
            same = drawn == ids
            if not same.any():
                break
            u = rng.random(drawn.shape) * self.cumulative[-1]
            drawn = np.where(same, np.searchsorted(self.cumulative, u, side="right"), drawn)
        return drawn


def most_texts(before: int) -> int:
    """Texts that are read for an exemplar, at most."""
    paired = min(PAIRED, before)
    return 1 + before * (len(WAYS) - 1 + REPLACEMENTS) + paired * (paired - 1) // 2 * (1 + REPLACEMENTS)


def earlier_tokens(special: Bool, peak: int, before: int) -> Int64:
    """The tokens in front of `peak` that are changed, the farthest first; special ones, `special` [L], are left."""
    first = max(0, peak - before)
    return first + np.flatnonzero(~special[first:peak])


def depend(
    reader: ActivationReader, ids: Int64, special: Bool, peak: int, earlier: Int64, replacements: Int64
) -> ContextEffects:
    """One exemplar: `ids` [L] the context, `special` [L] which of it are special tokens, `peak` its strongest token.

    `earlier` [B] are the tokens that are changed, `replacements` [REPLACEMENTS, B] stand for them.
    """
    text = torch.from_numpy(ids[: peak + 1].astype(np.int64))
    [activation] = reader.read(text[None], torch.tensor([peak])).tolist()
    n = len(earlier)
    single = {
        "removed": _removed(reader, text, earlier),
        "masked": _masked(reader, text, [[place] for place in earlier.tolist()]),
        "replaced": _replaced(reader, text, earlier, replacements, [[i] for i in range(n)]),
        "cut": _cut(reader, text, earlier, bool(special[0])),
        "between": _masked(reader, text, [earlier[i:].tolist() for i in range(n)]),
    }
    pairs = list(combinations(_strongest(activation, single), 2))
    paired = {way: np.full(len(pairs), np.nan) for way in WAYS}
    if pairs:
        paired["masked"] = _masked(reader, text, [[int(earlier[i]), int(earlier[j])] for i, j in pairs])
        paired["replaced"] = _replaced(reader, text, earlier, replacements, [list(pair) for pair in pairs])
    first = earlier[[i for i, _ in pairs]] if pairs else np.zeros(0, np.int64)
    second = earlier[[j for _, j in pairs]] if pairs else np.zeros(0, np.int64)
    return ContextEffects(
        activation=float(activation),
        position=np.concatenate([earlier, first]).astype(np.int32),
        other=np.concatenate([np.full(n, NO_OTHER), second]).astype(np.int32),
        **{way: np.concatenate([single[way], paired[way]]) for way in WAYS},
    )


def _strongest(activation: float, single: dict[str, Float64]) -> list[int]:
    """The tokens with the largest changes, in the order in which they stand; of equal ones the nearest."""
    cut = np.concatenate([[activation], single["cut"]])
    between = np.concatenate([single["between"], [activation]])
    changes = [np.abs(activation - single[way]) for way in ("removed", "masked", "replaced")]
    changes += [np.abs(np.diff(cut)), np.abs(np.diff(between))]
    largest = np.max(np.nan_to_num(np.stack(changes)), axis=0)
    order = np.lexsort((-np.arange(len(largest)), -largest))
    return sorted(order[:PAIRED].tolist())


def _removed(reader: ActivationReader, text: Tensor, earlier: Int64) -> Float64:
    rows = [torch.cat([text[:place], text[place + 1 :]]) for place in earlier.tolist()]
    return _read(reader, rows, len(text) - 2)


def _replaced(
    reader: ActivationReader, text: Tensor, earlier: Int64, replacements: Int64, sets: Sequence[Sequence[int]]
) -> Float64:
    """The mean over the draws; `sets`: which of `earlier` are replaced together."""
    rows = []
    for draw in replacements:
        for some in sets:
            row = text.clone()
            row[torch.from_numpy(earlier[list(some)])] = torch.from_numpy(draw[list(some)].astype(np.int64))
            rows.append(row)
    read = _read(reader, rows, len(text) - 1).reshape(len(replacements), len(sets))
    return np.asarray(read.mean(axis=0), dtype=np.float64)


def _masked(reader: ActivationReader, text: Tensor, sets: Sequence[Sequence[int]]) -> Float64:
    """`sets`: which tokens are masked together."""
    if not reader.hides:
        return np.full(len(sets), np.nan)
    hidden = torch.zeros(len(sets), len(text), dtype=torch.bool)
    for row, some in enumerate(sets):
        hidden[row, torch.tensor(some)] = True
    last = torch.full((len(sets),), len(text) - 1)
    return np.asarray(reader.read(text.expand(len(sets), -1), last, hidden).numpy(), dtype=np.float64)


def _cut(reader: ActivationReader, text: Tensor, earlier: Int64, has_bos: bool) -> Float64:
    """A special token at the beginning of the context stays in front."""
    front = text[: int(has_bos)]
    rows = [torch.cat([front, text[place + 1 :]]) for place in earlier.tolist()]
    if not rows:
        return np.zeros(0)
    longest = max(map(len, rows))
    padded = torch.stack([torch.nn.functional.pad(row, (0, longest - len(row))) for row in rows])
    last = torch.tensor([len(row) - 1 for row in rows])
    return np.asarray(reader.read(padded, last).numpy(), dtype=np.float64)


def _read(reader: ActivationReader, rows: Sequence[Tensor], last: int) -> Float64:
    if not rows:
        return np.zeros(0)
    values = reader.read(torch.stack(list(rows)), torch.full((len(rows),), last))
    return np.asarray(values.numpy(), dtype=np.float64)
