"""Answers about a few items, weighed back to the whole split: what a judge would be right about at the base rate.

A feature that fires in one window of 300 is asked about in a third of the items. A judge that says yes to every window
of some silent kind looks good there, and would be wrong in nine of ten windows it points to. So every item counts as
the windows of the split that it stands for (`Items.weight`), and judgements add up to a table of four weights: told,
missed, false alarms, rightly left alone.

Of the silent windows to which nothing points there are very many and few are asked about: one false alarm among the
three or four of a feature would stand for a quarter of the corpus, and none for none. How often a judge raises an alarm
there is therefore read off these windows of *all* features that are scored together, the same explainer's; each feature
is charged its own share. (A judge's habit is its own, not the feature's.) A feature whose own windows show that its
label is unlike the others there is charged by itself (`own_alarms.py`).

Where a judge did not answer about an item, the others of its stratum stand for it.

Letters in shapes: n features, N items of all of them, D distinct probabilities that are said of windows of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from autointerp.records import Bool, Float64, Int64
from autointerp.score import side_by_side
from autointerp.score.judged_together import JudgedTogether
from autointerp.score.own_alarms import charged_alone
from autointerp.score.predictions import REST, STRATA
from autointerp.score.side_by_side import FeatureRows, Tied, Values, parts_at_once

YES = 0.5
"""The least probability that is a yes."""


@dataclass(frozen=True)
class Weighed:
    """Items of n features with what each stands for, and the windows of the rest, which are of all of them together."""

    rows: FeatureRows
    right: Bool  # [N]
    probability: Float64  # [N]
    weight: Float64  # [N]
    alarm: Float64  # [D] what is said of windows of the rest, rising
    shares: Float64  # [1 + A, D] of them: of all features but those charged alone, then of each of these
    charged: Int64  # [n] row of `shares`
    n_rest: Float64  # [n] windows of the split that these stand for
    status: npt.NDArray[np.str_]  # [n] ok; no_weights, failed

    @cached_property
    def table(self) -> tuple[Float64, Float64, Float64, Float64]:
        """Weight of what is told, missed, a false alarm and rightly left alone: [n] each."""
        yes = self.probability >= YES
        left, alarms, missed, told = self.rows.sums_by(2 * self.right + yes, 4, self.weight).T
        at_rest = self.shares[:, self.alarm >= YES].sum(axis=1)[self.charged]
        return told, missed, alarms + self.n_rest * at_rest, left + self.n_rest * (1.0 - at_rest)


def weigh(of: JudgedTogether) -> Weighed:
    """Each feature's items with the rest of all of them. Status no_weights where nobody stands for the corpus; failed
    where a stratum has no answer at all."""
    rows, rest, weight = of.rows, of.of_stratum(REST), of.weight
    looked_at = rest & of.answered
    said, feature = of.probability[looked_at], rows.of[looked_at]
    alarm, which = np.unique(said, return_inverse=True)
    alone = charged_alone(rows.counts(looked_at & (of.probability >= YES)), rows.counts(looked_at))
    charged = np.where(alone, np.cumsum(alone), 0)
    counts = np.zeros((1 + int(alone.sum()), len(alarm)))
    np.add.at(counts, (charged[feature], which), 1.0)
    # in each stratum of each feature those that were answered stand for the others
    cell, n_cells = rows.of * len(STRATA) + of.stratum, len(rows) * len(STRATA)
    others = np.where(rest, 0.0, weight)
    total, answering = (np.bincount(cell, x, n_cells) for x in (others, others * of.answered))
    lost = (total > 0) & (answering == 0)
    grown = others * (total / np.where(answering > 0, answering, 1.0))[cell]
    n_rest = rows.sums(weight * rest)
    failed = lost.reshape(len(rows), len(STRATA)).any(axis=1) | ((n_rest > 0) & (len(said) == 0))
    used = of.answered & (grown > 0)
    return Weighed(
        rows.some(used),
        of.right[used],
        of.probability[used],
        grown[used],
        alarm,
        counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0),
        charged,
        n_rest,
        np.where(rows.sums(weight != 0) == 0, "no_weights", np.where(failed, "failed", "ok")),
    )


def matthews(of: Weighed) -> Values:
    """Correlation of yes and no with the truth over the windows of the split; 0 where all answers are the same."""
    told, missed, alarms, left = of.table
    both = (told + missed) * (alarms + left)
    spread = both * (told + alarms) * (missed + left)
    value = (told * left - missed * alarms) / np.sqrt(np.where(spread > 0, spread, 1.0))
    status = np.where(both == 0, "one_sided", np.where(spread > 0, "ok", "constant"))
    return np.where(both == 0, np.nan, np.where(spread > 0, value, 0.0)), status


def precision(of: Weighed) -> Values:
    """Of the windows that the judge points to, those that fire; none where it points to none."""
    told, _, alarms, _ = of.table
    return _share(told, told + alarms, "undefined")


def f1(of: Weighed) -> Values:
    """Harmonic mean of precision and recall; 0 where nothing is told."""
    told, missed, alarms, _ = of.table
    return _share(2 * told, 2 * told + missed + alarms, "one_sided")


def _share(part: Float64, whole: Float64, otherwise: str) -> Values:
    there = whole != 0
    return np.where(there, part / np.where(there, whole, 1.0), np.nan), np.where(there, "ok", otherwise)


def average_precision(of: Weighed) -> Values:
    """By the judge's probabilities."""
    made = [_average_precision(of, part) for part in parts_at_once(of.rows.sizes + len(of.alarm))]
    value = np.concatenate([np.zeros(0), *made])
    return value, np.where(np.isnan(value), "rare", "ok")


def _average_precision(of: Weighed, part: slice) -> Float64:
    """Of some features, the windows of the rest as D items of each."""
    sizes, n_rest, d = of.rows.sizes[part], of.n_rest[part], len(of.alarm)
    items = slice(int(of.rows.start[part][0]), int(of.rows.start[part][0] + sizes.sum()))
    row: Int64 = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.repeat(np.arange(len(sizes)), d)])
    order = np.argsort(row, kind="stable")
    right = np.concatenate([of.right[items], np.zeros(d * len(sizes), dtype=np.bool_)])[order]
    probability = np.concatenate([of.probability[items], np.tile(of.alarm, len(sizes))])[order]
    weight = np.concatenate([of.weight[items], (n_rest[:, None] * of.shares[of.charged[part]]).ravel()])[order]
    return side_by_side.auprc(Tied(FeatureRows(sizes + d), probability), right, weight)
