"""The windows that an explanation of one feature is tested on, and what the embedded simulator predicts there.

docs/ESTIMATOR.md, "The sample". For one feature:
1. its firing windows are those that extraction kept: T, the top ones, and a reservoir F, uniform among the others,
   which fall into F1 to F5 by their maximum (limits fixed on the explain split);
2. its silent windows are those of the run's pool in which it was measured not to fire. They are E where anything
   stands that an explanation of the feature lists: each list has a part of E, and a window is of the rarest list that
   it stands on. Else they are M where one of the feature's top tokens stands, else R;
3. of each class come the windows of smallest u = hash01(seed, feature, window), as many as `quotas.py` says. They are
   the same for all explanations whose lists are the same: explanations that are compared share their windows;
4. the embedded simulator looks its predictions up.

The published protocols ask for windows of their own (`published_windows`): top ones, random ones that may fire or
not, silent ones. The activations of a firing window of the pool are not kept. A random window is therefore drawn in
two steps: the pool says whether it fires; if it does, a firing window of the reservoir takes its place. Both are
uniform samples of the same windows, so this is a uniform draw.

Letters in shapes: K kept firing windows, W windows of the pool, S windows drawn, L tokens of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import Entries, match
from autointerp.hashing import hash01, stream_key
from autointerp.records import ANY_TOKEN, Bool, FeatureWindows, Float32, Float64, GramTable, Int32, Int64, Windows
from autointerp.score import published
from autointerp.score.bills import N_RANDOM, BillsSample, BillsTokens
from autointerp.score.cheap_moments import CheapMoments
from autointerp.score.class_names import EXPLANATION, N_CLASSES, TOP
from autointerp.score.fade import NaturalWindows
from autointerp.score.listed import different_lists, leverages, parts_of_lists
from autointerp.score.look_alikes import LookAlikes
from autointerp.score.pool import Pool
from autointerp.score.predictions import Drawn, Simulated
from autointerp.score.published_strata import calibration_windows, interval_share, quantiles, uniform_windows
from autointerp.score.quotas import QUOTAS_60, allocate, half_neyman, shared_out, with_later_lists
from autointerp.score.sampling import class_counts, class_sizes, classify, classify_silent, draw

TOP_TOKENS = 20
"""M: silent windows that hold one of this many heaviest tokens of the feature."""


def top_tokens(tokens: GramTable, feature: int) -> Int32:
    """The feature's heaviest tokens."""
    return tokens.token[int(tokens.start[feature]) : int(tokens.start[feature + 1])][:TOP_TOKENS]


@dataclass(frozen=True)
class Candidates:
    """What one feature's samples are drawn from: the same for all its explanations."""

    feature: int
    n_windows: int  # N
    n_firing_windows: int  # N_F
    kept: Windows  # [K] firing windows, each once: T, then F
    truth: Float32  # [K, L]
    maximum: Float32  # [K]
    classes: Int64  # [K] T, F1 .. F5 as numbered by `sampling.CLASSES`
    u: Float64  # [K]
    pool: Pool
    pool_u: Float64  # [W]
    silent: Bool  # [W] measured
    has_top_token: Bool  # [W]
    top_tokens: Int32
    threshold: float = 0.0
    """The activation above which a token counts in thresholded metrics."""

    def look_alikes(self) -> LookAlikes:
        """How much windows of the pool look like the firing ones. Made anew each time: it has a number a token."""
        return LookAlikes(self.kept, self.pool)


def candidates(
    firing: FeatureWindows,
    kept: Windows,
    pool: Pool,
    pools_firing: npt.ArrayLike,
    limits: npt.ArrayLike,
    tokens: Int32,
    seed: int,
    threshold: float = 0.0,
) -> Candidates:
    """Steps 1 and 2. `kept` are the windows of `firing` with their tokens, in its order; `pools_firing` the numbers
    of pool windows in which the feature fires; `limits` [4] from `sampling.firing_limits` on the explain split;
    `tokens` from `top_tokens`.
    """
    if not np.array_equal(firing.window, kept.window):
        raise ValueError(f"feature {firing.feature}: the windows given are not those that were kept")
    order = np.argsort(firing.stratum != "T", kind="stable")
    _, first = np.unique(firing.window[order], return_index=True)
    order = order[np.sort(first)]  # a window in both T and F counts as T
    maximum, is_top = firing.maximum[order], firing.stratum[order] == "T"
    none = np.zeros(len(order), dtype=np.bool_)
    silent = np.ones(len(pool.windows), dtype=np.bool_)
    silent[np.asarray(pools_firing, dtype=np.int64)] = False
    return Candidates(
        feature=firing.feature,
        n_windows=firing.n_windows,
        n_firing_windows=firing.n_firing_windows,
        kept=take(kept, order),
        truth=firing.truth[order],
        maximum=maximum,
        classes=classify(maximum, is_top, none, none, limits),
        u=firing.u[order],
        pool=pool,
        pool_u=hash01(stream_key(seed, "window"), firing.feature, pool.windows.window),
        silent=silent,
        has_top_token=pool.holding(np.full(len(tokens), ANY_TOKEN), tokens),
        top_tokens=tokens,
        threshold=threshold,
    )


