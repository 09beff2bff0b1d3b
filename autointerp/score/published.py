"""The published samples with their published metrics, on windows of the score split.

Each metric takes two steps, kept apart so that a pipeline can ask a model about the chosen windows only:
1. `choose_*`: from stored strata, the windows of smallest u in each stratum, no window twice, the strata in
   the order given;
2. the metric over the chosen windows: all tokens of all windows at once, not a mean over windows.

| here | source | sample | metric |
|---|---|---|---|
| `pearson_top_random` | Bills et al. 2023, `ev_correlation` | 5 top + 5 random | Pearson |
| `spearman_intervals` | Bricken et al. 2023 | 6 top, 2 each of 12 intervals, 10 random, 20 out of context | Spearman |
| `spearman_intervals_weighted` | Bricken et al. 2023 | the same | Spearman, weighted by importance |
| `balanced_accuracy` | delphi, detection | firing across quantiles + random silent | balanced accuracy |
| `accuracy_saebench` | SAEBench autointerp | 2 top + 2 importance-sampled + 10 random silent | accuracy |

A sample that lacks windows has the status `fewer`: the value stands, on fewer windows than the protocol asks for.
delphi itself takes fewer where there are fewer, and so does `balanced_accuracy`. Bills' other metrics: `bills.py`;
FADE's: `fade.py`.

Known discrepancies: windows have the split's length (32 tokens; Bricken shows nine, Bills 64 or more); the top
ones are chosen by u among the stored top windows, where Bills interleaves ranks; silent windows are measured,
where SAEBench assumes its random ones to be. These samples are unweighted, so their numbers are no estimates of
anything over the corpus: an over-broad label of a feature at density 1e-4 scores .65 too high on 5 + 5.

Letters in shapes: W windows, L tokens of a window, S chosen windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from autointerp.score import metrics
from autointerp.score.metrics import BoolArray, FloatArray, Value
from autointerp.score.sampling import IntArray

N_INTERVALS = 12
"""Equal-width steps of activation / maximum (Bricken et al.)."""
FEW_EXAMPLES = 20
"""Bricken et al. drop features with fewer examples than this; here their status is `underpowered`."""
SAEBENCH_FLOOR = 10 / 14
"""Accuracy of "nothing fires" on the 14 windows of SAEBench: never show the metric without it."""
SAEBENCH_THRESHOLD = 0.01
"""SAEBench counts an example as firing above this share of the feature's maximum."""

_TokenMetric = Callable[[FloatArray, FloatArray, FloatArray], Value]
_OfAllTokens = Callable[[FloatArray], Value]
_WindowMetric = Callable[[BoolArray, BoolArray], Value]


@dataclass(frozen=True)
class ChosenWindows:
    """The windows of a published sample."""

    index: IntArray
    """[S] positions in the arrays given, stratum after stratum."""
    stratum: npt.NDArray[np.str_]
    """[S] the stratum each was taken from."""
    missing: dict[str, int]
    """How many windows each short stratum lacks; empty where all are full."""


@dataclass(frozen=True)
class PublishedScore:
    """A published metric with what stands behind it."""

    value: float | None
    status: str
    """One of `autointerp.score.metrics.STATUSES`."""
    n: int
    """Windows scored."""
    n_failed: int
    """ChosenWindows windows without a prediction or an answer."""
    chosen: ChosenWindows


# --- choosing ---------------------------------------------------------------------------------------


def choose(strata: Mapping[str, tuple[npt.ArrayLike, int]], u: npt.ArrayLike) -> ChosenWindows:
    """From each stratum (members [W] boolean, how many) the windows of smallest u [W] that are not yet taken."""
    order = np.argsort(np.asarray(u, dtype=np.float64), kind="stable")
    taken = np.zeros(order.size, dtype=np.bool_)
    index: list[IntArray] = []
    names: list[str] = []
    missing = {}
    for name, (members, wanted) in strata.items():
        free = np.asarray(members, dtype=np.bool_) & ~taken
        picked = order[free[order]][:wanted]
        taken[picked] = True
        index.append(picked)
        names += [name] * picked.size
        if picked.size < wanted:
            missing[name] = wanted - picked.size
    return ChosenWindows(np.concatenate(index).astype(np.int64), np.asarray(names, dtype=np.str_), missing)


def choose_top_random(
    top: npt.ArrayLike, random: npt.ArrayLike, u: npt.ArrayLike, n_top: int = 5, n_random: int = 5
) -> ChosenWindows:
    """Bills et al.: `top` and `random` are boolean [W]; random windows may fire, and need not be silent."""
    return choose({"top": (top, n_top), "random": (random, n_random)}, u)


