"""What the metrics of the registry measure, one feature after another: the twins of those that measure many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import isnan

import numpy as np
import numpy.typing as npt
from slow_alarms import slow_alone

from autointerp.records import Bool, Float64
from autointerp.score import fade, metrics, published
from autointerp.score.base_rate import YES
from autointerp.score.bills import N_RANDOM, N_TOP, BillsTokens, CalibrationName
from autointerp.score.fade import NaturalWindows
from autointerp.score.metric import Measured, measured
from autointerp.score.metrics import FloatArray, Value, auprc
from autointerp.score.predictions import LEAST_ITEMS, REST, Judged, Rated
from autointerp.score.published_measures import NO_CALIBRATION, NO_DENSITY, OfJudge
from autointerp.score.sampled import Answered

# --- items weighed back to the split


@dataclass(frozen=True)
class SlowWeighed:
    """Items of one feature with what each stands for; those of the rest are of all that are charged together."""

    right: Bool  # [n]
    probability: Float64  # [n]
    weight: Float64  # [n]
    status: str = "ok"

    @cached_property
    def table(self) -> tuple[float, float, float, float]:
        """Weight of what is told, missed, a false alarm and rightly left alone."""
        yes = self.probability >= YES
        cells = (self.right & yes, self.right & ~yes, ~self.right & yes, ~self.right & ~yes)
        told, missed, alarms, left = (float(self.weight[cell].sum()) for cell in cells)
        return told, missed, alarms, left


def slow_weigh(of: Sequence[Judged]) -> list[SlowWeighed]:
    """Each feature's items with the rest of all of them. Status no_weights where nobody stands for the corpus; failed
    where a stratum has no answer at all."""
    of_rest = [one.items.of_stratum.get(REST, np.zeros(len(one.items), dtype=np.bool_)) for one in of]
    seen = [one.probability[rest & one.answered] for one, rest in zip(of, of_rest, strict=True)]
    alone = slow_alone([(int((said >= YES).sum()), len(said)) for said in seen])
    shared = np.concatenate([np.zeros(0), *(said for said, own in zip(seen, alone, strict=True) if not own)])
    return [
        _weigh(one, rest, said if own else shared)
        for one, rest, said, own in zip(of, of_rest, seen, alone, strict=True)
    ]


def _weigh(of: Judged, rest: Bool, alarms: Float64) -> SlowWeighed:
    """`alarms`: what is said of windows of the rest, which are wrong items."""
    silent = np.zeros(len(alarms), dtype=np.bool_)
    weight, answered = of.items.weights, of.answered
    nothing = (answered[:0], weight[:0], weight[:0])
    if not weight.any():
        return SlowWeighed(*nothing, "no_weights")
    n_rest = float(weight[rest].sum())
    if not answered.all():
        weight = weight.copy()
        for stratum in of.items.of_stratum.values():
            own = stratum & ~rest
            total, answering = float(weight[own].sum()), float(weight[own & answered].sum())
            if total > 0 and answering == 0:
                return SlowWeighed(*nothing, "failed")
            weight[own] *= total / answering if answering else 0.0
    if n_rest > 0 and not len(alarms):
        return SlowWeighed(*nothing, "failed")
    own = answered & ~rest & (weight > 0)
    return SlowWeighed(
        np.concatenate([of.items.right[own], silent]),
        np.concatenate([of.probability[own], alarms]),
        np.concatenate([weight[own], np.full(len(alarms), n_rest / max(len(alarms), 1))]),
    )


def matthews(of: SlowWeighed) -> Value:
    """Correlation of yes and no with the truth over the windows of the split; 0 where all answers are the same."""
    told, missed, alarms, left = of.table
    spread = (told + missed) * (alarms + left) * (told + alarms) * (missed + left)
    if (told + missed) * (alarms + left) == 0:
        return Value(None, "one_sided")
    return Value(float((told * left - missed * alarms) / np.sqrt(spread)), "ok") if spread else Value(0.0, "constant")


def precision_weighted(of: SlowWeighed) -> Value:
    """Of the windows that the judge points to, those that fire; none where it points to none."""
    told, _, alarms, _ = of.table
    return Value(told / (told + alarms), "ok") if told + alarms else Value(None, "undefined")


def f1_weighted(of: SlowWeighed) -> Value:
    """Harmonic mean of precision and recall; 0 where nothing is told."""
    told, missed, alarms, _ = of.table
    whole = 2 * told + missed + alarms
    return Value(2 * told / whole, "ok") if whole else Value(None, "one_sided")


def average_precision(of: SlowWeighed) -> Value:
    """By the judge's probabilities."""
    return auprc(of.right, of.probability, of.weight)