# --- the sample -------------------------------------------------------------------------------------


def draw_windows(
    feature: Candidates,
    lists: Entries | Sequence[Entries],
    quotas: Sequence[int] = QUOTAS_60,
    later: Sequence[Sequence[Entries]] = (),
) -> Drawn:
    """Steps 2 and 3. `lists` are what explanations of the feature list, each with the values of a cheap simulator of
    it; `later` those of later waves; `quotas` [9] as in `quotas.py`, for one list."""
    silent = np.flatnonzero(feature.silent)
    distinct = different_lists((lists,) if isinstance(lists, Entries) else lists)
    sums = [feature.pool.predicted(one) for one in distinct]
    nowhere = np.full(len(silent), -1, dtype=np.int64)
    part, n_first = parts_of_lists([squares[silent] > 0 for _, squares in sums], nowhere)
    classes, available, sizes = _classes(feature, silent, part)
    cheap_moments = CheapMoments(feature, silent)
    cheap = [cheap_moments.of(one, *sum_) for one, sum_ in zip(distinct, sums, strict=True)]
    wanted = half_neyman(shared_out(quotas, n_first, N_CLASSES), leverages(cheap, classes, sizes), available)
    n_lists = n_first
    for wave in later:
        stands = [feature.pool.holding(one.previous, one.token)[silent] for one in wave]
        part, n_lists = parts_of_lists(stands, part, n_lists)
    if n_lists > n_first:
        drawn_of_first = allocate(available, wanted)
        classes, available, sizes = _classes(feature, silent, part)
        wanted = np.minimum(with_later_lists(drawn_of_first, n_first, n_lists), available)
    sample = draw(classes, np.concatenate([feature.u, feature.pool_u[silent]]), sizes, wanted)
    n_kept = len(feature.kept)
    fires = sample.index < n_kept
    from_kept, from_pool = sample.index[fires], silent[sample.index[~fires] - n_kept]
    windows = join_windows(take(feature.kept, from_kept), take(feature.pool.windows, from_pool))
    return Drawn(
        feature=feature.feature,
        windows=windows,
        truth=_truth(feature, from_kept, len(from_pool)),
        classes=sample.classes,
        n=sample.n,
        sizes=sizes,
        available=available,
        threshold=feature.threshold,
    )


def _classes(feature: Candidates, silent: Int64, part: Int64) -> tuple[Int64, Int64, Float64]:
    """Of the kept windows and the silent ones of the pool, [K + silent]; candidates and sizes of each class, [H]."""
    of_silent = classify_silent(part, feature.has_top_token[silent])
    classes = np.concatenate([feature.classes, of_silent])
    assert np.all(feature.classes < EXPLANATION), f"feature {feature.feature}: a kept window does not fire"
    assert np.all(of_silent >= EXPLANATION)
    available = class_counts(classes)
    return classes, available, class_sizes(feature.n_windows, feature.n_firing_windows, available)


def simulate(drawn: Drawn, lookup: Entries) -> Simulated:
    """Step 4."""
    value, _ = look_up(lookup, drawn.windows)
    return Simulated(drawn, value)


def look_up(lookup: Entries, windows: Windows) -> tuple[Float32, Float32]:
    """Value and probability of firing at each token of some windows; 0 where not scored: [S, L], [S, L]."""
    index = np.where(windows.scored, match(lookup, windows.tokens, windows.previous), -1)
    return np.append(lookup.value, np.float32(0))[index], np.append(lookup.probability, np.float32(0))[index]


def judge(lookup: Entries, windows: Windows) -> tuple[Bool, Float64]:
    """Detection: whether each window is judged to fire, and with what probability of a firing token: [S], [S]."""
    return judged_by(look_up(lookup, windows)[1])


