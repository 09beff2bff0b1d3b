"""What a model writes with a feature's direction added, at one stated effect: what the scorer intervention asks about.

1. Some beginnings are drawn by hash, the same for all features: PREFIX tokens in a row, of contexts of a split.
2. On beginnings of the split select, the length of each feature's direction is looked for at which the prediction
   behind them moves by `kl` nats on average. So features are compared at what they do, not at how long they are.
3. Behind beginnings of the split score the model writes on with the direction added at that length, at every token but
   the BOS; the KL that is reached there is kept. Tokens are drawn, all copies with the same noise: what differs is the
   direction's doing.

Where several KL are offered, texts behind the beginnings of the split select say which (`score/steering_strength.py`).

Source: Gur-Arieh et al. 2025, whose judges choose among three texts at KL 0.25 and 0.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.steer import SteeringSizes, drawn, find_sizes, kl_from, write_on
from autointerp.extract.token_change import ClampedPlaces
from autointerp.records import Bool, Float64, Int64
from autointerp.subject.steering import SteeredPasses
from autointerp.subject.tokens import TokenFile

PREFIX = 8
"""Tokens of a beginning."""
N_SELECT = 4
"""Beginnings on which lengths are looked for."""
AT_ONCE = 32
"""Features whose texts are written side by side."""
DOUBLINGS = 14
"""From a thousandth of a typical activation's norm to sixteen times it."""


@dataclass(frozen=True)
class SteeredTexts:
    """Texts of F features: T beginnings, n tokens each. NaN, and tokens -1, of features that do not reach the KL."""

    features: Int64  # [F]
    size: Float64  # [F] length of what is added at each token
    kl_select: Float64  # [F] mean over the beginnings of the split select, nats
    kl: Float64  # [F, T] of the prediction behind each beginning of the texts, nats
    tokens: Int64  # [F, T, n] what was written

    def reached(self) -> Bool:
        """[F]"""
        return ~np.isnan(self.size)


def beginnings(tokens: TokenFile, places: ClampedPlaces, bos: int | None) -> list[Tensor]:
    """The tokens of each place, with the BOS before them where the run has one."""
    front = [] if bos is None else [bos]
    return [
        torch.tensor([*front, *tokens.tokens[context][position : position + PREFIX].tolist()], dtype=torch.long)
        for context, position in zip(places.context.tolist(), places.position.tolist(), strict=True)
    ]


@torch.inference_mode()
def steered_texts(
    passes: SteeredPasses,
    directions: Tensor,
    features: Int64,
    select: list[Tensor],
    texts: list[Tensor],
    first: int,
    kl: float,
    n_tokens: int,
    typical: float,
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> SteeredTexts:
    """Steps 2 and 3. `directions` [F, d] of `features`, of any length; `select` and `texts`: the beginnings of either
    step; `first`: the first token that is steered; `typical`: the norm of an activation at the hook point."""
    device, n, t = directions.device, len(features), len(texts)
    units = directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-30)
    size, kl_select, there = np.full(n, np.nan), np.full(n, np.nan), np.full((n, t), np.nan)
    tokens = np.full((n, t, n_tokens), -1, dtype=np.int64)
    for start in range(0, n, AT_ONCE):
        some = np.arange(start, min(start + AT_ONCE, n))
        sizes = _sizes(passes, units[some], [ids.to(device) for ids in select], first, kl, typical)
        known = ~np.isnan(sizes.size)
        reached = some[known]
        size[reached], kl_select[reached] = sizes.size[known], sizes.kl[known]
        if len(reached):
            added = units[reached] * torch.from_numpy(size[reached]).to(units)[:, None]
            for number, ids in enumerate(texts):
                written = write_on(passes, ids.to(device), added, first, n_tokens, drawn(1.0, seed + number))[1:]
                tokens[reached, number] = [text.tokens for text in written]
                there[reached, number] = [text.kl[0] for text in written]
        progress(len(some))
    return SteeredTexts(features, size, kl_select, there, tokens)


def _sizes(
    passes: SteeredPasses, units: Tensor, select: list[Tensor], first: int, kl: float, typical: float
) -> SteeringSizes:
    """The length of each of `units` at which the mean KL behind the beginnings is `kl`."""
    plain = [passes.open(ids, torch.zeros_like(units[:1]), first).logits for ids in select]

    def kl_of(size: Float64) -> Float64:
        added = units * torch.from_numpy(size).to(units)[:, None]
        moved = [kl_from(was, passes.open(ids, added, first).logits) for was, ids in zip(plain, select, strict=True)]
        return np.asarray(np.mean(moved, axis=0))

    return find_sizes(kl_of, len(units), kl, typical, DOUBLINGS)
