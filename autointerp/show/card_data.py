"""What a feature's card shows: one frozen record, read from a store by a few statements.

Texts are as stored; whoever shows them makes them safe (`text.visible`, or the browser's escaping).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from autointerp.errors import StoreError
from autointerp.show.card_exemplars import CardExemplar, Text, card_exemplars, choose_windows
from autointerp.show.context_effects import NOT_MEASURED, ContextsOfFeature, load_contexts
from autointerp.show.feature_matches import FeatureMatch, load_matches
from autointerp.show.geometry import PlacedDirection, load_geometry
from autointerp.show.measured_effects import MeasuredEffect, load_measured_effects
from autointerp.show.output_score import OutputScore, load_output_score
from autointerp.show.sensitivity import SensitivityCurve, load_sensitivity
from autointerp.show.token_change import TokenChange, load_token_change
from autointerp.store.evidence import current_works, dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.reader import StoreReader
from autointerp.words import NO_LABEL, RANKINGS, explainer_order

ALONE_SHOWN = 4
"""Of a feature's heaviest tokens, those shown with the activation on the token alone."""


@dataclass(frozen=True)
class ScoreLine:
    """One score of one explanation."""

    scorer: str
    metric: str
    design: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    status: str


@dataclass(frozen=True)
class ExplanationLine:
    """What one explainer says, and how well that does."""

    explainer: str
    text: str | None
    status: str
    scores: tuple[ScoreLine, ...]
    description_length: int | None = None
    """Tokens of what it says."""


@dataclass(frozen=True)
class LogitEffect:
    """A token that the feature promotes or suppresses."""

    text: str
    effect: float
    z: float


@dataclass(frozen=True)
class Match:
    """The feature that a baseline's feature is density-matched to."""

    dictionary: str
    feature: int | None
    status: str | None
    """matched, unmatched or natural."""


@dataclass(frozen=True)
class Neighbour:
    """A feature of the same dictionary whose direction is near."""

    feature: int
    cosine: float
    correlation: float | None
    """Of the activations."""


@dataclass(frozen=True)
class CardDiagnostics:
    """What a sample of tokens says about the feature; a correlation that is None has its reason in a status."""

    alone: tuple[tuple[str, float], ...]
    """Its heaviest tokens, each with the activation on it alone."""
    alone_correlation: float | None
    alone_status: str
    neuron_hook: str | None
    neuron: int | None
    neuron_correlation: float | None
    neuron_status: str
    n_firing: int
    """In the sample."""
    density_cluster: str | None


@dataclass(frozen=True)
class FeatureCard:
    """All of a card."""

    dictionary: str
    kind: str
    hook: str
    feature: int
    status: str
    density: float
    max_activation: float
    n_firing: int
    n_tokens: int
    token_entropy: float | None
    """Nats."""
    single_token_share: float | None
    planted_label: str | None
    histogram_log: tuple[int, ...]
    """Positive activations of the explain split by octave: bin i holds [2^(i-16), 2^(i-15))."""
    position_shares: tuple[float, ...]
    """Share of the explain split's tokens that fire, by place in the context; nan where no token counts."""
    diagnostics: CardDiagnostics | None
    neighbours: tuple[Neighbour, ...]
    match: Match | None
    explanations: tuple[ExplanationLine, ...]
    exemplars: tuple[CardExemplar, ...]
    promoted: tuple[LogitEffect, ...]
    suppressed: tuple[LogitEffect, ...]
    without: tuple[ExplanationLine, ...] = ()
    """Scores of no explanation: rankings of tokens, and what is asked about the feature itself."""
    contexts: ContextsOfFeature = NOT_MEASURED  # what it depends on, and what follows, in its exemplars
    sensitivity: tuple[SensitivityCurve, ...] = ()  # KL against the size of a step along it, and along others
    output_score: OutputScore | None = None  # what the model says when it is turned up
    geometry: tuple[PlacedDirection, ...] = ()  # where its direction lies among the others, beside random ones
    matches: tuple[FeatureMatch, ...] = ()  # what fires most like it in each other dictionary
    token_change: TokenChange | None = None  # what rises and falls when it is clamped
    measured: tuple[MeasuredEffect, ...] = ()  # the output without it, and without random directions of its norm


