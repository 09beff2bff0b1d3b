"""What the metrics of the registry compute, from a prediction to a `Measured`, shape by shape.

The arithmetic stands in `metrics.py`, `estimator.py` and `census.py`; here predictions become its arguments. Published
protocols have a file of their own, `published_measures.py`. In the census f1 is that of "the predicted probability is
above 1/2", and auprc ranks by the predicted probability in 33 bins; the thresholded ones, and those of the sample, go
by the predicted activation. None of them has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from autointerp.score import metrics
from autointerp.score.activation_bins import FIRST_ABOVE, N_BINS
from autointerp.score.alarms import pooled_charges
from autointerp.score.census import census_pearson_interval
from autointerp.score.census_sums import Counted
from autointerp.score.estimates import Estimates
from autointerp.score.estimator import pearson_framed, pearson_sample
from autointerp.score.metric import InTwoSteps, Measured, MeasuredColumns, measured
from autointerp.score.metrics import Value
from autointerp.score.predictions import LEAST_ITEMS, Chosen, Generated, Judged, Rated, Simulated
from autointerp.score.sample_ranking import SampleTogether, WeightedTokens
from autointerp.score.sampled import Answered

FIRST_FIRING_BIN = (N_BINS - 1) // 2 + 1
"""The first bin of predicted probabilities above 1/2."""


def _estimated(estimates: Estimates, n_failed: npt.ArrayLike) -> MeasuredColumns:
    return MeasuredColumns(
        estimates.value, estimates.status, estimates.n, n_failed, estimates.ci_low, estimates.ci_high
    )


# --- every token


def counted_pearson(of: Sequence[Counted]) -> Sequence[Measured]:
    """With the interval of document blocks."""
    if not of:
        return []
    return _estimated(census_pearson_interval(np.stack([one.moments for one in of])), 0)


def counted_auprc(of: Sequence[Counted]) -> Sequence[Measured]:
    """By bins of the predicted probability."""
    return _counted(of, metrics.auprc_of_counts)


def counted_f1(of: Sequence[Counted]) -> Sequence[Measured]:
    """Of "more likely than not"."""
    return _counted(of, partial(metrics.f1_of_counts, first_firing_bin=FIRST_FIRING_BIN))


def counted_auprc_thresholded(of: Sequence[Counted]) -> Sequence[Measured]:
    """By bins of the predicted activation, of tokens above the threshold."""
    return _counted(of, metrics.auprc_of_counts, ("above", "below"))


def counted_f1_thresholded(of: Sequence[Counted]) -> Sequence[Measured]:
    """Of "predicted above the threshold"."""
    return _counted(of, partial(metrics.f1_of_counts, first_firing_bin=FIRST_ABOVE), ("above", "below"))


def _counted(
    of: Sequence[Counted],
    compute: Callable[..., npt.NDArray[np.float64]],
    counts: tuple[str, str] = ("positives", "negatives"),
) -> Sequence[Measured]:
    if not of:
        return []
    values = compute(*(np.stack([getattr(one, name) for one in of]) for name in counts))
    return MeasuredColumns(values, np.where(np.isnan(values), "rare", "ok"), [one.n_tokens for one in of])


# --- sampled windows


def _framed(of: SampleTogether) -> Sequence[Measured]:
    sample = of.moments
    charge = pooled_charges(sample.moments, sample.classes, sample.sizes).value
    made = pearson_framed(sample.moments, sample.classes, sample.sizes, sample.available, charge=charge)
    return _estimated(made, sample.n_failed)


def _pearson(of: SampleTogether) -> Sequence[Measured]:
    sample = of.moments
    return _estimated(pearson_sample(sample.moments, sample.classes, sample.sizes, sample.available), sample.n_failed)


def _auprc(thresholded: bool, of: SampleTogether) -> Sequence[Measured]:
    return _ranked(of, lambda tokens, above: tokens.ranked.auprc(above), thresholded)


def _f1(thresholded: bool, of: SampleTogether) -> Sequence[Measured]:
    def compute(tokens: WeightedTokens, above: npt.ArrayLike) -> Value:
        return metrics.f1(above, tokens.prediction, tokens.weight, tokens.threshold if thresholded else 0.0)

    return _ranked(of, compute, thresholded)


def _ranked(
    of: SampleTogether, compute: Callable[[WeightedTokens, npt.ArrayLike], Value], thresholded: bool
) -> list[Measured]:
    made = []
    for simulated, tokens in zip(of.simulated, of.tokens, strict=True):
        n = int(simulated.predicted.sum())
        value = compute(tokens, tokens.truth > (tokens.threshold if thresholded else 0.0))
        made.append(measured(value if n else Value(None, "failed"), n, len(simulated.predicted) - n))
    return made


simulated_framed = InTwoSteps(SampleTogether, _framed)
"""The primary metric of the sample, of all features of one dictionary and explainer: their alarms are pooled."""
simulated_pearson = InTwoSteps(SampleTogether, _pearson)
"""With status `underpowered` where the windows are too few."""
simulated_auprc, simulated_auprc_thresholded = (InTwoSteps(SampleTogether, partial(_auprc, t)) for t in (False, True))
"""Ranked by the predicted activation, alarms of R pooled; of activations above 0, or above the threshold."""
simulated_f1, simulated_f1_thresholded = (InTwoSteps(SampleTogether, partial(_f1, t)) for t in (False, True))
"""Of "predicted above 0", or "above the threshold"."""


# --- items


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


# --- of any shape


def counted_of(of: Counted | Simulated | Judged | Rated | Chosen | Generated | Answered) -> tuple[int, int]:
    """How much a metric of the user's own has to stand on: tokens, windows or items; and how many of them failed."""
    match of:
        case Counted():
            return of.n_tokens, 0
        case Simulated():
            n = int(of.predicted.sum())
            return n, len(of.predicted) - n
        case Judged():
            n = int(of.answered.sum())
            return n, len(of.items) - n
        case Rated():
            failed = int(np.isnan(of.rating).sum())
            return len(of.items) - failed, failed
        case Chosen():
            n = int(of.answered.sum())
            return n, len(of.choices) - n
        case Generated():
            n = int(of.answered.sum())
            return n, len(of) - n
        case Answered():
            return len(of.published), 0