def choose_intervals(
    top: npt.ArrayLike, interval: npt.ArrayLike, random: npt.ArrayLike, out_of_context: npt.ArrayLike, u: npt.ArrayLike
) -> ChosenWindows:
    """Bricken et al., 60 windows: `interval` [W] is from `activation_interval`, the others are boolean [W].

    `out_of_context` marks windows that hold one of the feature's top tokens in another context.
    """
    of = np.asarray(interval)
    strata: dict[str, tuple[npt.ArrayLike, int]] = {"top": (top, 6)}
    strata |= {f"interval_{k}": (of == k, 2) for k in range(N_INTERVALS)}
    strata |= {"random": (random, 10), "out_of_context": (out_of_context, 20)}
    return choose(strata, u)


def choose_quantiles(
    quantile: npt.ArrayLike, silent: npt.ArrayLike, u: npt.ArrayLike, n_each: int = 5, n_silent: int = 50
) -> ChosenWindows:
    """delphi: `quantile` [W] numbers the quantile of each firing window (-1: not in one), `silent` is boolean [W].

    The defaults are its own: 50 firing examples of ten quantiles, 50 silent ones.
    """
    of = np.asarray(quantile)
    strata = {f"quantile_{k}": (of == k, n_each) for k in np.unique(of[of >= 0]).tolist()}
    return choose({**strata, "silent": (silent, n_silent)}, u)


def choose_saebench(
    maximum: npt.ArrayLike,
    energy: npt.ArrayLike,
    top: npt.ArrayLike,
    random: npt.ArrayLike,
    u: npt.ArrayLike,
    feature_maximum: float,
) -> ChosenWindows:
    """SAEBench, 14 windows: 2 top, 2 importance-sampled among the firing others, 10 random silent ones.

    `maximum` [W] is the largest activation of each window and `energy` [W] its sum of squared activations: their
    code draws tokens with chances proportional to the square, without those that the top ones hold. Here without
    a generator: the keys -log(u) / energy are exponential, and the smallest are such a draw (Efraimidis &
    Spirakis 2006).
    """
    height, weight = np.asarray(maximum, dtype=np.float64), np.asarray(energy, dtype=np.float64)
    hashes, best = np.asarray(u, dtype=np.float64), np.asarray(top, dtype=np.bool_)
    fires = height > SAEBENCH_THRESHOLD * feature_maximum
    key = -np.log1p(-hashes) / np.where(fires, weight, 1.0)
    parts = (
        choose({"top": (best & fires, 2)}, hashes),
        choose({"importance": (fires & ~best, 2)}, key),
        choose({"random": (np.asarray(random, dtype=np.bool_) & ~fires, 10)}, hashes),
    )
    return ChosenWindows(
        np.concatenate([part.index for part in parts]),
        np.concatenate([part.stratum for part in parts]),
        {name: lacking for part in parts for name, lacking in part.missing.items()},
    )


def activation_interval(maximum: npt.ArrayLike, feature_maximum: float, n: int = N_INTERVALS) -> IntArray:
    """The equal-width interval of activation / maximum each window [W] falls in: 0 to n - 1, -1 where silent."""
    height = np.asarray(maximum, dtype=np.float64)
    step = np.floor(height / (feature_maximum if feature_maximum > 0 else 1.0) * n).astype(np.int64)
    return np.where(height > 0, np.minimum(step, n - 1), -1)


# --- the metrics ------------------------------------------------------------------------------------


def pearson_top_random(
    truth: npt.ArrayLike,
    predictions: npt.ArrayLike,
    mask: npt.ArrayLike,
    top: npt.ArrayLike,
    random: npt.ArrayLike,
    u: npt.ArrayLike,
) -> PublishedScore:
    """Pearson over all tokens of 5 top and 5 random windows.

    `truth` and `predictions` [W, L], `mask` [W, L] True at scored tokens, `top` and `random` boolean [W], `u` [W].
    A prediction of nan at a scored token is a failure of its window.
    """
    return _Tokens(choose_top_random(top, random, u), truth, mask).score(predictions, metrics.pearson_value)


