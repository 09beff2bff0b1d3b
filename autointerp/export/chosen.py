"""Which features are exported, and the label that stands for each where a form has room for one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from autointerp.errors import UserError, nearest
from autointerp.score.metric_registry import is_primary
from autointerp.show.card_data import ExplanationLine, FeatureCard, ScoreLine, load_card
from autointerp.show.feature_parts import on_a_card
from autointerp.store.evidence import dictionary_names
from autointerp.store.query import Queryable
from autointerp.store.reader import StoreReader
from autointerp.words import NATURAL, is_ceiling, is_control

_SPEC = re.compile(r"(?P<dictionary>.+?)(?:/(?P<which>\d+:\d+|\d+(?:,\d+)*))?")
TOP = 8
"""Top exemplars of a feature."""
EACH = 1
"""Exemplars of every other stratum."""


@dataclass(frozen=True)
class ChosenFeatures:
    """Extracted features of a dictionary."""

    dictionary: str
    features: tuple[int, ...]
    """Rising."""


def chosen_features(store: Queryable, specs: Sequence[str]) -> list[ChosenFeatures]:
    """What `--features` names: DICT, DICT/0:100 or DICT/7,9; without any, all features of all dictionaries but the
    natural twins of baselines. Raises UserError where there is no such dictionary, or a feature is not in the store."""
    names = dictionary_names(store)
    if not specs:
        specs = [name for name in names if not name.endswith(NATURAL)]
    wanted: dict[str, set[int]] = {}
    for spec in specs:
        name, which = _parsed(spec, names)
        there = {row["feature"] for row in store.rows(_FEATURES, dictionary=name)}
        numbers = there if which is None else _numbers(spec, which, there)
        wanted.setdefault(name, set()).update(numbers)
    chosen = [ChosenFeatures(name, tuple(sorted(numbers))) for name, numbers in wanted.items() if numbers]
    if not chosen:
        raise UserError("there are no features to export yet; `autointerp status` says what is done")
    return chosen


def _parsed(spec: str, names: Sequence[str]) -> tuple[str, str | None]:
    if spec in names:  # a name may hold what looks like numbers
        return spec, None
    parts = _SPEC.fullmatch(spec)
    if parts is None or parts["dictionary"] not in names:
        asked = spec if parts is None else parts["dictionary"]
        raise UserError(
            f'--features "{spec}": give DICT, DICT/0:100 or DICT/7,9; there is no dictionary "{asked}"'
            + nearest(asked, names, listed="the store has")
        )
    return parts["dictionary"], parts["which"]


def _numbers(spec: str, which: str, there: set[int]) -> set[int]:
    first, colon, last = which.partition(":")
    if colon:
        numbers = {number for number in there if int(first) <= number < int(last)}
        if not numbers:
            raise UserError(f'--features "{spec}": none of these features is in the store')
        return numbers
    numbers = set(map(int, which.split(",")))
    if missing := sorted(numbers - there):
        raise UserError(f'--features "{spec}": feature {missing[0]} is not in the store')
    return numbers


def cards_of(
    store: StoreReader, chosen: ChosenFeatures, *, top: int = TOP, each: int = EACH, quantiles: bool = True
) -> Iterator[FeatureCard]:
    """The cards of the features, one after the other."""
    remembering = _Remembering(store.brief())
    for feature in chosen.features:
        yield load_card(remembering, chosen.dictionary, feature, top=top, each=each, quantiles=quantiles)


class _Remembering:
    """Asks what is about the whole store or dictionary once, not once a feature."""

    def __init__(self, store: Queryable) -> None:
        self._store = store
        self._answers: dict[tuple[str, str | None], list[dict[str, Any]]] = {}

    def query(self, sql: str, /, **parameters: Any) -> pa.Table:
        return self._store.query(sql, **parameters)

    def rows(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        if set(parameters) - {"dictionary"}:
            return self._store.rows(sql, **parameters)
        key = sql, parameters.get("dictionary")
        if key not in self._answers:
            self._answers[key] = self._store.rows(sql, **parameters)
        return self._answers[key]


def label_of(card: FeatureCard, explainer: str | None) -> ExplanationLine | None:
    """The label of this explainer; None: of the first that wrote one, LLMs and people before `lexical`."""
    labels = [line for line in card.explanations if line.text and not is_control(line.explainer)]
    if explainer is not None:
        return next((line for line in labels if line.explainer == explainer), None)
    return next((line for line in labels if not is_ceiling(line.explainer)), None)


def headline_score(line: ExplanationLine) -> ScoreLine | None:
    """The first primary score of a label; None: it has none with a value."""
    scores = [score for score in on_a_card(line.scores) if score.value is not None]
    return next((score for score in scores if is_primary(score.metric, score.design, score.scorer)), None)


def known_explainer(store: Queryable, explainer: str | None) -> None:
    """Raises UserError where nobody of that name explained anything."""
    names = [row["explainer"] for row in store.rows("SELECT DISTINCT explainer FROM explanations ORDER BY explainer")]
    if explainer is not None and explainer not in names:
        raise UserError(f'the store has no explainer "{explainer}"' + nearest(explainer, names, listed="it has"))


_FEATURES = "SELECT feature FROM features WHERE dictionary = $dictionary"
