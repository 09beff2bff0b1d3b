"""What scorers see of other planted features, and of other tokens, beside each: made as a run makes it.

distractors   tokens that are hard to tell from those that it promotes, or suppresses: given
              (`pipeline/selftest_tokens.py`)
neighbours    the other features, those that fire about as often first
panel         firing windows of some features, the same for all
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np

from autointerp.score.sampled import join_windows, take
from autointerp.score.scorers.items import uniform_rows
from autointerp.score.scorers.protocol import Distractors, EffectTruth, OtherFeature, Panel, TestFeature
from autointerp.score.selftest.planted import EffectSide, PlantedFeature

MakeDistractors = Callable[[Sequence[PlantedFeature], EffectSide], Sequence[tuple[Distractors, ...]]]
"""Of each feature the tokens that are hard to tell from those that it promotes or suppresses, by kind."""
N_PANEL, WINDOWS_EACH = 24, 24
"""Features of the panel at most, and firing windows of each."""


def with_others(
    features: Sequence[PlantedFeature], tests: Sequence[TestFeature], distractors: MakeDistractors
) -> list[TestFeature]:
    """`tests` of some planted features, each with the others and with distractors."""
    if not features:
        return []
    hard_promoted, hard_suppressed = distractors(features, "promoted"), distractors(features, "suppressed")
    fires = [np.flatnonzero(~test.candidates.silent) for test in tests]
    neighbours = [OtherFeature(of.number, rows) for of, rows in zip(features, fires, strict=True)]
    share = np.log([len(of.place) for of in features])
    panel = _panel(tests)
    made = []
    for row, (test, hard, other_side) in enumerate(zip(tests, hard_promoted, hard_suppressed, strict=True)):
        order = [i for i in np.argsort(np.abs(share - share[row]), kind="stable").tolist() if i != row]
        near = partial(tuple, [neighbours[i] for i in order])
        effects = {"direct_suppressed": EffectTruth(features[row].suppressed, other_side)}
        made.append(replace(test, distractors=hard, neighbours=near, panel=lambda: panel, effects=effects))
    return made


def _panel(tests: Sequence[TestFeature]) -> Panel:
    """A uniform sample of the firing windows of some features."""
    feature, windows, marks = [], [], []
    for test in tests[:: max(1, len(tests) // N_PANEL)][:N_PANEL]:
        of = test.candidates
        rows = uniform_rows(of)
        rows = rows[np.argsort(of.u[rows], kind="stable")][:WINDOWS_EACH]
        feature.append(np.full(len(rows), of.feature))
        windows.append(take(of.kept, rows))
        marks.append(of.truth[rows] != 0)
    return Panel(np.concatenate(feature), reduce(join_windows, windows), np.concatenate(marks))