def spearman_intervals(
    truth: npt.ArrayLike,
    predictions: npt.ArrayLike,
    mask: npt.ArrayLike,
    top: npt.ArrayLike,
    interval: npt.ArrayLike,
    random: npt.ArrayLike,
    out_of_context: npt.ArrayLike,
    u: npt.ArrayLike,
    weights: Mapping[str, float] | None = None,
) -> PublishedScore:
    """Spearman over all tokens of the 60 windows of Bricken et al.; a constant prediction scores 0.

    Arrays as for `pearson_top_random` and `choose_intervals`; `weights` by stratum (`interval_weights`) gives the
    importance-weighted variant: weights count as repetitions, in the ranks and in the correlation. Fewer than 20
    windows that fire: status `underpowered`; fewer than 60 windows: `fewer`.
    """
    chosen = choose_intervals(top, interval, random, out_of_context, u)
    return IntervalSample(chosen, truth, mask, weights).score(predictions)


class IntervalSample:
    """The 60 windows of Bricken et al.: their truth is ranked once for any number of predictions."""

    def __init__(
        self,
        chosen: ChosenWindows,
        truth: npt.ArrayLike,
        mask: npt.ArrayLike,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """`truth` and `mask` [W, L]; `weights` by stratum."""
        self.chosen, self._tokens = chosen, _Tokens(chosen, truth, mask, weights)
        fires = (np.where(self._tokens.scored, self._tokens.truth, 0.0) > 0).any(axis=1)
        self.is_weak = int(fires.sum()) < FEW_EXAMPLES

    def score(self, predictions: npt.ArrayLike) -> PublishedScore:
        """Of predictions [W, L]."""
        score = self._tokens.score(predictions, metrics.spearman, self.ranked.spearman)
        if score.status in ("ok", "fewer") and self.is_weak:
            return replace(score, status="underpowered")
        return score

    @cached_property
    def ranked(self) -> metrics.RankedTruth:
        """The truth of all windows."""
        return metrics.RankedTruth(self._tokens.truth, self._tokens.weight)

    @cached_property
    def places(self) -> IntArray:
        """Where the tokens that count stand in [W, L], one after the other."""
        length = self._tokens.truth.shape[1]
        return np.asarray((self.chosen.index[:, None] * length + np.arange(length)).ravel()[self.ranked.counted])


def interval_weights(density: float, interval_probability: npt.ArrayLike) -> dict[str, float]:
    """Importance weights by stratum (Bricken et al.): 1 for random windows, density x probability of the interval.

    `density` is the feature's share of firing tokens, `interval_probability` [12] the share of its firings in each
    interval. Top and out-of-context windows inherit the highest interval's weight.
    """
    probability = np.asarray(interval_probability, dtype=np.float64)
    weights = {f"interval_{k}": density * float(probability[k]) for k in range(N_INTERVALS)}
    highest = weights[f"interval_{N_INTERVALS - 1}"]
    return {**weights, "random": 1.0, "top": highest, "out_of_context": highest}


def balanced_accuracy(
    truth: npt.ArrayLike,
    fires: npt.ArrayLike,
    mask: npt.ArrayLike,
    quantile: npt.ArrayLike,
    silent: npt.ArrayLike,
    u: npt.ArrayLike,
    answered: npt.ArrayLike | None = None,
    n_each: int = 5,
    n_silent: int = 50,
) -> PublishedScore:
    """delphi's detection: does the judge say of each window whether the feature fires in it?

    `truth` [W, L], `fires` the judge's answers [W], `answered` [W] False where there is none, the rest as for
    `choose_quantiles`. A window marked silent that fires is left out: silence is measured.
    """
    return QuantileSample(truth, mask, quantile, silent, u, n_each, n_silent).score(fires, answered)


class QuantileSample:
    """The windows of delphi's detection, chosen once for any number of judges. Arguments as for `balanced_accuracy`."""

    def __init__(
        self,
        truth: npt.ArrayLike,
        mask: npt.ArrayLike,
        quantile: npt.ArrayLike,
        silent: npt.ArrayLike,
        u: npt.ArrayLike,
        n_each: int = 5,
        n_silent: int = 50,
    ) -> None:
        self.actual = _fires(truth, mask)
        quiet = np.asarray(silent, dtype=np.bool_) & ~self.actual
        self.chosen = choose_quantiles(np.where(self.actual, quantile, -1), quiet, u, n_each, n_silent)

    def score(self, fires: npt.ArrayLike, answered: npt.ArrayLike | None = None) -> PublishedScore:
        """Of answers [W]."""
        return _over_windows(metrics.balanced_accuracy, self.actual, fires, answered, self.chosen)


def accuracy_saebench(
    truth: npt.ArrayLike,
    fires: npt.ArrayLike,
    mask: npt.ArrayLike,
    top: npt.ArrayLike,
    random: npt.ArrayLike,
    u: npt.ArrayLike,
    feature_maximum: float,
    answered: npt.ArrayLike | None = None,
) -> PublishedScore:
    """SAEBench's accuracy over its 14 windows; show it with SAEBENCH_FLOOR, what "nothing fires" scores.

    Arrays as for `balanced_accuracy` and `choose_saebench`. A window fires above 1 % of `feature_maximum`.
    """
    return SaebenchSample(truth, mask, top, random, u, feature_maximum).score(fires, answered)


class SaebenchSample:
    """The 14 windows of SAEBench, chosen once for any number of judges. Arguments as for `accuracy_saebench`."""

    def __init__(
        self,
        truth: npt.ArrayLike,
        mask: npt.ArrayLike,
        top: npt.ArrayLike,
        random: npt.ArrayLike,
        u: npt.ArrayLike,
        feature_maximum: float,
    ) -> None:
        scored = np.where(np.asarray(mask, dtype=np.bool_), np.asarray(truth, dtype=np.float64), 0.0)
        height = scored.max(axis=1)
        self.chosen = choose_saebench(height, (scored**2).sum(axis=1), top, random, u, feature_maximum)
        self.actual = height > SAEBENCH_THRESHOLD * feature_maximum

    def score(self, fires: npt.ArrayLike, answered: npt.ArrayLike | None = None) -> PublishedScore:
        """Of answers [W]."""
        if not self.actual[self.chosen.index].any():
            return PublishedScore(None, "rare", 0, 0, self.chosen)
        return _said_if_fewer(_over_windows(metrics.accuracy, self.actual, fires, answered, self.chosen))


def _said_if_fewer(score: PublishedScore) -> PublishedScore:
    """A value from a sample that lacks windows says so."""
    return replace(score, status="fewer") if score.status == "ok" and score.chosen.missing else score


def _fires(truth: npt.ArrayLike, mask: npt.ArrayLike) -> BoolArray:
    scored = np.asarray(mask, dtype=np.bool_)
    return np.asarray((np.where(scored, np.asarray(truth, dtype=np.float64), 0.0) > 0).any(axis=1), dtype=np.bool_)


class _Tokens:
    """The tokens of the chosen windows."""

    def __init__(
        self,
        chosen: ChosenWindows,
        truth: npt.ArrayLike,
        mask: npt.ArrayLike,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.chosen = chosen
        self.truth: FloatArray = np.asarray(truth)[chosen.index].astype(np.float64)
        self.scored: BoolArray = np.asarray(mask, dtype=np.bool_)[chosen.index]
        self.weight: FloatArray = self.scored.astype(np.float64)
        if weights is not None:
            self.weight *= np.asarray([weights[str(name)] for name in chosen.stratum])[:, None]

    def score(
        self, predictions: npt.ArrayLike, metric: _TokenMetric, of_all: _OfAllTokens | None = None
    ) -> PublishedScore:
        """Over the scored tokens of the windows that have all their predictions; `of_all`: the metric of these alone,
        where all have."""
        p = np.asarray(predictions)[self.chosen.index].astype(np.float64)
        usable = ~(self.scored & np.isnan(p)).any(axis=1)
        n = int(usable.sum())
        n_failed = self.chosen.index.size - n
        if n == 0:
            return PublishedScore(None, "failed" if n_failed else "rare", 0, n_failed, self.chosen)
        if n_failed == 0 and of_all is not None:
            result = of_all(p.ravel())
        else:
            result = metric(self.truth[usable].ravel(), p[usable].ravel(), self.weight[usable].ravel())
        return _said_if_fewer(PublishedScore(result.value, result.status, n, n_failed, self.chosen))


def _over_windows(
    metric: _WindowMetric,
    actual: BoolArray,
    fires: npt.ArrayLike,
    answered: npt.ArrayLike | None,
    chosen: ChosenWindows,
) -> PublishedScore:
    """The metric over the chosen windows that have an answer."""
    usable = np.ones(actual.size, dtype=np.bool_) if answered is None else np.asarray(answered, dtype=np.bool_)
    rows = chosen.index[usable[chosen.index]]
    n_failed = chosen.index.size - rows.size
    if rows.size == 0 and n_failed == 0:
        return PublishedScore(None, "rare", 0, 0, chosen)
    result = metric(actual[rows], np.asarray(fires, dtype=np.bool_)[rows])
    return PublishedScore(result.value, result.status, rows.size, n_failed, chosen)
