"""Answers about a few items, weighed back to the whole split: what a judge would be right about at the base rate.

A feature that fires in one window of 300 is asked about in a third of the items. A judge that says yes to every window
of some silent kind looks good there, and would be wrong in nine of ten windows it points to. So every item counts as
the windows of the split that it stands for (`Items.weight`), and judgements add up to a table of four weights: told,
missed, false alarms, rightly left alone.

Of the silent windows to which nothing points there are very many and few are asked about: one false alarm among the
three or four of a feature would stand for a quarter of the corpus, and none for none. How often a judge raises an alarm
there is therefore read off these windows of *all* features that are scored together, the same explainer's; each feature
is charged its own share. (A judge's habit is its own, not the feature's.)

Where a judge did not answer about an item, the others of its stratum stand for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp.records import Bool, Float64
from autointerp.score.metrics import Value, auprc
from autointerp.score.predictions import REST, Judged

YES = 0.5
"""The least probability that is a yes."""


@dataclass(frozen=True)
class Weighed:
    """Items of one feature with what each stands for; those of the rest are of all features together."""

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


def weigh(of: Sequence[Judged]) -> list[Weighed]:
    """Each feature's items with the rest of all of them. Status no_weights where nobody stands for the corpus; failed
    where a stratum has no answer at all."""
    of_rest = [one.items.of_stratum.get(REST, np.zeros(len(one.items), dtype=np.bool_)) for one in of]
    shared = [one.probability[rest & one.answered] for one, rest in zip(of, of_rest, strict=True)]
    alarms = np.concatenate([np.zeros(0), *shared])
    silent = np.zeros(len(alarms), dtype=np.bool_)
    return [_weigh(one, rest, alarms, silent) for one, rest in zip(of, of_rest, strict=True)]


def _weigh(of: Judged, rest: Bool, alarms: Float64, silent: Bool) -> Weighed:
    """`silent` [alarms]: that they are wrong items."""
    weight, answered = of.items.weights, of.answered
    nothing = (answered[:0], weight[:0], weight[:0])
    if not weight.any():
        return Weighed(*nothing, "no_weights")
    n_rest = float(weight[rest].sum())
    if not answered.all():
        weight = weight.copy()
        for stratum in of.items.of_stratum.values():
            own = stratum & ~rest
            total, answering = float(weight[own].sum()), float(weight[own & answered].sum())
            if total > 0 and answering == 0:
                return Weighed(*nothing, "failed")
            weight[own] *= total / answering if answering else 0.0
    if n_rest > 0 and not len(alarms):
        return Weighed(*nothing, "failed")
    own = answered & ~rest & (weight > 0)
    return Weighed(
        np.concatenate([of.items.right[own], silent]),
        np.concatenate([of.probability[own], alarms]),
        np.concatenate([weight[own], np.full(len(alarms), n_rest / max(len(alarms), 1))]),
    )


def matthews(of: Weighed) -> Value:
    """Correlation of yes and no with the truth over the windows of the split; 0 where all answers are the same."""
    told, missed, alarms, left = of.table
    spread = (told + missed) * (alarms + left) * (told + alarms) * (missed + left)
    if (told + missed) * (alarms + left) == 0:
        return Value(None, "one_sided")
    return Value(float((told * left - missed * alarms) / np.sqrt(spread)), "ok") if spread else Value(0.0, "constant")


def precision(of: Weighed) -> Value:
    """Of the windows that the judge points to, those that fire; none where it points to none."""
    told, _, alarms, _ = of.table
    return Value(told / (told + alarms), "ok") if told + alarms else Value(None, "undefined")


def f1(of: Weighed) -> Value:
    """Harmonic mean of precision and recall; 0 where nothing is told."""
    told, missed, alarms, _ = of.table
    whole = 2 * told + missed + alarms
    return Value(2 * told / whole, "ok") if whole else Value(None, "one_sided")


def average_precision(of: Weighed) -> Value:
    """By the judge's probabilities."""
    return auprc(of.right, of.probability, of.weight)
