"""What scorers see of other planted features, and of other tokens, beside each: made as a run makes it.

distractors   tokens that are hard to tell from those that it promotes or suppresses, directly or as it was measured:
              given (`pipeline/selftest_tokens.py`)
neighbours    the other features, those that fire about as often first
panel         firing windows of some features, the same for all
texts         what is written with the direction of each added (`planted_texts.py`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np

from autointerp.score.sampled import join_windows, take
from autointerp.score.scorers.intervention import TextOfFeature
from autointerp.score.scorers.items import uniform_rows
from autointerp.score.scorers.logit_effects import Truth
from autointerp.score.scorers.protocol import Distractors, EffectTruth, OtherFeature, Panel, TestFeature
from autointerp.score.selftest.planted import TRUTHS, PlantedFeature

MakeDistractors = Callable[[Sequence[PlantedFeature], Truth], Sequence[tuple[Distractors, ...]]]
"""Of each feature the tokens that are hard to tell from those that it promotes or suppresses, by kind."""
N_PANEL, WINDOWS_EACH = 24, 24
"""Features of the panel at most, and firing windows of each."""


def with_others(
    features: Sequence[PlantedFeature],
    tests: Sequence[TestFeature],
    distractors: MakeDistractors,
    steered: Mapping[int, Sequence[TextOfFeature]],
) -> list[TestFeature]:
    """`tests` of some planted features, each with the others, with distractors and with the texts of all."""
    if not features:
        return []
    hard = {truth: distractors(features, truth) for truth in TRUTHS}
    fires = [np.flatnonzero(~test.candidates.silent) for test in tests]
    neighbours = [OtherFeature(of.number, rows) for of, rows in zip(features, fires, strict=True)]
    share = np.log([len(of.place) for of in features])
    panel = _panel(tests)
    made = []
    for row, (feature, alone) in enumerate(zip(features, tests, strict=True)):
        order = [i for i in np.argsort(np.abs(share - share[row]), kind="stable").tolist() if i != row]
        near = partial(tuple, [neighbours[i] for i in order])
        effects: dict[str, EffectTruth] = {of: EffectTruth(feature.effects[of], hard[of][row]) for of in TRUTHS}
        direct = effects.pop("direct")
        test = replace(alone, distractors=direct.distractors, effects=effects, steered=steered)
        made.append(replace(test, neighbours=near, panel=lambda: panel))
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
