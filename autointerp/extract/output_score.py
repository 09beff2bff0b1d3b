"""Does a feature, turned up, make the model say what it promotes? The output score of Arad, Mueller and Belinkov.

1. A neutral prompt is read once; only its last token is run again, behind the keys and values of the others.
2. There a feature's direction is added, times a stated multiple of its largest activation: one row of a batch.
3. Of its TOKENS most promoted tokens (direct effects) the likeliest in the output is taken.
4. score = p (1 - r / V): its probability p, the number r of tokens that are likelier, of V in all.

The same four steps with nothing added give `score_before`: what the tokens get for being common. (SAEs Are Good for
Steering, If You Select the Right Features, 2025. Their code adds to every feature ten times the largest activation that
any feature has at the token; here each has its own largest activation, as the corpus has it.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Float64, Int64
from autointerp.subject.patching import PatchedContext

TOKENS = 20
AT_ONCE = 512
"""Features in a batch."""
LOGITS_HELD = 1 << 25
"""Logits at once, 128 MB: a batch is smaller where a vocabulary is larger than 65,536."""


@dataclass(frozen=True)
class OutputScores:
    """One row a feature; NaN, and -1 in `token` and `rank`, where `status` is not "ok"."""

    features: Int64
    status: list[str]
    """ok, silent, writes_nothing, not_finite"""
    activation: Float64
    """What is added to its activation."""
    norm: Float64
    """Of what that adds at the hook point."""
    token: Int64
    probability: Float64
    rank: Int64
    """From 1."""
    score: Float64
    score_before: Float64


@dataclass(frozen=True)
class _Best:
    """The likeliest of each row's tokens, [R] each."""

    token: Tensor
    probability: Tensor
    rank: Tensor
    score: Tensor
    finite: Tensor


def output_scores(
    opened: PatchedContext,
    position: int,
    directions: Tensor,
    features: Int64,
    activation: Float64,
    tokens: Int64,
    d_vocab: int,
    progress: Callable[[int], None] = lambda _: None,
) -> OutputScores:
    """Output scores of `features`, rows of `directions` [width, d] that are turned up by `activation` [F].

    `opened` is the prompt, `position` its last token; `tokens` [F, n] are those that each feature promotes most.
    """
    n = len(features)
    chosen = directions[torch.from_numpy(features)].detach().float().cpu()
    added = chosen * torch.from_numpy(activation.astype(np.float32))[:, None]
    norm = added.double().norm(dim=1).numpy()
    status = np.where(~(activation > 0), "silent", np.where(norm > 0, "ok", "writes_nothing")).astype(object)
    token, rank = np.full((2, n), -1, dtype=np.int64)
    probability, score, before = np.full((3, n), np.nan)
    device = directions.device
    plain = opened.logits(torch.tensor([position], device=device), torch.zeros(1, chosen.shape[1], device=device))[:, 0]
    at_once = min(AT_ONCE, max(1, LOGITS_HELD // d_vocab))
    turned_up = np.flatnonzero(status == "ok")
    for first in range(0, len(turned_up), at_once):
        rows = turned_up[first : first + at_once]
        own = torch.from_numpy(tokens[rows]).to(device)
        places = torch.full((len(rows),), position, device=device)
        best = _best(opened.logits(places, added[torch.from_numpy(rows)].to(device))[:, 0], own)
        token[rows], rank[rows] = best.token.cpu().numpy(), best.rank.cpu().numpy()
        probability[rows], score[rows] = best.probability.cpu().numpy(), best.score.cpu().numpy()
        before[rows] = _without(plain[0], own).cpu().numpy()
        broken = rows[~best.finite.cpu().numpy()]
        status[broken] = "not_finite"
        token[broken] = rank[broken] = -1
        probability[broken] = score[broken] = before[broken] = np.nan
        progress(len(rows))
    progress(n - len(turned_up))
    nothing = status == "silent"
    return OutputScores(
        features=features,
        status=status.tolist(),
        activation=np.where(nothing, np.nan, activation),
        norm=np.where(nothing, np.nan, norm),
        token=token,
        probability=probability,
        rank=rank,
        score=score,
        score_before=before,
    )


@torch.inference_mode()
def _best(logits: Tensor, tokens: Tensor) -> _Best:
    """Of `logits` [R, V], the likeliest of each row's `tokens` [R, n]."""
    highest, index = logits.gather(1, tokens).max(dim=1)
    likelier = (logits > highest[:, None]).sum(dim=1)
    total = logits.logsumexp(dim=1).double()
    probability = (highest.double() - total).exp()
    return _Best(
        token=tokens.gather(1, index[:, None])[:, 0],
        probability=probability,
        rank=likelier + 1,
        score=probability * (1 - likelier.double() / logits.shape[1]),
        finite=highest.isfinite() & total.isfinite(),
    )


@torch.inference_mode()
def _without(logits: Tensor, tokens: Tensor) -> Tensor:
    """[R] scores of `tokens` [R, n] in one row of `logits` [V]."""
    highest = logits[tokens].max(dim=1).values
    likelier = len(logits) - torch.searchsorted(logits.sort().values, highest, right=True)
    return (highest.double() - logits.logsumexp(dim=0).double()).exp() * (1 - likelier.double() / len(logits))
