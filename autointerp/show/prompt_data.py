"""What `autointerp prompt` shows: the features that fire on a text, token by token, with what the store says of them.

Strengths of several dictionaries are compared as shares: an activation over the feature's largest in the corpus.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autointerp.errors import UserError
from autointerp.score.metric_registry import is_primary
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.words import explainer_order, is_ceiling, is_control

SORTS = {
    "activation": "largest share of what it reaches in the corpus",
    "tokens": "most tokens on which it fires",
    "density": "rarest in the corpus first",
    "effect": "largest effect on the next token, up or down",
    "measured": "largest effect on the next token as measured, up or down",
}
AT_TOKEN = 5
"""Features named with each token."""
FILES = "SELECT dictionary FROM dictionaries WHERE format IS NOT NULL AND kind IN ('sae', 'transcoder')"


class Fired(Protocol):
    """The non-zero activations of a dictionary on a text."""

    @property
    def position(self) -> npt.NDArray[np.int64]: ...
    @property
    def feature(self) -> npt.NDArray[np.int64]: ...
    @property
    def activation(self) -> npt.NDArray[np.float32]: ...
    @property
    def effect(self) -> npt.NDArray[np.float32] | None: ...
    @property
    def measured(self) -> Mapping[int, float] | None: ...


class Next(Protocol):
    """The token behind a position, and its log-probability in nats."""

    @property
    def position(self) -> int: ...
    @property
    def token(self) -> int: ...
    @property
    def logp(self) -> float: ...


class Read(Protocol):
    """A text as a subject read it (`pipeline.prompt_reading`)."""

    @property
    def tokens(self) -> tuple[int, ...]: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def notices(self) -> tuple[str, ...]: ...
    @property
    def fired(self) -> Mapping[str, Fired]: ...
    @property
    def next_token(self) -> Next | None: ...


@dataclass(frozen=True)
class PromptChoice:
    """What of it is shown."""

    sort: str = "activation"
    density_to: float | None = None
    """Only features that fire on at most this share of the corpus."""
    bos: bool = False
    """Whether firings on the BOS count."""
    most: int = 100
    """Features."""


@dataclass(frozen=True)
class FiringHere:
    """A feature at one token."""

    dictionary: str
    feature: int
    activation: float
    share: float


@dataclass(frozen=True)
class PromptToken:
    """A token of the text."""

    position: int
    token: int
    text: str
    is_bos: bool
    n_firing: int
    """Features that fire here, of those that the filters let through."""
    strongest: tuple[FiringHere, ...]
    """AT_TOKEN of them, the largest share first."""


@dataclass(frozen=True)
class PromptFeature:
    """A feature that fires on the text."""

    dictionary: str
    feature: int
    label: str | None
    explainer: str | None
    score: float | None
    """Of that label, by the first primary metric of simulation."""
    metric: str | None
    density: float
    max_activation: float
    """In the corpus: the explain split."""
    largest: float
    """On this text."""
    share: float
    """largest / max_activation; may pass 1."""
    positions: tuple[int, ...]
    activations: tuple[float, ...]
    effect: float | None = None
    """Of all its firings on the log-probability of the next token that was asked for, in nats, to first order."""
    measured: float | None = None
    """The same, measured: with the feature less without it, taken away at every token but the BOS; None: it was not
    measured, or is not among those of largest effect."""


@dataclass(frozen=True)
class PromptNext:
    """The token that effects are about."""

    position: int
    """It stands behind the token at this place."""
    token: int
    text: str
    probability: float


@dataclass(frozen=True)
class PromptPage:
    """All of it."""

    notices: tuple[str, ...]
    dictionaries: tuple[str, ...]
    choice: PromptChoice
    tokens: tuple[PromptToken, ...]
    n_fired: int
    """Features that fire and pass the filters; `features` has the first of them."""
    features: tuple[PromptFeature, ...]
    next_token: PromptNext | None = None


def read_dictionaries(store: Queryable, asked: Sequence[str]) -> tuple[str, ...]:
    """The dictionaries to read with: those asked for; default: all SAEs and transcoders that were read from files.

    Raises StoreError for one that is not there, UserError where there is none.
    """
    for name in asked:
        dictionary_row(store, name)
    names = list(asked) or [row["dictionary"] for row in store.rows(FILES)]
    if not names:
        raise UserError("the store has no SAE or transcoder; name a dictionary")
    return tuple(dict.fromkeys(names))


def load_prompt(store: Queryable, read: Read, choice: PromptChoice) -> PromptPage:
    """Puts together what fired and what is known of it. Raises UserError for a sort that there is not, and for that by
    effect where no next token was asked for."""
    if choice.sort not in SORTS:
        raise UserError(f'sort "{choice.sort}" is not one of {", ".join(SORTS)}')
    if choice.sort in ("effect", "measured") and read.next_token is None:
        raise UserError(f'sort "{choice.sort}" needs a next token that the effect is on')
    bos = {i for i, token in enumerate(read.tokens) if token == read.bos}
    rows: list[dict[str, Any]] = []
    here: list[list[FiringHere]] = [[] for _ in read.tokens]
    for name, fired in read.fired.items():
        known = {row["feature"]: row for row in store.rows(_KNOWN, dictionary=name, density=choice.density_to)}
        by_feature: dict[int, dict[int, float]] = {}
        effects: dict[int, float] = {}
        for place, feature, activation, effect in _firings(fired):
            if feature in known and (choice.bos or place not in bos):
                by_feature.setdefault(feature, {})[place] = activation
                effects[feature] = effects.get(feature, 0.0) + effect
        for feature, at in by_feature.items():
            most = known[feature]["max_activation"] or max(at.values())  # dead in the corpus: its share is 1
            largest = max(at.values())
            added = None if fired.effect is None else effects[feature]
            row = {"dictionary": name, **known[feature], "at": at, "effect": added}
            row["measured"] = None if fired.measured is None else fired.measured.get(feature)
            rows.append(row | {"largest": largest, "share": largest / most})
            for place, activation in at.items():
                here[place].append(FiringHere(name, feature, activation, activation / most))
    rows.sort(key=lambda row: (_order(row, choice.sort), row["dictionary"], row["feature"]))
    n_fired, rows = len(rows), rows[: choice.most]
    said = {name: _labels(store, name, rows) for name in read.fired}
    shown = tuple(_feature(row, *said[row["dictionary"]].get(row["feature"], ({}, {}))) for row in rows)
    of_next = [] if read.next_token is None else [read.next_token.token]
    texts = {row["token"]: row["text"] for row in store.rows(_TEXTS, tokens=sorted({*read.tokens, *of_next}))}
    tokens = tuple(
        PromptToken(i, token, texts.get(token, f"<{token}>"), i in bos, len(here[i]), _strongest(here[i]))
        for i, token in enumerate(read.tokens)
    )
    said_of = None
    if (at_next := read.next_token) is not None:
        text = texts.get(at_next.token, f"<{at_next.token}>")
        said_of = PromptNext(at_next.position, at_next.token, text, math.exp(at_next.logp))
    return PromptPage(read.notices, tuple(read.fired), choice, tokens, n_fired, shown, said_of)


def _firings(fired: Fired) -> Iterator[tuple[int, int, float, float]]:
    effect = np.zeros(len(fired.position)) if fired.effect is None else fired.effect
    columns = (fired.position, fired.feature, fired.activation, effect)
    return zip(*(column.tolist() for column in columns), strict=True)


def _order(row: dict[str, Any], sort: str) -> tuple[float, ...]:
    if sort == "tokens":
        return -len(row["at"]), -row["share"]
    if sort == "effect":
        return (-abs(row["effect"] or 0.0),)
    if sort == "measured":  # behind them what was not measured, by its estimate
        return row["measured"] is None, -abs(row["measured"] or 0.0), -abs(row["effect"] or 0.0)
    return (row["density"], -row["share"]) if sort == "density" else (-row["share"],)


def _strongest(firing: Sequence[FiringHere]) -> tuple[FiringHere, ...]:
    return tuple(sorted(firing, key=lambda of: (-of.share, of.dictionary, of.feature))[:AT_TOKEN])


def _feature(row: dict[str, Any], said: dict[str, Any], score: dict[str, Any]) -> PromptFeature:
    return PromptFeature(
        row["dictionary"],
        row["feature"],
        said.get("text"),
        said.get("explainer"),
        score.get("value"),
        score.get("metric"),
        row["density"],
        row["max_activation"],
        row["largest"],
        row["share"],
        tuple(sorted(row["at"])),
        tuple(row["at"][place] for place in sorted(row["at"])),
        row["effect"],
        row["measured"],
    )


def _labels(
    store: Queryable, dictionary: str, rows: Sequence[dict[str, Any]]
) -> dict[int, tuple[dict[str, Any], dict[str, Any]]]:
    """Of these features: the label, by an LLM or a person where one said it, and its score."""
    asked = {"dictionary": dictionary, "features": [r["feature"] for r in rows if r["dictionary"] == dictionary]}
    labels: dict[int, list[dict[str, Any]]] = {}
    for line in store.rows(_LABELS, **asked):
        if not is_control(line["explainer"]) and not is_ceiling(line["explainer"]):
            labels.setdefault(line["feature"], []).append(line)
    scores: dict[tuple[int, str], dict[str, Any]] = {}
    for score in store.rows(_SCORES, **asked):
        if is_primary(score["metric"], score["design"], score["scorer"]):
            scores.setdefault((score["feature"], score["explainer"]), score)
    said = {}
    for feature, lines in labels.items():
        best = min(lines, key=lambda line: (line["explainer"] == "lexical", explainer_order(line["explainer"])))
        said[feature] = best, scores.get((feature, best["explainer"]), {})
    return said


def label_of(store: Queryable, dictionary: str, feature: int) -> str | None:
    """The feature's label, by an LLM or a person where one said it; None: it has none.

    Raises StoreError where the store has no such dictionary.
    """
    dictionary_row(store, dictionary)
    said = _labels(store, dictionary, [{"dictionary": dictionary, "feature": feature}])
    return str(said[feature][0]["text"]) if feature in said else None


_KNOWN = """
SELECT feature, density, max_activation FROM features
WHERE dictionary = $dictionary AND ($density::DOUBLE IS NULL OR density <= $density)
"""

_LABELS = """
SELECT feature, explainer, text FROM current_explanations
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features::INTEGER[])) AND text IS NOT NULL
"""

_SCORES = """
SELECT feature, explainer, metric, design, scorer, value FROM score_table
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features::INTEGER[]))
      AND starts_with(scorer, 'simulation') AND NOT contains(scorer, '@') AND value IS NOT NULL
ORDER BY design DESC, metric
"""

_TEXTS = "SELECT token, text FROM vocab WHERE token IN (SELECT unnest($tokens::INTEGER[]))"