def load_card(
    store: Queryable, dictionary: str, feature: int, *, top: int = 8, each: int = 1, quantiles: bool = False
) -> FeatureCard:
    """Reads a card: `top` of the top exemplars, and `each` of every other stratum, `quantiles` too if asked for.

    Raises StoreError where there is no such dictionary or feature, with what there is.
    """
    store = store.brief() if isinstance(store, StoreReader) else store
    facts = dictionary_row(store, dictionary)
    key = {"dictionary": dictionary, "feature": feature}
    row = _feature_row(store, facts, feature)
    measured, places = store.rows(_MEASURED, **key), store.rows(_PLACES)
    diagnosed = store.rows(_DIAGNOSTICS, alone=ALONE_SHOWN, **key)
    heaviest = [token for grams in store.rows(_HEAVIEST, alone=ALONE_SHOWN, **key) for token in grams["tokens"]]
    match = None
    if facts["matched_to"] is not None:
        match = Match(facts["matched_to"], row["matched_feature"], row["match_status"])
    effects, scores = store.rows(_EFFECTS, **key), _scores(store, key)
    contexts = load_contexts(store, dictionary, feature)
    explanations = _explanations(store, key, scores)
    chosen = choose_windows(store, key, top, each, quantiles)
    shown = {token for window in chosen for token in [*window.before, *window.tokens, *window.after]}
    text = _text_of(store, shown | set(heaviest) | {effect["token"] for effect in effects})
    return FeatureCard(
        dictionary=dictionary,
        kind=facts["kind"],
        hook=facts["hook"],
        feature=feature,
        status=row["status"],
        density=row["density"],
        max_activation=row["max_activation"],
        n_firing=row["n_firing"],
        n_tokens=row["n_tokens"],
        token_entropy=row["token_entropy"],
        single_token_share=row["single_token_share"],
        planted_label=row["planted_label"],
        histogram_log=tuple(measured[0]["histogram_log"]) if measured else (),
        position_shares=_position_shares(measured[0], places[0]) if measured else (),
        diagnostics=_diagnostics(diagnosed[0], heaviest, text) if diagnosed else None,
        neighbours=tuple(Neighbour(*row.values()) for row in store.rows(_NEIGHBOURS, **key)),
        match=match,
        explanations=explanations,
        without=_without_explanation(scores),
        exemplars=card_exemplars(chosen, text, contexts.behind),
        contexts=contexts,
        sensitivity=load_sensitivity(store, dictionary, feature),
        output_score=load_output_score(store, dictionary, feature),
        geometry=load_geometry(store, dictionary, feature),
        matches=load_matches(store, dictionary, feature, [line.explainer for line in explanations]),
        token_change=load_token_change(store, dictionary, feature),
        promoted=_effects(effects, "promoted", text),
        suppressed=_effects(effects, "suppressed", text),
        measured=load_measured_effects(store, dictionary, feature),
    )


_MEASURED = """
SELECT histogram_log, position_histogram FROM feature_splits
WHERE dictionary = $dictionary AND feature = $feature AND split = 'explain'
"""

_PLACES = "SELECT position_histogram FROM token_splits WHERE split = 'explain'"

_DIAGNOSTICS = """
SELECT alone[:$alone] AS alone, alone_correlation, alone_status, neuron_hook, neuron, neuron_correlation, neuron_status,
       n_firing, density_cluster
FROM feature_diagnostics WHERE dictionary = $dictionary AND feature = $feature
"""

_HEAVIEST = """
SELECT tokens[:$alone] AS tokens FROM feature_tokens WHERE dictionary = $dictionary AND feature = $feature
"""

_NEIGHBOURS = """
SELECT neighbour, cosine, correlation FROM feature_neighbours
WHERE dictionary = $dictionary AND feature = $feature ORDER BY rank
"""