def _measured(of: Judged, items: SlowWeighed, compute: Callable[[SlowWeighed], Value]) -> Measured:
    n = int(of.answered.sum())
    if len(of.items) == 0:
        value = Value(None, "no_items")
    elif items.status != "ok":
        value = Value(None, "failed" if n == 0 else items.status)
    else:
        value = compute(items)
    return measured(value, n, len(of.items) - n)


def recall(stratum: str, of: Judged) -> Measured:
    """Share of the right items of a stratum that the judge tells; no_items where it has none."""
    own = of.items.of_stratum.get(stratum, np.zeros(len(of.items), dtype=np.bool_))
    answered = own & of.answered
    n = int(answered.sum())
    if n:
        value = Value(float((of.probability[answered] >= YES).mean()), "ok")
    else:
        value = Value(None, "failed" if own.any() else "no_items")
    return measured(value, n, int(own.sum()) - n)


# --- matched items


def judged_accuracy(of: Judged) -> Measured:
    """Of "probability at least 1/2"."""
    counted = of.answered & of.items.matched
    return _judged(of, lambda: metrics.balanced_accuracy(of.items.right[counted], of.probability[counted] >= 0.5))


def judged_auroc(of: Judged) -> Measured:
    """By the judge's probabilities."""
    counted = of.answered & of.items.matched
    return _judged(of, lambda: metrics.auroc(of.items.right[counted], of.probability[counted]))


def _judged(of: Judged, compute: Callable[[], Value]) -> Measured:
    """Of the matched items: those that only stand for others count in `weighted.py`."""
    matched = of.items.matched
    n = int((of.answered & matched).sum())
    if int(matched.sum()) < LEAST_ITEMS:
        value = Value(None, "no_items")
    elif n == 0:
        value = Value(None, "failed")
    else:
        value = compute()
    return measured(value, n, int(matched.sum()) - n)


# --- tokens


def rated_accuracy(of: Rated) -> Measured:
    """A forced ranking: a bias to say yes cannot matter."""
    return _rated(of, forced_accuracy)


def rated_auprc(of: Rated) -> Measured:
    """By the ratings."""
    return _rated(of, metrics.auprc)


def _rated(of: Rated, compute: Callable[[npt.ArrayLike, npt.ArrayLike], Value]) -> Measured:
    n, failed = len(of.items), int(np.isnan(of.rating).sum())
    if n == 0:
        value = Value(None, "no_items")
    elif failed:
        value = Value(None, "failed")
    else:
        value = compute(of.items.promoted, of.rating)
    return measured(value, n - failed, failed)


def forced_accuracy(promoted: npt.ArrayLike, rating: npt.ArrayLike) -> Value:
    """Share of right answers where the n_promoted highest ratings are the yes ones; ties count by their share."""
    truth, value = np.asarray(promoted, dtype=np.bool_), np.asarray(rating, dtype=np.float64)
    n_yes = int(truth.sum())
    if len(truth) == 0:
        return Value(None, "failed")
    if n_yes == 0:
        return Value(None, "rare")
    limit = np.sort(value)[::-1][n_yes - 1]
    above, tied = value > limit, value == limit
    hits = float(truth[above].sum()) + float(truth[tied].mean()) * (n_yes - int(above.sum()))
    return Value((len(truth) - 2 * (n_yes - hits)) / len(truth), "ok")


# --- published protocols

_Compute = Callable[[BillsTokens, CalibrationName], Value]


def of_sums(compute: Callable[[FloatArray], Value], tokens: BillsTokens, how: CalibrationName) -> Value:
    """A measure that is made of the six sums."""
    return compute(tokens.sums(how))


def of_tokens(compute: Callable[[FloatArray, FloatArray], Value], tokens: BillsTokens, how: CalibrationName) -> Value:
    """A measure of truth and prediction, token by token."""
    return compute(tokens.truth, tokens.predicted[how])


