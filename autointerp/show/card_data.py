"""What a feature's card shows: one frozen record, read from a store by a few statements.

Texts are as stored; whoever shows them makes them safe (`text.visible`, or the browser's escaping).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from autointerp.errors import StoreError
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable

CONTROLS = ("shuffled", "constant", "generic")
"""Explainers that must score low; shown after the others, and only where asked for."""
_EMBEDDED = ("lexical", "token_lookup")
ALONE_SHOWN = 4
"""Of a feature's heaviest tokens, those shown with the activation on the token alone."""
AROUND = 12
"""Tokens of the context read before and after a window, to show what it is cut from."""


def explainer_order(name: str) -> tuple[int, str]:
    """LLMs and people first, then the embedded explainers, then the controls."""
    known = [*_EMBEDDED, *CONTROLS]
    return (1 + known.index(name) if name in known else 0), name


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


@dataclass(frozen=True)
class ShownToken:
    """A token of an exemplar."""

    text: str
    activation: float
    scored: bool


@dataclass(frozen=True)
class Exemplar:
    """A window of the explain split."""

    stratum: str
    rank: int
    document: str
    context: int
    window_start: int
    max_activation: float
    peak: int
    """Place in `tokens` of the token that it was chosen for; top: the largest activation."""
    before: tuple[str, ...]
    """The tokens before the window; whether they are active is not kept."""
    tokens: tuple[ShownToken, ...]
    after: tuple[str, ...]
    """The tokens after the window, likewise."""


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
class Diagnostics:
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
    diagnostics: Diagnostics | None
    neighbours: tuple[Neighbour, ...]
    match: Match | None
    explanations: tuple[ExplanationLine, ...]
    exemplars: tuple[Exemplar, ...]
    promoted: tuple[LogitEffect, ...]
    suppressed: tuple[LogitEffect, ...]


def load_card(
    store: Queryable, dictionary: str, feature: int, *, top: int = 8, each: int = 1, quantiles: bool = False
) -> FeatureCard:
    """Reads a card: `top` of the top exemplars, and `each` of every other stratum, `quantiles` too if asked for.

    Raises StoreError where there is no such dictionary or feature, with what there is.
    """
    facts = dictionary_row(store, dictionary)
    key = {"dictionary": dictionary, "feature": feature}
    row = _feature_row(store, facts, feature)
    measured = store.rows(_MEASURED, alone=ALONE_SHOWN, **key)
    match = None
    if facts["matched_to"] is not None:
        match = Match(facts["matched_to"], row["matched_feature"], row["match_status"])
    effects = store.rows(_EFFECTS, **key)
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
        position_shares=_position_shares(measured[0]) if measured else (),
        diagnostics=_diagnostics(store, measured[0]) if measured and measured[0]["alone"] is not None else None,
        neighbours=tuple(Neighbour(*row.values()) for row in store.rows(_NEIGHBOURS, **key)),
        match=match,
        explanations=_explanations(store, key),
        exemplars=_exemplars(store, key, top, each, quantiles),
        promoted=_effects(effects, "promoted"),
        suppressed=_effects(effects, "suppressed"),
    )


def good_example(store: Queryable) -> tuple[str, int] | None:
    """A feature to look at first: of those that `lexical` predicts well, the one where context says the most.

    That is where it scores furthest above the token lookup, which knows no context.
    """
    rows = store.rows(_GOOD_EXAMPLE) or store.rows("SELECT dictionary, feature FROM features LIMIT 1")
    return (rows[0]["dictionary"], rows[0]["feature"]) if rows else None


_GOOD_EXAMPLE = """
SELECT c.dictionary, c.feature
FROM feature_cards c
LEFT JOIN score_table t ON t.dictionary = c.dictionary AND t.feature = c.feature AND t.explainer = 'token_lookup'
     AND t.metric = 'pearson' AND t.design = 'census'
WHERE c.status = 'alive' AND c.score IS NOT NULL
ORDER BY c.kind NOT IN ('sae', 'transcoder'), c.score < 0.8, c.score - t.value DESC NULLS LAST, c.score DESC,
         c.dictionary, c.feature
LIMIT 1
"""

_MEASURED = """
SELECT s.histogram_log, s.position_histogram, p.position_histogram AS position_tokens, d.alone[:$alone] AS alone,
       d.alone_correlation, d.alone_status, d.neuron_hook, d.neuron, d.neuron_correlation, d.neuron_status,
       d.n_firing, d.density_cluster, t.tokens[:$alone] AS heaviest
FROM feature_splits s JOIN token_splits p USING (split)
LEFT JOIN (FROM feature_diagnostics WHERE dictionary = $dictionary AND feature = $feature) d USING (dictionary, feature)
LEFT JOIN (FROM feature_tokens WHERE dictionary = $dictionary AND feature = $feature) t USING (dictionary, feature)
WHERE s.dictionary = $dictionary AND s.feature = $feature AND s.split = 'explain'
"""

