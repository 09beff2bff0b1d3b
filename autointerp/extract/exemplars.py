"""From what the summary kept to exemplars: windows with a stratum, an order and an inclusion probability.

    top             one a context, strongest first
    quantile_NN     firing tokens by quantile of the positive activations, 00 the weakest
    interval_NN     firing tokens by equal-width interval of activation / maximum, 00 the weakest
    random          windows of the shared pool, whether the feature fires there or not
    near_miss       one of the feature's heaviest tokens in a window of the pool, where all that is shown is silent
    T, F            select and score split: the top windows; a uniform sample of the other firing windows

What each of them shows is said in `exemplar_rows.py`; random windows and near misses are drawn in `pool_exemplars.py`.

Quantile and interval strata are filled from the reservoirs of tokens by octave: each kept token stands
for (tokens in the octave / tokens kept) tokens; the quantiles are those of this weighted sample; within
a stratum the tokens of smallest hash are taken, and its probability is their share of the tokens that
the stratum stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from autointerp.config.evidence import EvidenceSection
from autointerp.extract.exemplar_rows import (
    SCALE,
    Exemplars,
    feature_numbers,
    rows_of_kept,
    spans_around,
    whole_windows,
)
from autointerp.extract.pool_exemplars import pool_exemplars
from autointerp.extract.summary.segments import rank_in_run, sort_by
from autointerp.extract.summary.smallest_keys import Kept
from autointerp.extract.summary.statistics import OCTAVES, PER_OCTAVE, octave
from autointerp.extract.summary.summary import EXPLAIN, Summary, window_key
from autointerp.hashing import hash64
from autointerp.records import SPLITS, GramTable, Int64, Split
from autointerp.subject.tokens import TokenFile

WINDOWS_AT_ONCE = 1 << 17
"""Windows of the select or score split that are worked on at once."""


def explain_exemplars(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: EvidenceSection, features: Int64
) -> Iterator[Exemplars]:
    """All strata of the explain split; `features` and `heavy` count from the summary's first feature."""
    yield from _top_stratum(summary, tokens)
    yield from _token_strata(summary, tokens, evidence)
    yield from pool_exemplars(summary, tokens, heavy, evidence, features)


def _top_stratum(summary: Summary, tokens: TokenFile) -> Iterator[Exemplars]:
    top = summary.top.kept()
    u = hash64(window_key(summary.plan.seed), feature_numbers(summary, top), top.window.cpu().numpy()) / SCALE
    if len(u):
        shown = spans_around(summary, tokens, top.window.cpu().numpy(), top.peak.cpu().numpy())
        yield rows_of_kept(summary, top, shown, "explain", ["top"] * len(u), rank_in_run(top.group), np.ones(len(u)), u)


def _token_strata(summary: Summary, tokens: TokenFile, evidence: EvidenceSection) -> Iterator[Exemplars]:
    kept = summary.octaves.kept()
    if len(kept.group) == 0:
        return
    kept = replace(kept, group=kept.group // OCTAVES)
    kept = kept.take(sort_by(kept.group, _rising(kept.peak_value)))
    feature = kept.group.long()
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
    for name, n, each, position in (
        ("quantile", evidence.quantiles.n, evidence.quantiles.each, share),
        ("interval", evidence.intervals.n, evidence.intervals.each, kept.peak_value / maximum),
    ):
        if n and each:
            bucket = (position.double() * n).long().clamp(0, n - 1)
            yield _smallest_in_buckets(summary, tokens, kept, name, n, each, bucket, weight, maximum)


def _rising(value: Tensor) -> Tensor:
    """Positive float32 values as integers that sort upwards."""
    return value.view(torch.int32).long()


def _smallest_in_buckets(
    summary: Summary,
    tokens: TokenFile,
    kept: Kept,
    name: str,
    n: int,
    each: int,
    bucket: Tensor,
    weight: Tensor,
    maximum: Tensor,
) -> Exemplars:
    group = kept.group.long() * n + bucket
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
    taken = kept.take(chosen)
    return rows_of_kept(
        summary,
        taken,
        spans_around(summary, tokens, taken.window.cpu().numpy(), taken.peak.cpu().numpy()),
        "explain",
        [f"{name}_{number:02d}" for number in numbers],
        rank,
        probability,
        kept.key[chosen].cpu().numpy() / SCALE,
        low,
        high,
    )


def held_out_exemplars(summary: Summary, tokens: TokenFile, split: Split) -> Iterator[Exemplars]:
    """T: the top windows of the select or score split. F: uniform among the other firing windows, by rising u."""
    top_windows, firing_windows = (
        (summary.select_top, summary.select_firing) if split == "select" else (summary.score_top, summary.score_firing)
    )
    top, firing = top_windows.kept(), firing_windows.kept()
    if len(top.group) == 0:
        return
    u = hash64(window_key(summary.plan.seed), feature_numbers(summary, top), top.window.cpu().numpy()) / SCALE
    shown = whole_windows(tokens, top.window.cpu().numpy())
    yield rows_of_kept(summary, top, shown, split, ["T"] * len(u), rank_in_run(top.group), np.ones(len(u)), u)
    most = int(max(top.window.max(), firing.window.max())) + 1
    is_top = torch.isin(firing.group.long() * most + firing.window, top.group.long() * most + top.window)
    others = (~is_top).nonzero().squeeze(1)
    n_top = torch.bincount(top.group, minlength=summary.plan.n_features)
    n_others = summary.statistics.n_firing_windows[SPLITS.index(split)] - n_top
    n_kept = torch.bincount(firing.group[others], minlength=summary.plan.n_features)
    share = n_kept / n_others.clamp(min=1)
    rank = rank_in_run(firing.group[others])
    for first in range(0, len(others), WINDOWS_AT_ONCE):
        portion = slice(first, first + WINDOWS_AT_ONCE)
        some = firing.take(others[portion])
        probability = share[some.group].double().cpu().numpy()
        u = some.key.cpu().numpy() / SCALE
        shown = whole_windows(tokens, some.window.cpu().numpy())
        yield rows_of_kept(summary, some, shown, split, ["F"] * len(u), rank[portion], probability, u)