def _bills_of(compute: _Compute, calibration: CalibrationName, of: Answered | OfJudge) -> Measured:
    tokens = of.bills
    if tokens is None or tokens.n == 0:
        n_failed = 0 if tokens is None else tokens.n_failed
        return Measured(None, "failed" if n_failed else "no_items", 0, n_failed)
    if calibration not in tokens.predicted:
        return Measured(None, NO_CALIBRATION, tokens.n, tokens.n_failed)
    value = compute(tokens, calibration)
    short = tokens.n_missing > 0 or (calibration != "none" and tokens.fitted.size < N_TOP + N_RANDOM)
    status = "fewer" if short and value.status == "ok" else value.status
    return Measured(value.value, status, tokens.n, tokens.n_failed)


def bills_of(compute: _Compute, calibration: CalibrationName = "none") -> Callable[[Answered | OfJudge], Measured]:
    """The measure over all tokens of the ten windows, with or without a calibration."""
    return partial(_bills_of, compute, calibration)


# --- Bricken et al., delphi, SAEBench


def intervals(of: Answered) -> Measured:
    """Bricken et al."""
    return _published(of.published.intervals.score(of.prediction))


def intervals_weighted(of: Answered) -> Measured:
    """Bricken et al., by importance."""
    if isnan(of.published.density):
        return Measured(None, NO_DENSITY, 0)
    return _published(of.published.intervals_weighted.score(of.prediction))


def delphi_accuracy(of: Answered) -> Measured:
    """delphi."""
    return _published(of.published.quantiles.score(of.fires))


def saebench_accuracy(of: Answered) -> Measured:
    """SAEBench."""
    return _published(of.published.saebench.score(of.fires))


def _published(score: published.PublishedScore) -> Measured:
    return Measured(score.value, score.status, score.n, score.n_failed)


# --- FADE


def responsiveness(of: Answered | OfJudge) -> Measured:
    """The sign is kept."""
    return _natural(fade.responsiveness, of)


def purity(of: Answered | OfJudge) -> Measured:
    """Average precision."""
    return _natural(fade.purity, of)


def _natural(compute: Callable[[NaturalWindows], Value], of: Answered | OfJudge) -> Measured:
    windows = of.natural
    if windows is None or windows.concept.size == 0:
        n_failed = 0 if windows is None else windows.n_failed
        return Measured(None, "failed" if n_failed else "no_items", 0, n_failed)
    value = compute(windows) if windows.activation.any() else Value(None, "rare")
    return measured(value, windows.concept.size, windows.n_failed)


# --- by the names of the registry

_PEARSON = partial(of_sums, metrics.pearson_of_sums)
_RSQUARED, _R2 = partial(of_sums, metrics.rsquared_of_sums), partial(of_sums, metrics.r2_mean_baseline_of_sums)
_DEVIATION = partial(of_tokens, metrics.absolute_dev_explained)
_CALIBRATED: dict[str, CalibrationName] = {"": "none", "_linear": "linear", "_percentile": "percentile"}

TWINS: dict[str, Callable[..., Measured]] = {
    "balanced_accuracy_matched": judged_accuracy,
    "auroc_matched": judged_auroc,
    **{f"recall_{stratum}": partial(recall, stratum) for stratum in ("strong", "middle", "weak")},
    "logit_accuracy_direct": rated_accuracy,
    "logit_auprc_direct": rated_auprc,
    "spearman_intervals": intervals,
    "spearman_intervals_weighted": intervals_weighted,
    "balanced_accuracy": delphi_accuracy,
    "accuracy_saebench": saebench_accuracy,
    "responsiveness": responsiveness,
    "purity": purity,
    **{
        f"{name}{suffix}": bills_of(compute, how)
        for name, compute in (
            ("pearson_top_random", _PEARSON),
            ("rsquared", _RSQUARED),
            ("r2_mean_baseline", _R2),
            ("absolute_dev_explained", _DEVIATION),
        )
        for suffix, how in _CALIBRATED.items()
    },
}
"""Of one feature, by the name of the metric."""

WEIGHED_TWINS: dict[str, Callable[[SlowWeighed], Value]] = {
    "mcc_weighted": matthews,
    "f1_weighted": f1_weighted,
    "auprc_weighted": average_precision,
    "precision_weighted": precision_weighted,
}


def slow_weighed(name: str, of: Sequence[Judged]) -> list[Measured]:
    """Of all features that are weighed together."""
    return [_measured(judged, items, WEIGHED_TWINS[name]) for judged, items in zip(of, slow_weigh(of), strict=True)]
