"""The scorers: a row each. A run file names them, or a class of the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import cast, get_args

from autointerp import words
from autointerp.config.own_code import OwnCode
from autointerp.errors import UserError
from autointerp.own_code import load_own
from autointerp.score.scorers.detection import Detection
from autointerp.score.scorers.discrimination import Discrimination
from autointerp.score.scorers.fuzzing import Fuzzing
from autointerp.score.scorers.generation import Generation
from autointerp.score.scorers.hard_logits import HardLogits
from autointerp.score.scorers.intervention import Intervention
from autointerp.score.scorers.intruder import InternalIntruder, Intruder
from autointerp.score.scorers.logit_effects import LogitEffects, Truth
from autointerp.score.scorers.protocol import PredictedShape, Scorer
from autointerp.score.scorers.simulation import Simulation

SCORERS: dict[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        Simulation(),
        Detection(),
        Fuzzing(),
        *(of(truth) for truth in get_args(Truth) for of in (LogitEffects, HardLogits)),
        Discrimination(),
        Intruder(),
        InternalIntruder(),
        Generation(),
        Intervention(),
    )
}
"""By name."""
MEASURING = tuple(sorted({scorer.measured_by for scorer in SCORERS.values() if scorer.measured_by is not None}))
"""Stages that measure what scorers ask about."""
assert tuple(name for name, one in SCORERS.items() if one.measured_by) == words.OF_MEASURED, "words has the same"
assert tuple(SCORERS) == words.SCORERS, "words.SCORERS names the same scorers, in the same order"


def scorers_of(entries: Iterable[str | OwnCode]) -> dict[str, Scorer]:
    """Those that a run file names, by name and in its order. Raises UserError where a class cannot be one."""
    chosen = {}
    for entry in entries:
        scorer = SCORERS[entry] if isinstance(entry, str) else _own(entry.python, entry.name)
        chosen[scorer.name] = scorer
    return chosen


def measured_by(scorer: Scorer) -> str | None:
    """`Scorer.measured_by`, also of a class of the user's own that does not derive from `Scorer`."""
    return getattr(scorer, "measured_by", None)


@cache
def _own(python: str, name: str | None) -> Scorer:
    made = load_own(python, "scorer", ("material(feature, group)", "questions(shown, feature, material, judge)"))
    for attribute in ("name", "shape", "prompts", "usual"):
        if not hasattr(made, attribute):
            raise UserError(f'scorer "{python}" has no {attribute}; derive it from autointerp.Scorer')
    scorer = cast(Scorer, made)
    *others, last = get_args(PredictedShape)
    if scorer.shape not in (*others, last):
        raise UserError(f'scorer "{python}": shape = {scorer.shape!r}; give {", ".join(others)} or {last}')
    scorer.name = name or scorer.name
    if measured_by(scorer) not in (None, *MEASURING):
        said = f'scorer "{python}": measured_by = {measured_by(scorer)!r}'
        raise UserError(f"{said}; give None or {' or '.join(map(repr, MEASURING))}")
    if scorer.name in SCORERS:
        raise UserError(f'scorer "{python}": there is a scorer "{scorer.name}" already; give it another name')
    return scorer
