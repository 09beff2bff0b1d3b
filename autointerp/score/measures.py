"""What the metrics of the registry compute, from a prediction to a `Measured`, shape by shape.

The arithmetic stands in `metrics.py`, `estimator.py` and `census.py`; here predictions become its arguments. Published
protocols have a file of their own, `published_measures.py`. In the census f1 is that of "the predicted probability is
above 1/2", and auprc ranks by the predicted probability in 33 bins; the thresholded ones, and those of the sample, go
by the predicted activation. None of them has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from autointerp.records import Bool, Float64, Int64
from autointerp.score import metrics, side_by_side
from autointerp.score.activation_bins import FIRST_ABOVE, N_BINS
from autointerp.score.alarms import pooled_charges
from autointerp.score.census import census_pearson_interval
from autointerp.score.census_sums import Counted
from autointerp.score.estimates import Estimates
from autointerp.score.estimator import pearson_framed, pearson_sample
from autointerp.score.metric import InTwoSteps, Measured, MeasuredColumns
from autointerp.score.predictions import N_TEXTS, Chosen, Generated, Judged, Picked, Rated, Simulated
from autointerp.score.sample_ranking import SampleTogether, WeightedTokens
from autointerp.score.sampled import Answered
from autointerp.score.side_by_side import FeatureRows, Tied

FIRST_FIRING_BIN = (N_BINS - 1) // 2 + 1
"""The first bin of predicted probabilities above 1/2."""


def _estimated(estimates: Estimates, n_failed: npt.ArrayLike) -> MeasuredColumns:
    return MeasuredColumns(
        estimates.value, estimates.status, estimates.n, n_failed, estimates.ci_low, estimates.ci_high
    )


# --- every token


class CountedTogether:
    """The census of n features side by side."""

    def __init__(self, of: Sequence[Counted]) -> None:
        self._of = of
        self.n_tokens = np.array([one.n_tokens for one in of], dtype=np.int64)

    @cached_property
    def moments(self) -> Float64:
        """[n, B, 6]"""
        return np.stack([one.moments for one in self._of]) if self._of else np.zeros((0, 1, 6))

    @cached_property
    def by_probability(self) -> tuple[Int64, Int64]:
        """Firing and silent tokens: [n, N_BINS], [n, N_BINS]."""
        return self._stacked("positives"), self._stacked("negatives")

    @cached_property
    def by_activation(self) -> tuple[Int64, Int64]:
        """Tokens above the threshold, and the others: likewise."""
        return self._stacked("above"), self._stacked("below")

    def _stacked(self, name: str) -> Int64:
        return np.array([getattr(one, name) for one in self._of], dtype=np.int64).reshape(len(self._of), N_BINS)


def _counted_pearson(of: CountedTogether) -> MeasuredColumns:
    return _estimated(census_pearson_interval(of.moments), 0)


def _counted_auprc(of: CountedTogether) -> MeasuredColumns:
    return _counted(of, metrics.auprc_of_counts(*of.by_probability))


def _counted_f1(of: CountedTogether) -> MeasuredColumns:
    return _counted(of, metrics.f1_of_counts(*of.by_probability, first_firing_bin=FIRST_FIRING_BIN))


def _counted_auprc_thresholded(of: CountedTogether) -> MeasuredColumns:
    return _counted(of, metrics.auprc_of_counts(*of.by_activation))


def _counted_f1_thresholded(of: CountedTogether) -> MeasuredColumns:
    return _counted(of, metrics.f1_of_counts(*of.by_activation, first_firing_bin=FIRST_ABOVE))


def _counted(of: CountedTogether, values: Float64) -> MeasuredColumns:
    return MeasuredColumns(values, np.where(np.isnan(values), "rare", "ok"), of.n_tokens)


counted_pearson = InTwoSteps(CountedTogether, _counted_pearson)
"""With the interval of document blocks."""
counted_auprc, counted_f1 = (InTwoSteps(CountedTogether, compute) for compute in (_counted_auprc, _counted_f1))
"""By bins of the predicted probability; of "more likely than not"."""
counted_auprc_thresholded, counted_f1_thresholded = (
    InTwoSteps(CountedTogether, compute) for compute in (_counted_auprc_thresholded, _counted_f1_thresholded)
)
"""By bins of the predicted activation, of tokens above the threshold; of "predicted above the threshold"."""


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
    def compute(tokens: WeightedTokens) -> Float64:
        return side_by_side.auprc(tokens.tied, tokens.above(thresholded), tokens.weight)

    return _ranked(of, compute)


def _f1(thresholded: bool, of: SampleTogether) -> Sequence[Measured]:
    def compute(tokens: WeightedTokens) -> Float64:
        above = tokens.above(thresholded)
        said = tokens.prediction > (tokens.threshold[tokens.rows.of] if thresholded else 0.0)
        counts = tokens.rows.sums_by(2 * said + above, 4, tokens.weight)
        return metrics.f1_of_counts(counts[:, 1::2], counts[:, ::2])

    return _ranked(of, compute)


def _ranked(of: SampleTogether, compute: Callable[[WeightedTokens], Float64]) -> MeasuredColumns:
    value = np.concatenate([np.zeros(0), *(compute(tokens) for tokens in of.tokens)])
    n, size = of.n_predicted
    status = np.where(n == 0, "failed", np.where(np.isnan(value), "rare", "ok"))
    return MeasuredColumns(np.where(n == 0, np.nan, value), status, n, size - n)


simulated_framed = InTwoSteps(SampleTogether, _framed)
"""The primary metric of the sample, of all features of one dictionary and explainer: their alarms are pooled."""
simulated_pearson = InTwoSteps(SampleTogether, _pearson)
"""With status `underpowered` where the windows are too few."""
simulated_auprc, simulated_auprc_thresholded = (InTwoSteps(SampleTogether, partial(_auprc, t)) for t in (False, True))
"""Ranked by the predicted activation, alarms of R pooled; of activations above 0, or above the threshold."""
simulated_f1, simulated_f1_thresholded = (InTwoSteps(SampleTogether, partial(_f1, t)) for t in (False, True))
"""Of "predicted above 0", or "above the threshold"."""


# --- tokens


class RatedTogether:
    """The tokens of n features, N in all, with their ratings."""

    def __init__(self, rated: Sequence[Rated]) -> None:
        none = np.zeros(0)
        self.rows = FeatureRows([len(one.items) for one in rated])
        self.rating: Float64 = np.concatenate([none, *(one.rating for one in rated)])
        self.promoted: Bool = np.concatenate([none.astype(np.bool_), *(one.items.promoted for one in rated)])
        self.n_failed = self.rows.counts(np.isnan(self.rating))


def _rated_accuracy(of: RatedTogether) -> MeasuredColumns:
    return _rated(of, forced_accuracy(of.rows, of.promoted, of.rating))


def _rated_auprc(of: RatedTogether) -> MeasuredColumns:
    return _rated(of, side_by_side.auprc(Tied(of.rows, of.rating), of.promoted))


rated_accuracy = InTwoSteps(RatedTogether, _rated_accuracy)
"""A forced ranking: a bias to say yes cannot matter."""
rated_auprc = InTwoSteps(RatedTogether, _rated_auprc)
"""By the ratings."""


def _rated(of: RatedTogether, value: Float64) -> MeasuredColumns:
    """`value` [n] is nan where nothing is promoted."""
    size, failed = of.rows.sizes, of.n_failed
    there = (size > 0) & (failed == 0)
    broken = np.where(size == 0, "no_items", "failed")
    status = np.where(there, np.where(np.isnan(value), "rare", "ok"), broken)
    return MeasuredColumns(np.where(there, value, np.nan), status, size - failed, failed)


def forced_accuracy(rows: FeatureRows, promoted: Bool, rating: Float64) -> Float64:
    """Share of right answers where the n_promoted highest ratings of a feature are the yes ones; ties count by their
    share. [N], [N] -> [n]; nan where nothing is promoted."""
    n_yes = rows.counts(promoted)
    fires = n_yes > 0
    falling = rating[np.lexsort((-rating, rows.of))]
    limit = np.zeros(len(rows))
    limit[fires] = falling[(rows.start + n_yes - 1)[fires]]
    above, tied = rating > limit[rows.of], rating == limit[rows.of]
    share = rows.counts(tied & promoted) / np.maximum(rows.counts(tied), 1)
    hits = rows.counts(above & promoted) + share * (n_yes - rows.counts(above))
    return np.where(fires, (rows.sizes - 2 * (n_yes - hits)) / np.maximum(rows.sizes, 1), np.nan)


# --- of any shape


def counted_of(of: Counted | Simulated | Judged | Rated | Chosen | Generated | Picked | Answered) -> tuple[int, int]:
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
        case Picked():
            return of.options.n_questions, int(np.isnan(of.probability).sum()) // N_TEXTS
        case Generated():
            n = int(of.answered.sum())
            return n, len(of) - n
        case Answered():
            return len(of.published), 0