_NEIGHBOURS = """
SELECT neighbour, cosine, correlation FROM feature_neighbours
WHERE dictionary = $dictionary AND feature = $feature ORDER BY rank
"""

_EFFECTS = """
SELECT l.direction, v.text, l.effect, l.z FROM logit_effects l JOIN vocab v USING (token)
WHERE l.dictionary = $dictionary AND l.feature = $feature AND l.rank <= 10 ORDER BY l.rank
"""

_EXPLANATIONS = """
SELECT explainer, text, status FROM explanations WHERE dictionary = $dictionary AND feature = $feature
"""

_SCORES = """
SELECT explainer, scorer, metric, design, value, ci_low, ci_high, status FROM score_table
WHERE dictionary = $dictionary AND feature = $feature ORDER BY design, scorer, metric
"""

_EXEMPLARS = """
WITH chosen AS (
    SELECT * FROM exemplars WHERE dictionary = $dictionary AND feature = $feature AND split = 'explain'
          AND ($quantiles OR stratum NOT LIKE 'quantile%')
    QUALIFY row_number() OVER (PARTITION BY stratum ORDER BY rank) <= if(stratum = 'top', $top, $each)
)
SELECT e.stratum, e.rank, c.document_name, e.context, e.window_start, e.max_activation, e.positions, e.activations,
       e.peak - e.window_start AS peak,
       list_slice(c.tokens, greatest(e.window_start - $around, 0) + 1, e.window_start) AS before,
       list_slice(c.tokens, e.window_start + e.n_tokens + 1, e.window_start + e.n_tokens + $around) AS after,
       list_slice(c.tokens, e.window_start + 1, e.window_start + e.n_tokens) AS tokens,
       list_slice(c.scored, e.window_start + 1, e.window_start + e.n_tokens) AS scored
FROM chosen e JOIN contexts c USING (context)
ORDER BY e.stratum <> 'top', e.stratum_high DESC NULLS LAST, e.stratum, e.rank
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


def _position_shares(row: dict[str, Any]) -> tuple[float, ...]:
    counted = zip(row["position_histogram"], row["position_tokens"], strict=True)
    return tuple(n / of if of else math.nan for n, of in counted)


def _diagnostics(store: Queryable, row: dict[str, Any]) -> Diagnostics:
    known = _texts(store, row["heaviest"] or [])
    return Diagnostics(
        alone=tuple(
            zip((known.get(token, f"<{token}>") for token in row["heaviest"] or ()), row["alone"], strict=True)
        ),
        **{name: row[name] for name in Diagnostics.__dataclass_fields__ if name != "alone"},
    )


def _effects(rows: list[dict[str, Any]], direction: str) -> tuple[LogitEffect, ...]:
    return tuple(LogitEffect(row["text"], row["effect"], row["z"]) for row in rows if row["direction"] == direction)


def _explanations(store: Queryable, key: dict[str, Any]) -> tuple[ExplanationLine, ...]:
    scores: dict[str, list[ScoreLine]] = {}
    for row in store.rows(_SCORES, **key):
        scores.setdefault(row.pop("explainer"), []).append(ScoreLine(**row))
    lines = [
        ExplanationLine(row["explainer"], row["text"], row["status"], tuple(scores.get(row["explainer"], ())))
        for row in store.rows(_EXPLANATIONS, **key)
    ]
    return tuple(sorted(lines, key=lambda line: explainer_order(line.explainer)))


def _texts(store: Queryable, tokens: Iterable[int]) -> dict[int, str]:
    """The text of tokens by id."""
    rows = store.rows("SELECT token, text FROM vocab WHERE token IN (SELECT unnest($tokens))", tokens=sorted(tokens))
    return {row["token"]: row["text"] for row in rows}


def _exemplars(store: Queryable, key: dict[str, Any], top: int, each: int, quantiles: bool) -> tuple[Exemplar, ...]:
    rows = store.rows(_EXEMPLARS, around=AROUND, top=top, each=each, quantiles=quantiles, **key)
    known = _texts(store, {token for row in rows for token in [*row["before"], *row["tokens"], *row["after"]]})

    def text(token: int) -> str:
        return known.get(token, f"<{token}>")

    exemplars = []
    for row in rows:
        activation = dict(zip(row["positions"], row["activations"], strict=True))
        tokens = tuple(
            ShownToken(text(token), activation.get(place, 0.0), scored)
            for place, (token, scored) in enumerate(zip(row["tokens"], row["scored"], strict=True))
        )
        exemplars.append(
            Exemplar(
                row["stratum"], row["rank"], row["document_name"], row["context"], row["window_start"],
                row["max_activation"], row["peak"], tuple(map(text, row["before"])), tokens,
                tuple(map(text, row["after"])),
            )
        )  # fmt: skip
    return tuple(exemplars)