_EFFECTS = """
SELECT direction, token, effect, z FROM logit_effects
WHERE dictionary = $dictionary AND feature = $feature AND rank <= 10 ORDER BY rank
"""

_EXPLANATIONS = """
SELECT explainer, text, status, description_length FROM explanations
WHERE dictionary = $dictionary AND feature = $feature ORDER BY again
"""

_SCORES = """
SELECT run, explainer, scorer, metric, design, value, ci_low, ci_high, status FROM scores
WHERE dictionary = $dictionary AND feature = $feature ORDER BY design, scorer, metric
"""


def _feature_row(store: Queryable, facts: dict[str, Any], feature: int) -> dict[str, Any]:
    dictionary, n_features = facts["dictionary"], facts["n_features"]
    if not 0 <= feature < n_features:
        raise StoreError(f'feature {feature} is out of range: "{dictionary}" has features 0 to {n_features - 1}')
    rows = store.rows(
        "SELECT * FROM features WHERE dictionary = $dictionary AND feature = $feature",
        dictionary=dictionary,
        feature=feature,
    )
    if rows:
        return rows[0]
    there = store.rows(
        "SELECT feature FROM features WHERE dictionary = $dictionary ORDER BY abs(feature - $feature), feature LIMIT 3",
        dictionary=dictionary,
        feature=feature,
    )
    if not there:
        raise StoreError(f'"{dictionary}" has not been extracted yet; `autointerp status` says what is done')
    near = ", ".join(str(row["feature"]) for row in there)
    raise StoreError(f'feature {feature} of "{dictionary}" is not among those that this run extracted; near it: {near}')


def _position_shares(feature: dict[str, Any], tokens: dict[str, Any]) -> tuple[float, ...]:
    counted = zip(feature["position_histogram"], tokens["position_histogram"], strict=True)
    return tuple(n / of if of else math.nan for n, of in counted)


def _diagnostics(row: dict[str, Any], heaviest: list[int], text: Text) -> CardDiagnostics:
    return CardDiagnostics(
        alone=tuple(zip(map(text, heaviest), row["alone"], strict=True)),
        **{name: row[name] for name in CardDiagnostics.__dataclass_fields__ if name != "alone"},
    )


def _effects(rows: list[dict[str, Any]], direction: str, text: Text) -> tuple[LogitEffect, ...]:
    return tuple(
        LogitEffect(text(row["token"]), row["effect"], row["z"]) for row in rows if row["direction"] == direction
    )


ScoreLines = dict[str, list[ScoreLine]]
"""By explainer."""


def _explanations(store: Queryable, key: dict[str, Any], scores: ScoreLines) -> tuple[ExplanationLine, ...]:
    current = {row["explainer"]: row for row in store.rows(_EXPLANATIONS, **key)}  # the latest of each comes last
    rows = sorted(current.values(), key=lambda row: explainer_order(row["explainer"]))
    return tuple(ExplanationLine(scores=tuple(scores.get(row["explainer"], ())), **row) for row in rows)


def _without_explanation(scores: ScoreLines) -> tuple[ExplanationLine, ...]:
    return tuple(
        ExplanationLine(name, None, "ok", tuple(scores[name])) for name in (*RANKINGS, NO_LABEL) if name in scores
    )


def _scores(store: Queryable, key: dict[str, Any]) -> ScoreLines:
    """The rows of `score_table`, which looks for the latest of all works each time."""
    rows = store.rows(_SCORES, **key)
    works = current_works(store, "score")
    scores: ScoreLines = {}
    for row in rows:
        if works is None or row["run"] in works:
            scores.setdefault(row["explainer"], []).append(ScoreLine(*(row[name] for name in _LINE)))
    return scores


_LINE = tuple(ScoreLine.__dataclass_fields__)


def _text_of(store: Queryable, tokens: Iterable[int]) -> Text:
    """The texts of these tokens."""
    rows = store.rows("SELECT token, text FROM vocab WHERE token IN (SELECT unnest($tokens))", tokens=sorted(tokens))
    known = {row["token"]: row["text"] for row in rows}
    return lambda token: known.get(token, f"<{token}>")
