"""What scorers see of other planted features, and of other tokens, beside each: made as a run makes it.

distractors   a planted feature writes its random direction to the residual stream, with no norm between it and the
              unembedding; tokens that are hard to tell from those that it promotes follow from the definitions of
              `extract/hard_tokens.py`
neighbours    the other features, those that fire about as often first
panel         firing windows of some features, the same for all
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np
import torch

from autointerp.explain.token_text import is_fragment
from autointerp.extract.effects import LogitPath, strongest_effects
from autointerp.extract.hard_tokens import hard_tokens
from autointerp.score.sampled import join_windows, take
from autointerp.score.scorers.items import uniform_rows
from autointerp.score.scorers.protocol import Distractors, Neighbour, Panel, TestFeature
from autointerp.score.selftest.planted import PlantedFeature, effect_direction, readable_tokens
from autointerp.score.selftest.text import SelftestText

N_PANEL, WINDOWS_EACH = 24, 24
"""Features of the panel at most, and firing windows of each."""


def with_others(
    text: SelftestText, seed: int, features: Sequence[PlantedFeature], tests: Sequence[TestFeature]
) -> list[TestFeature]:
    """`tests` of some planted features, each with the others and with distractors."""
    if not features:
        return []
    by_feature = planted_distractors(text, seed, features)
    fires = [np.flatnonzero(~test.candidates.silent) for test in tests]
    neighbours = [Neighbour(of.number, rows) for of, rows in zip(features, fires, strict=True)]
    share = np.log([len(of.place) for of in features])
    panel = _panel(tests)
    made = []
    for row, (test, hard) in enumerate(zip(tests, by_feature, strict=True)):
        order = [i for i in np.argsort(np.abs(share - share[row]), kind="stable").tolist() if i != row]
        near = partial(tuple, [neighbours[i] for i in order])
        made.append(replace(test, distractors=hard, neighbours=near, panel=lambda: panel))
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


def planted_distractors(
    text: SelftestText, seed: int, features: Sequence[PlantedFeature]
) -> list[tuple[Distractors, ...]]:
    """Of each feature, by kind. Raises ValueError where a feature promotes others than it was planted with."""
    usable = (text.counts > 0) & readable_tokens(text)
    ids, width = np.flatnonzero(usable), text.unembedding.shape[1]
    written = np.stack([effect_direction(seed, feature.number, width) for feature in features])
    table = torch.from_numpy(text.unembedding[ids].T.astype(np.float64))
    path = LogitPath(lambda directions: directions, torch.from_numpy(ids), table, 1.0)
    directions = torch.from_numpy(written)
    strongest = strongest_effects(path, directions, np.arange(len(features)))
    for feature, tokens in zip(features, strongest.token["promoted"], strict=True):
        if not np.array_equal(feature.promoted, tokens):
            raise ValueError(f"planted feature {feature.number} promotes other tokens than its label says")
    fit = usable & np.array([not is_fragment(one) for one in text.texts])
    hard = hard_tokens(path, directions, strongest, fit, text.counts)
    none = np.zeros(0, np.int64)
    return [
        (
            Distractors("similar", np.array(similar), np.array(similar_to)),
            Distractors("same_norm", np.array(same_norm), np.array(same_norm_as)),
            Distractors("neighbour", np.array(neighbour, dtype=np.int64), none),
        )
        for similar, similar_to, same_norm, same_norm_as, neighbour in zip(
            hard.similar, hard.similar_to, hard.same_norm, hard.same_norm_as, hard.neighbour, strict=True
        )
    ]