def judged_by(probability: Float32) -> tuple[Bool, Float64]:
    """The same where it is known how likely each token fires: [S, L] -> [S], [S]."""
    anywhere = 1.0 - np.prod(1.0 - probability.astype(np.float64), axis=1)
    return anywhere >= 0.5, anywhere


# --- the published samples --------------------------------------------------------------------------


@dataclass(frozen=True)
class PublishedWindows:
    """The windows of one feature that the published protocols choose, with the strata they choose from."""

    feature: int
    maximum: float  # largest activation of the feature on the explain split
    density: float  # share of the score split's tokens that it fires on
    interval_share: Float64  # [12] of its firings, by interval of activation / maximum
    windows: Windows  # [S]
    truth: Float32  # [S, L]
    u: Float64  # [S]
    top: Bool  # [S] T
    silent: Bool  # [S] of the pool, by rising u
    random_5: Bool  # [S] Bills et al.
    calibration: Bool  # [S] Bills et al.: 5 other top, 5 other random, of other document blocks
    random_10: Bool  # [S] Bricken et al.
    out_of_context: Bool  # [S] Bricken et al.: hold one of the top tokens, wherever
    interval: Int64  # [S] of maximum / largest maximum; -1 where silent
    quantile: Int64  # [S] of the maximum among firing windows; -1 where not in the uniform sample of those

    def __len__(self) -> int:
        return len(self.u)

    # What the protocols make of the truth alone: once for all explanations.

    @cached_property
    def bills(self) -> BillsSample:
        """The ten windows of Bills et al., and those to calibrate on."""
        chosen = published.choose_top_random(self.top, self.random_5, self.u)
        fitted, missing = np.flatnonzero(self.calibration), sum(chosen.missing.values())
        return BillsSample(self.truth, self.windows.scored, chosen.index, fitted, missing)

    @cached_property
    def intervals(self) -> published.IntervalSample:
        """Bricken et al."""
        return published.IntervalSample(self._intervals, self.truth, self.windows.scored)

    @cached_property
    def intervals_weighted(self) -> published.IntervalSample:
        """Bricken et al., by importance."""
        weights = published.interval_weights(self.density, self.interval_share)
        return published.IntervalSample(self._intervals, self.truth, self.windows.scored, weights)

    @cached_property
    def _intervals(self) -> published.ChosenWindows:
        return published.choose_intervals(self.top, self.interval, self.random_10, self.out_of_context, self.u)

    @cached_property
    def quantiles(self) -> published.QuantileSample:
        """delphi."""
        return published.QuantileSample(self.truth, self.windows.scored, self.quantile, self.silent, self.u)

    @cached_property
    def saebench(self) -> published.SaebenchSample:
        """SAEBench."""
        return published.SaebenchSample(self.truth, self.windows.scored, self.top, self.silent, self.u, self.maximum)

    @cached_property
    def natural(self) -> tuple[Int64, Float64]:
        """FADE: the windows of delphi, firing ones by quantile and silent ones; and the largest activation in each."""
        index = published.choose_quantiles(self.quantile, self.silent, self.u).index
        height = np.where(self.windows.scored, self.truth, 0.0).max(axis=1, initial=0.0).astype(np.float64)
        return index, height[index]


def published_windows(feature: Candidates, maximum: float, density: float = np.nan) -> PublishedWindows:
    """All that the published metrics look at; `density` is the share of the score split's tokens that it fires on."""
    wide = all_strata(feature, maximum, density)
    u = wide.u
    height, energy = wide.truth.max(axis=1, initial=0.0), (wide.truth.astype(np.float64) ** 2).sum(axis=1)
    chosen = (
        published.choose_top_random(wide.top, wide.random_5, u),
        published.choose_intervals(wide.top, wide.interval, wide.random_10, wide.out_of_context, u),
        published.choose_quantiles(wide.quantile, wide.silent, u),
        published.choose_saebench(height, energy, wide.top, wide.silent, u, maximum),
    )
    index = np.unique(np.concatenate([*(one.index for one in chosen), np.flatnonzero(wide.calibration)]))
    rest = {item.name: getattr(wide, item.name)[index] for item in fields(wide)[5:]}
    return PublishedWindows(wide.feature, maximum, density, wide.interval_share, take(wide.windows, index), **rest)


