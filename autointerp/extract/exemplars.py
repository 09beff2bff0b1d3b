"""From what the summary kept to exemplars: windows with a stratum, an order and an inclusion probability.

    top             the strongest, one a context; a phrase once, and other documents first
    outlier         the same, of the firings on outliers (tokens of enormous norm at the hook: subject/norms.py); top,
                    quantile and interval strata are of the other firings
    quantile_NN     firing tokens by quantile of the positive activations, 00 the weakest
    interval_NN     firing tokens by equal-width interval of activation / maximum, 00 the weakest
    random          windows of the shared pool, whether the feature fires there or not
    near_miss       one of the feature's heaviest tokens in a window of the pool, where all that is shown is silent
    T, F            select and score split: the top windows; a uniform sample of the other firing windows

What each of them shows is said in `exemplar_rows.py`; random windows and near misses are drawn in `pool_exemplars.py`.

Quantile and interval strata are filled from the reservoirs of tokens by octave: each kept token stands
for w = (tokens in the octave / tokens kept) tokens; the quantiles are those of this weighted sample. Within a
stratum tokens are taken so that no phrase is there twice and other documents come first (`thinning.py`);
the inclusion probability is that of being taken over w.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
from autointerp.extract.thinning import Orders, phrases_of, thin
from autointerp.hashing import hash64, stream_key
from autointerp.records import SPLITS, GramTable, Int64, Split
from autointerp.subject.tokens import TokenFile

CANDIDATES_AT_ONCE = 1 << 16
"""Firing tokens of the reservoirs that are worked on at once, about."""
WINDOWS_AT_ONCE = 1 << 17
"""Windows of the select or score split that are worked on at once."""


def explain_exemplars(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: EvidenceSection, features: Int64
) -> Iterator[Exemplars]:
    """All strata of the explain split; `features` and `heavy` count from the summary's first feature."""
    for name, kept, most in (
        ("top", summary.top.kept(), summary.plan.top),
        ("outlier", summary.outliers.kept(), summary.plan.outlier),
    ):
        yield from _top_stratum(summary, tokens, name, _strongest(tokens, kept, most))
    yield from _token_strata(summary, tokens, evidence)
    yield from pool_exemplars(summary, tokens, heavy, evidence, features)


def _top_stratum(summary: Summary, tokens: TokenFile, name: str, top: Kept) -> Iterator[Exemplars]:
    u = hash64(window_key(summary.plan.seed), feature_numbers(summary, top), top.window.cpu().numpy()) / SCALE
    if len(u):
        shown = spans_around(summary, tokens, top.window.cpu().numpy(), top.peak.cpu().numpy())
        yield rows_of_kept(summary, top, shown, "explain", [name] * len(u), rank_in_run(top.group), np.ones(len(u)), u)


def _token_strata(summary: Summary, tokens: TokenFile, evidence: EvidenceSection) -> Iterator[Exemplars]:
    """Some features at a time: what is held beside the summary does not grow with their number."""
    statistics = summary.statistics
    in_octave = statistics.histogram[EXPLAIN].view(-1, OCTAVES, PER_OCTAVE).sum(dim=2).double()
    in_octave -= statistics.outliers[EXPLAIN]
    top = summary.top.kept()
    strongest = torch.zeros(summary.plan.n_features, device=top.key.device)
    strongest.scatter_reduce_(0, top.group.long(), top.peak_value, "amax")
    for kept in summary.octaves.portions(CANDIDATES_AT_ONCE, OCTAVES):
        yield from _strata_of(summary, tokens, evidence, kept, in_octave, strongest)


