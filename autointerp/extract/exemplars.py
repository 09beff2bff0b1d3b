"""From what the summary kept to exemplars: windows with a stratum, an order and an inclusion probability.

    top             one window a context, strongest first
    quantile_NN     firing tokens by quantile of the positive activations, 00 the weakest
    interval_NN     firing tokens by equal-width interval of activation / maximum, 00 the weakest
    random          windows of the shared pool, whether the feature fires there or not
    near_miss       silent windows of the pool that hold one of the feature's heaviest tokens
    T, F            score split: the top windows; a uniform sample of the other firing windows

Quantile and interval strata are filled from the reservoirs of tokens by octave: each kept token stands
for (tokens in the octave / tokens kept) tokens; the quantiles are those of this weighted sample; within
a stratum the tokens of smallest hash are taken, and its probability is their share of the tokens that
the stratum stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.config import Evidence
from autointerp.extract.keeper import Kept
from autointerp.extract.segments import gather_runs, rank_in_run, sort_by
from autointerp.extract.statistics import OCTAVES, PER_OCTAVE, octave
from autointerp.extract.summary import EXPLAIN, SCORE, Summary, window_key
from autointerp.hashing import hash64, stream_key
from autointerp.records import GramTable, Int64
from autointerp.subject.tokens import TokenFile

SCALE = float(1 << 63)
NEAR_MISS_TOKENS = 20
"""A near miss holds one of this many heaviest tokens of the feature."""


@dataclass(frozen=True)
class Exemplars:
    """Rows of the table `exemplars` of one dictionary, without activations where the window is silent."""

    feature: Int64  # [n]
    split: str
    stratum: list[str]
    rank: Int64
    window: Int64
    peak: Int64
    low: np.ndarray
    high: np.ndarray
    probability: np.ndarray
    u: np.ndarray
    length: Int64  # activations of each window
    place: Int64  # [sum of length] position in the context
    value: np.ndarray  # [sum of length]


def _from_kept(
    kept: Kept, split: str, stratum: list[str], rank: Tensor, probability: np.ndarray, u: np.ndarray,
    low: np.ndarray | None = None, high: np.ndarray | None = None,
) -> Exemplars:  # fmt: skip
    empty = np.full(len(kept.group), np.nan)
    return Exemplars(
        feature=kept.feature.cpu().numpy(),
        split=split,
        stratum=stratum,
        rank=rank.cpu().numpy(),
        window=kept.window.cpu().numpy(),
        peak=kept.peak.cpu().numpy(),
        low=empty if low is None else low,
        high=empty if high is None else high,
        probability=probability,
        u=u,
        length=kept.length.cpu().numpy(),
        place=kept.place.cpu().numpy(),
        value=kept.value.cpu().numpy(),
    )


def explain_exemplars(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: Evidence, features: Int64
) -> list[Exemplars]:
    """All strata of the explain split."""
    top = summary.top.kept()
    u = hash64(window_key(summary.plan.seed), top.feature.cpu().numpy(), top.window.cpu().numpy()) / SCALE
    found = [
        _from_kept(top, "explain", ["top"] * len(u), rank_in_run(top.group), np.ones(len(u)), u),
        *_token_strata(summary, evidence),
        *_pool_strata(summary, tokens, heavy, evidence, features),
    ]
    return [part for part in found if len(part.feature)]


def _token_strata(summary: Summary, evidence: Evidence) -> list[Exemplars]:
    kept = summary.octaves.kept()
    if len(kept.group) == 0:
        return []
    order = sort_by(kept.feature, descending_free(kept.peak_value))
    kept = kept.take(order)
    feature = kept.feature
    in_octave = summary.statistics.histogram[EXPLAIN].view(-1, OCTAVES, PER_OCTAVE).sum(dim=2).double()
    octaves = octave(kept.peak_value)
    n_kept = torch.bincount(feature * OCTAVES + octaves, minlength=in_octave.numel()).view(-1, OCTAVES)
    weight = in_octave[feature, octaves] / n_kept[feature, octaves]
    total = summary.statistics.n_firing[EXPLAIN].double()[feature]
    before = torch.cumsum(weight, 0) - weight
    first = (rank_in_run(feature) == 0).nonzero().squeeze(1)
    run = torch.cumsum((rank_in_run(feature) == 0).long(), 0) - 1
    share = (before - before[first][run] + weight / 2) / total  # of the feature's firing tokens below this one
    maximum = summary.statistics.maximum[EXPLAIN][feature]
    found = []
    for name, n, each, position in (
        ("quantile", evidence.quantiles.n, evidence.quantiles.each, share),
        ("interval", evidence.intervals.n, evidence.intervals.each, kept.peak_value / maximum),
    ):
        if n and each:
            bucket = (position.double() * n).long().clamp(0, n - 1)
            found.append(_smallest_in_buckets(kept, name, n, each, bucket, weight, maximum))
    return found


def descending_free(value: Tensor) -> Tensor:
    """Positive float32 values as integers that sort upwards."""
    return value.view(torch.int32).long()


def _smallest_in_buckets(
    kept: Kept, name: str, n: int, each: int, bucket: Tensor, weight: Tensor, maximum: Tensor
) -> Exemplars:
    group = kept.feature * n + bucket
    order = sort_by(group, kept.key)
    rank = rank_in_run(group[order])
    chosen, rank = order[rank < each], rank[rank < each]
    n_groups = int(group.max()) + 1
    stands_for = torch.zeros(n_groups, dtype=torch.float64, device=group.device).index_add_(0, group, weight)
    n_chosen = torch.bincount(group[chosen], minlength=n_groups)
    probability = (n_chosen[group[chosen]] / stands_for[group[chosen]]).clamp(max=1.0).cpu().numpy()
    if name == "interval":
        low = (bucket[chosen] * maximum[chosen] / n).cpu().numpy()
        high = ((bucket[chosen] + 1) * maximum[chosen] / n).cpu().numpy()
    else:
        empty = torch.full((n_groups,), torch.inf, device=group.device)
        low = empty.scatter_reduce(0, group, kept.peak_value, "amin")[group[chosen]].cpu().numpy()
        high = (-empty).scatter_reduce(0, group, kept.peak_value, "amax")[group[chosen]].cpu().numpy()
    numbers = bucket[chosen].cpu().tolist()
    return _from_kept(
        kept.take(chosen),
        "explain",
        [f"{name}_{number:02d}" for number in numbers],
        rank,
        probability,
        kept.key[chosen].cpu().numpy() / SCALE,
        low,
        high,
    )


def _pool_strata(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: Evidence, features: Int64
) -> list[Exemplars]:
    """Random windows and near misses, feature by feature, from the shared pool."""
    pool = summary.explain_pool.cpu().numpy()
    if len(pool) == 0:
        return []
    share = len(pool) / len(tokens.scored_windows("explain"))
    kept = summary.pool.kept()
    kept_feature = kept.feature.cpu().numpy()
    kept_place = np.searchsorted(pool, kept.window.cpu().numpy())
    kept_start = np.searchsorted(kept_feature, np.arange(summary.plan.n_features + 1))
    holders = _holders(tokens, pool, summary.plan.d_vocab)
    random_key = stream_key(summary.plan.seed, "random window")
    near_key = stream_key(summary.plan.seed, "near miss")
    # feature, stratum, rank, pool, kept or -1, peak or -1, probability, u
    rows: list[tuple[int, int, int, int, int, int, float, float]] = []
    for feature in features:
        mine = slice(kept_start[feature], kept_start[feature + 1])
        where = np.full(len(pool), -1)
        where[kept_place[mine]] = np.arange(mine.start, mine.stop)
        u = hash64(random_key, int(feature), pool) / SCALE
        chosen = np.argsort(u, kind="stable")[: evidence.random]
        pi = len(chosen) / len(pool) * share
        rows += [(int(feature), 0, rank, int(i), int(where[i]), -1, pi, float(u[i])) for rank, i in enumerate(chosen)]
        listed = heavy.token[heavy.start[feature] : heavy.start[feature + 1]][:NEAR_MISS_TOKENS]
        held_at = np.full(len(pool), -1)  # position of the heaviest of the listed tokens that the window holds
        for token in listed[::-1]:
            windows, position = holders.get(int(token), ([], []))
            held_at[windows] = position
        near = np.flatnonzero((held_at >= 0) & (where < 0))
        u = hash64(near_key, int(feature), pool) / SCALE
        taken = near[np.argsort(u[near], kind="stable")][: evidence.near_miss]
        pi = len(taken) / max(len(near), 1) * share
        rows += [(int(feature), 1, rank, int(i), -1, int(held_at[i]), pi, float(u[i])) for rank, i in enumerate(taken)]
    if not rows:
        return []
    table = np.array(rows, dtype=np.float64)
    item = torch.from_numpy(table[:, 4].astype(np.int64)).to(kept.window.device)
    fires = item >= 0
    length = torch.where(fires, kept.length[item.clamp(min=0)], 0) if len(kept.length) else torch.zeros_like(item)
    starts = torch.cumsum(kept.length, 0) - kept.length
    inner = gather_runs(starts[item[fires]], kept.length[item[fires]])
    window = pool[table[:, 3].astype(np.int64)]
    beginning = (window % tokens.windows_per_context) * tokens.window
    peak = np.where(table[:, 5] >= 0, table[:, 5].astype(np.int64), beginning)
    peak[fires.cpu().numpy()] = kept.peak[item[fires]].cpu().numpy()
    empty = np.full(len(table), np.nan)
    return [
        Exemplars(
            feature=table[:, 0].astype(np.int64),
            split="explain",
            stratum=["near_miss" if row[1] else "random" for row in rows],
            rank=table[:, 2].astype(np.int64),
            window=window,
            peak=peak,
            low=empty,
            high=empty,
            probability=table[:, 6],
            u=table[:, 7],
            length=length.cpu().numpy(),
            place=kept.place[inner].cpu().numpy(),
            value=kept.value[inner].cpu().numpy(),
        )
    ]


def _holders(tokens: TokenFile, pool: Int64, d_vocab: int) -> dict[int, tuple[Int64, Int64]]:
    """Token -> the pool windows in which it stands at a scored place, and the first position in the context."""
    windows = tokens.windows(pool)
    row, column = windows.scored.nonzero()
    token = windows.tokens[row, column].astype(np.int64)
    key, first = np.unique(token * len(pool) + row, return_index=True)  # nonzero goes row by row: the first is leftmost
    position = (pool[row] % tokens.windows_per_context) * tokens.window + column
    held = key // len(pool)
    starts = np.flatnonzero(np.r_[True, held[1:] != held[:-1]]) if len(held) else np.zeros(0, np.int64)
    ends = np.r_[starts[1:], len(held)]
    return {int(held[a]): (key[a:b] % len(pool), position[first[a:b]]) for a, b in zip(starts, ends, strict=True)}


def score_exemplars(summary: Summary) -> list[Exemplars]:
    """T: the top windows of the score split. F: uniform among the other firing windows, by rising u."""
    top = summary.score_top.kept()
    u = hash64(window_key(summary.plan.seed), top.feature.cpu().numpy(), top.window.cpu().numpy()) / SCALE
    found = [_from_kept(top, "score", ["T"] * len(u), rank_in_run(top.group), np.ones(len(u)), u)]
    firing = summary.score_firing.kept()
    most = int(max(top.window.max(), firing.window.max())) + 1 if len(top.window) else 1
    is_top = torch.isin(firing.feature * most + firing.window, top.feature * most + top.window)
    others = (~is_top).nonzero().squeeze(1)
    firing = firing.take(others)
    n_top = torch.bincount(top.feature, minlength=summary.plan.n_features)
    n_others = summary.statistics.n_firing_windows[SCORE] - n_top
    n_kept = torch.bincount(firing.feature, minlength=summary.plan.n_features)
    probability = (n_kept / n_others.clamp(min=1))[firing.feature].double().cpu().numpy()
    u = firing.key.cpu().numpy() / SCALE
    found.append(_from_kept(firing, "score", ["F"] * len(u), rank_in_run(firing.group), probability, u))
    return [part for part in found if len(part.feature)]
