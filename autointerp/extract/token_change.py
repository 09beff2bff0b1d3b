"""TokenChange: what measurably rises and falls in the output where a feature is clamped at its maximum.

1. Some contexts of a split are drawn by hash, and in each a few tokens in a row: the same for all features.
2. At these tokens a feature's activation is raised from f(x) to its maximum on the explain split: (maximum - f(x))
   times its decoder direction is added. (What is added at one token changes no activation at the hook point of another:
   attention reads it only further on.)
3. The logits there, less those of the model as it is, are averaged over a context's tokens; their median over the
   vocabulary is taken off. A token's change is the mean over contexts, its error the standard error over contexts.
4. The same is done with a random direction that is spread as the activations are, one for each feature, of the same
   norm at every token. It stays the same in all contexts, as the feature's does: drawn anew it would average out.

Source: VocabProj's counterpart in Gur-Arieh et al. 2025 ("Enhancing Automated Interpretability with Output-Centric
Feature Descriptions"), who read all positions of 32 contexts.

Letters in shapes: K contexts, T tokens in a row, F features, V vocabulary, n tokens that stand in the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.ablate import LOGITS_AT_ONCE, Ablation, correlation, divergence, written_scale
from autointerp.hashing import hash64, rng_for, stream_key
from autointerp.records import Float64, Int64, Split
from autointerp.subject.tokens import TokenFile

CLAMPED = ("feature", "covariance")
"""What is added: what the feature lacks to its maximum, or a random direction of that norm."""
SIDES = ("risen", "fallen")
KEPT = {"feature": 60, "covariance": 10}
"""Tokens kept of each side: explainers see the first ten; judges are asked about ranks 11 to 60."""
N_SHOWN = 10
"""Tokens of a side that explainers see."""
CHANGES_AT_ONCE = 1 << 25
"""Numbers that are added up at a time: 128 MB."""


@dataclass(frozen=True)
class ClampedPlaces:
    """Where features are clamped."""

    split: Split
    context: Int64  # [K]
    position: Int64  # [K] of the first of the tokens
    n_tokens: int  # T

    def __len__(self) -> int:
        return len(self.context)


@dataclass(frozen=True)
class ClampedLogits:
    """What clamping does at the places of one split; letters as above, the second axis by CLAMPED."""

    change: Tensor  # [F, 2, n] of each token's logit, the median taken off
    error: Tensor  # [F, 2, n] standard error over contexts
    kl: Float64  # [F, 2] from the model as it is, nats, mean over tokens
    norm: Float64  # [F] of what is added, mean over tokens


@dataclass(frozen=True)
class ChangedTokens:
    """The tokens that change most: [F, KEPT] for one of CLAMPED and one of SIDES, the strongest first."""

    token: Int64
    change: Float64
    error: Float64
    z: Float64  # over the standard deviation of all tokens' changes


def draw_places(tokens: TokenFile, split: Split, n: int, n_tokens: int, seed: int) -> ClampedPlaces:
    """Step 1: at most `n` contexts; tokens that count, with one before them."""
    of_split = tokens.contexts_of(split)
    order = np.argsort(hash64(stream_key(seed, "token_changes", split), of_split), kind="stable")
    drawn: list[tuple[int, int]] = []
    for context in of_split[order].tolist():
        if len(drawn) == n:
            break
        scored = tokens.scored([context])[0]
        runs = np.convolve(scored, np.ones(n_tokens), mode="valid")
        starts = np.flatnonzero(runs >= n_tokens - 0.5)
        starts = starts[starts > 0]
        if len(starts):
            rank = hash64(stream_key(seed, "token_changes", "position"), context, starts)
            drawn.append((context, int(starts[np.argmin(rank)])))
    context, position = np.array(drawn, dtype=np.int64).reshape(-1, 2).T
    return ClampedPlaces(split, context, position, n_tokens)


def features_at_once(tools: Ablation, n_splits: int) -> int:
    """Features whose changes in so many splits fit into memory."""
    return max(1, CHANGES_AT_ONCE // (2 * n_splits * len(CLAMPED) * len(tools.usable)))


@torch.inference_mode()
def clamp(
    tools: Ablation,
    places: ClampedPlaces,
    features: Int64,
    maximum: Float64,
    progress: Callable[[int], None] = lambda _: None,
) -> ClampedLogits:
    """Steps 2 to 4 for `features` [F], each clamped at its `maximum` [F]. `tools.passes` reads T - 1 positions behind
    the first. Raises InputError where the dictionary does not say what its features write."""
    device, n = tools.subject.device, len(tools.usable)
    directions = _directions(tools, features).to(device)
    total = torch.zeros(len(features), len(CLAMPED), n, device=device)
    squares, kl = torch.zeros_like(total), torch.zeros(len(features), len(CLAMPED), device=device)
    norm = torch.zeros(len(features), device=device)
    at_once = max(1, LOGITS_AT_ONCE // (len(CLAMPED) * places.n_tokens * tools.subject.d_vocab))
    for context, position in zip(places.context.tolist(), places.position.tolist(), strict=True):
        n_valid = int(tools.tokens.n_valid[context])
        ids = torch.from_numpy(np.asarray(tools.tokens.tokens[context][:n_valid]).astype(np.int64)).to(device)
        lacking = _lacking(tools, ids, position, places.n_tokens, features, maximum)  # [F, T]
        norm += (lacking.abs() * directions[:, 0].norm(dim=1, keepdim=True)).mean(dim=1)
        opened, at = tools.passes.open(ids), torch.tensor([position], device=device)
        plain = opened.logits(at, torch.zeros(1, directions.shape[2], device=device))  # [1, T, V]
        for first in range(0, len(features), at_once):
            some = slice(first, first + at_once)
            added = (directions[some, :, None] * lacking[some, None, :, None]).flatten(0, 1)  # [2 F, T, d]
            logits = opened.logits(at.expand(len(added)), added)
            change = (logits.mean(dim=1) - plain.mean(dim=1))[:, tools.usable]
            change = (change - change.median(dim=1, keepdim=True).values).view(-1, len(CLAMPED), n)
            total[some] += change
            squares[some] += change.square()
            _, kl_there, _ = divergence(plain, logits[:, None], torch.zeros_like(ids[None, : places.n_tokens]))
            kl[some] += kl_there.mean(dim=(1, 2)).view(-1, len(CLAMPED))
            progress(len(change))
    k = max(len(places), 1)
    mean = total / k
    spread = (squares / k - mean.square()).clamp_(min=0).div_(max(k - 1, 1)).sqrt_()
    change = mean - mean.median(dim=2, keepdim=True).values
    return ClampedLogits(change, spread, _float64(kl / k), _float64(norm / k))


def strongest_changes(tools: Ablation, clamped: ClampedLogits, what: str, side: str) -> ChangedTokens:
    """The tokens kept of one of CLAMPED and one of SIDES."""
    change, error = (of[:, CLAMPED.index(what)] for of in (clamped.change, clamped.error))
    spread = change.std(dim=1, keepdim=True).clamp(min=1e-30)
    index = change.topk(min(KEPT[what], change.shape[1]), dim=1, largest=side == "risen").indices
    chosen = change.gather(1, index)
    return ChangedTokens(
        tools.usable[index].cpu().numpy(), _float64(chosen), _float64(error.gather(1, index)), _float64(chosen / spread)
    )


def shown_then_asked(tools: Ablation, clamped: Sequence[ClampedLogits], side: str) -> Int64:
    """[F, 10 + 50] tokens of features: those that explainers see, of the first of `clamped` (the split explain), then
    those that judges are asked about, of the second (score) and not among these. Fewer in a small vocabulary."""
    seen, asked = (strongest_changes(tools, of, "feature", side).token for of in clamped)
    seen = seen[:, :N_SHOWN]
    rows = [row[~np.isin(row, own)] for row, own in zip(asked, seen, strict=True)]
    n = min([KEPT["feature"] - N_SHOWN, *map(len, rows)])
    return np.concatenate([seen, np.array([row[:n] for row in rows], dtype=np.int64).reshape(len(rows), n)], axis=1)


def agreement(here: ClampedLogits, there: ClampedLogits) -> Float64:
    """[F, 2] correlation over tokens of the changes in two splits: how far they are of the feature and not of the
    contexts."""
    parts = [correlation(here.change[:, i], there.change[:, i]) for i in range(len(CLAMPED))]
    return _float64(torch.stack(parts, dim=1))


def with_direct(tools: Ablation, clamped: ClampedLogits, features: Int64) -> Float64:
    """[F, 2] correlation over tokens of the changes with the direct effects of what is added; NaN: no direct path."""
    if tools.path is None:
        return np.full(clamped.kl.shape, np.nan)
    directions = _directions(tools, features)
    parts = [
        correlation(clamped.change[:, i], tools.path.written(directions[:, i]) @ tools.path.unembed)
        for i in range(len(CLAMPED))
    ]
    return _float64(torch.stack(parts, dim=1))


def _directions(tools: Ablation, features: Int64) -> Tensor:
    """[F, 2, d] the features' directions, and random ones of their norms."""
    own = tools.dictionary.directions[torch.from_numpy(features)].detach().float().cpu()
    draws = [rng_for(tools.seed, "clamp", tools.name, feature) for feature in features.tolist()]
    drawn = np.stack([tools.covariance(rng) for rng in draws])
    length = np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-30)
    unit = torch.from_numpy((drawn / length).astype(np.float32))
    return torch.stack([own, unit * own.norm(dim=1, keepdim=True)], dim=1)


def _lacking(tools: Ablation, ids: Tensor, position: int, n_tokens: int, features: Int64, maximum: Float64) -> Tensor:
    """[F, T] what each feature lacks to its maximum at each token, in units of its direction."""
    hook = tools.dictionary.hook
    x = tools.subject.activations(ids[None, : position + n_tokens], [hook])[hook][0, position:].float()
    x = x.to(tools.dictionary.directions.device)
    active = tools.dictionary.encode(x)[:, torch.from_numpy(features).to(x.device)]
    lacking = torch.from_numpy(maximum.astype(np.float32)).to(x.device) - active  # [T, F]
    scale = written_scale(tools.dictionary, x)
    return (lacking if scale is None else lacking * scale).T.to(ids.device)


def _float64(x: Tensor) -> Float64:
    return np.asarray(x.double().cpu().numpy())