@dataclass(frozen=True)
class Answered:
    """What a simulator and a judge said about the published windows of one feature."""

    published: PublishedWindows
    prediction: Float32  # [S, L] nan at a scored token is a failure of its window
    fires: Bool  # [S] the judgement
    probability: Float64  # [S] of firing anywhere in the window

    @property
    def feature(self) -> int:
        """The feature that it is about."""
        return self.published.feature

    @cached_property
    def bills(self) -> BillsTokens:
        """What the metrics of Bills et al. look at."""
        return self.published.bills.tokens(self.prediction)

    @cached_property
    def natural(self) -> NaturalWindows:
        """What FADE's metrics look at: the windows of delphi, firing ones by quantile and silent ones."""
        index, height = self.published.natural
        return NaturalWindows(self.fires[index], height)


def answer(windows: PublishedWindows, value: Float32, probability: Float32) -> Answered:
    """The embedded simulator and the embedded judge, where a lookup predicts these activations and probabilities of
    firing: [S, L], [S, L]."""
    return Answered(windows, value, *judged_by(probability))


def all_strata(feature: Candidates, maximum: float, density: float = np.nan) -> PublishedWindows:
    """The strata over all kept windows and the pool windows that can be chosen."""
    by_u = np.argsort(feature.pool_u, kind="stable")
    # from the far end of the reservoir, so that the strata that take from its near end keep theirs
    rows = np.argsort(-feature.u, kind="stable")
    spare = rows[feature.classes[rows] != TOP].tolist()
    holds = _holds(feature.kept, feature.top_tokens)
    random = list(uniform_windows(feature, by_u, spare, 10))
    used = np.array([i for fires, i in random if not fires], dtype=np.int64)
    used_kept = {i for fires, i in random if fires}
    spare = [i for i in spare if holds[i] and i not in used_kept]
    held = by_u[feature.has_top_token[by_u]]
    held = held[~np.isin(held, used)]
    out_of_context = list(uniform_windows(feature, held, spare, 20))
    calibration = calibration_windows(feature, by_u, random, out_of_context)

    quiet = by_u[feature.silent[by_u]][:50].tolist()
    from_pool = sorted({*quiet, *(i for fires, i in random + out_of_context + calibration if not fires)})
    n_kept = len(feature.kept)
    place = {i: n_kept + k for k, i in enumerate(from_pool)}

    def mask(members: Sequence[tuple[bool, int]]) -> Bool:
        marked = np.zeros(n_kept + len(place), dtype=np.bool_)
        marked[[i if fires else place[i] for fires, i in members]] = True
        return marked

    pool_rows = np.asarray(from_pool, dtype=np.int64)
    none = np.full(len(from_pool), -1, dtype=np.int64)
    firing = np.arange(n_kept)
    return PublishedWindows(
        feature=feature.feature,
        maximum=maximum,
        density=density,
        interval_share=interval_share(feature, maximum),
        windows=join_windows(feature.kept, take(feature.pool.windows, pool_rows)),
        truth=_truth(feature, firing, len(from_pool)),
        u=np.concatenate([feature.u, feature.pool_u[pool_rows]]),
        top=np.concatenate([feature.classes == TOP, none > 0]),
        silent=np.concatenate([np.zeros(n_kept, dtype=np.bool_), none < 0]),
        random_5=mask(random[:N_RANDOM]),
        calibration=mask(calibration),
        random_10=mask(random),
        out_of_context=mask(out_of_context),
        interval=np.concatenate([published.activation_interval(feature.maximum, maximum), none]),
        quantile=np.concatenate([quantiles(feature), none]),
    )


def _holds(windows: Windows, tokens: Int32) -> Bool:
    """Where any of the tokens stands at a scored place, [W]."""
    return np.asarray((np.isin(windows.tokens, tokens) & windows.scored).any(axis=1), dtype=np.bool_)


def _truth(feature: Candidates, kept: Int64, n_silent: int) -> Float32:
    silent = np.zeros((n_silent, feature.truth.shape[1]), dtype=np.float32)
    return np.concatenate([feature.truth[kept], silent]).astype(np.float32)


def take(windows: Windows, index: Int64) -> Windows:
    """Some of the windows, in the order given."""
    return Windows(**{name: getattr(windows, name)[index] for name in _COLUMNS})


_COLUMNS = tuple(item.name for item in fields(Windows))


def join_windows(first: Windows, second: Windows) -> Windows:
    """Two sets of windows of the same length, one after the other."""
    return Windows(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in _COLUMNS})