def _strata_of(
    summary: Summary, tokens: TokenFile, evidence: EvidenceSection, kept: Kept, in_octave: Tensor, strongest: Tensor
) -> Iterator[Exemplars]:
    """`kept`: all reservoirs by octave of some features; `in_octave` [F, OCTAVES] firing tokens, `strongest` [F]."""
    kept = replace(kept, group=kept.group // OCTAVES)
    kept = kept.take(sort_by(kept.group, _rising(kept.peak_value)))
    feature = kept.group.long()
    octaves = octave(kept.peak_value)
    n_kept = torch.bincount(feature * OCTAVES + octaves, minlength=in_octave.numel()).view(-1, OCTAVES)
    weight = in_octave[feature, octaves] / n_kept[feature, octaves]
    total = in_octave.sum(dim=1)[feature]
    before = torch.cumsum(weight, 0) - weight
    is_first = rank_in_run(feature) == 0
    first = is_first.nonzero().squeeze(1)
    run = torch.cumsum(is_first.long(), 0) - 1
    share = (before - before[first][run] + weight / 2) / total  # of the feature's firing tokens below this one
    candidates = _Candidates.of(kept, tokens)
    maximum = strongest[feature]
    for name, n, each, position in (
        ("quantile", evidence.quantiles.n, evidence.quantiles.each, share),
        ("interval", evidence.intervals.n, evidence.intervals.each, kept.peak_value / maximum),
    ):
        if n and each:
            bucket = (position.double() * n).long().clamp(0, n - 1)
            yield _spread_in_buckets(summary, tokens, candidates, name, n, each, bucket, weight, maximum)


def _rising(value: Tensor) -> Tensor:
    """Positive float32 values as integers that sort upwards."""
    return value.view(torch.int32).long()


def _spread_in_buckets(
    summary: Summary,
    tokens: TokenFile,
    kept: _Candidates,
    name: str,
    n: int,
    each: int,
    bucket: Tensor,
    weight: Tensor,
    maximum: Tensor,
) -> Exemplars:
    feature = kept.kept.group.long()
    group = feature * n + bucket
    keys = [stream_key(summary.plan.seed, "thinned", name, step) for step in ("phrase", "document", "documents")]
    drawn = kept.kept.key.cpu().numpy()
    in_phrase, in_document = (hash64(key, drawn).view(np.int64) for key in keys[:2])
    of_documents = hash64(keys[2], feature_numbers(summary, kept.kept), kept.document).view(np.int64)
    orders = Orders(in_phrase, in_document, of_documents)
    thinned = thin(group.cpu().numpy(), kept.phrase, kept.document, orders, each)
    chosen = torch.from_numpy(thinned.index).to(group.device)
    probability = np.minimum(thinned.probability / weight[chosen].cpu().numpy(), 1.0)
    if name == "interval":
        low = (bucket[chosen] * maximum[chosen] / n).cpu().numpy()
        high = ((bucket[chosen] + 1) * maximum[chosen] / n).cpu().numpy()
    else:
        empty = torch.full((int(group.max()) + 1,), torch.inf, device=group.device)
        value = kept.kept.peak_value
        low = empty.scatter_reduce(0, group, value, "amin")[group[chosen]].cpu().numpy()
        high = (-empty).scatter_reduce(0, group, value, "amax")[group[chosen]].cpu().numpy()
    numbers = bucket[chosen].cpu().tolist()
    taken = kept.kept.take(chosen)
    return rows_of_kept(
        summary,
        taken,
        spans_around(summary, tokens, taken.window.cpu().numpy(), taken.peak.cpu().numpy()),
        "explain",
        [f"{name}_{number:02d}" for number in numbers],
        torch.from_numpy(thinned.rank),
        probability,
        kept.kept.key[chosen].cpu().numpy() / SCALE,
        low,
        high,
    )


@dataclass(frozen=True)
class _Candidates:
    """What was kept, with what two exemplars must not share."""

    kept: Kept
    phrase: Int64  # [K]
    document: Int64  # [K]

    @classmethod
    def of(cls, kept: Kept, tokens: TokenFile) -> _Candidates:
        context = kept.window.cpu().numpy() // tokens.windows_per_context
        phrase = phrases_of(tokens, context, kept.peak.cpu().numpy().astype(np.int64))
        return cls(kept, phrase, tokens.document[context].astype(np.int64))


def _strongest(tokens: TokenFile, kept: Kept, most: int) -> Kept:
    """The strongest of what was kept, a phrase once and other documents first."""
    candidates = _Candidates.of(kept, tokens)
    orders = Orders.of_strength(len(kept.group))  # by feature, the strongest first
    group = kept.group.long().cpu().numpy()
    chosen = np.sort(thin(group, candidates.phrase, candidates.document, orders, most).index)
    return kept.take(torch.from_numpy(chosen).to(kept.group.device))


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
