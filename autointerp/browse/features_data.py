"""What the page of a dictionary shows: its features, filtered, sorted and a hundred at a time.

The statements are fixed; what a reader chooses is bound. Sorting is by the names of `SORTS` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite

import pyarrow as pa

from autointerp.browse.features_sql import SORTED_BY, counted, listed, placed
from autointerp.browse.sql_data import features_where
from autointerp.errors import UserError
from autointerp.score.metric_registry import is_primary
from autointerp.store.evidence import dictionary_row
from autointerp.store.reader import StoreReader
from autointerp.words import explainer_order, is_control

PER_PAGE = 100
LONGEST = 2_000
"""Characters of a token or a condition."""
SORTS = tuple(SORTED_BY)
STATUSES = ("alive", "rare", "dead")


@dataclass(frozen=True)
class FeatureChoice:
    """What a reader asked for; empty: everything."""

    status: str = ""
    """alive, rare or dead."""
    explainer: str = ""
    """Whose labels and scores; default: the first of `explainer_order`."""
    measure: str = ""
    """Scorer, metric and design of the scores, as a page names them; default: the first primary one."""
    q: str = ""
    """Words that the label holds, all of them, in any case."""
    token: str = ""
    """A token on which the feature fires: as text, a blank before it or not."""
    where: str = ""
    """A condition of SQL over the columns of `explained_features`."""
    density_from: float | None = None
    density_to: float | None = None
    score_from: float | None = None
    score_to: float | None = None
    sort: str = "feature"
    order: str = "up"
    """up or down; features without a value come last either way."""
    page: int = 1


@dataclass(frozen=True)
class ListedFeature:
    """A row of the list."""

    feature: int
    status: str
    density: float
    max_activation: float
    token_entropy: float | None
    """Nats."""
    label: str | None
    label_status: str | None
    """None: this explainer was not asked."""
    description_length: int | None
    score: float | None
    ci_low: float | None
    ci_high: float | None
    output: float | None
    """How well the label says what the feature promotes: `logit_accuracy_direct`; by chance 0.5."""
    score_status: str | None
    """None: it was not scored by this measure."""


@dataclass(frozen=True)
class FeaturesPage:
    """A page of the list."""

    dictionary: str
    kind: str
    hook: str
    notice: str | None
    choice: FeatureChoice
    """With the defaults put in."""
    explainers: tuple[str, ...]
    measures: tuple[str, ...]
    """Those of the chosen explainer."""
    n_all: int
    """Extracted features."""
    n_found: int
    """Of these, those that the filters let through."""
    n_pages: int
    features: tuple[ListedFeature, ...]


def read_choice(asked: Mapping[str, str]) -> FeatureChoice:
    """The choice that the words behind an address make. Raises UserError for a name or a value that is none."""
    known = {field.name: field for field in fields(FeatureChoice)}
    values: dict[str, str | float | int | None] = {}
    for name, value in asked.items():
        if name not in known:
            raise UserError(f'there is no filter "{name}"; there are {", ".join(known)}')
        if not value.strip():
            continue
        if name in ("token", "where") and len(value) > LONGEST:
            raise UserError(f"{name}: {len(value):,} characters; {LONGEST:,} are read here")
        if name.endswith(("_from", "_to")) or name == "page":
            values[name] = _number(name, value)
        else:
            values[name] = value
    for name, words in (("status", STATUSES), ("sort", SORTS), ("order", ("up", "down"))):
        if values.get(name, words[0]) not in words:
            raise UserError(f'{name} "{values[name]}" is not one of {", ".join(words)}')
    return FeatureChoice(**values)  # type: ignore[arg-type]  # checked above, by name


def _number(name: str, value: str) -> float | int:
    try:
        number = int(value) if name == "page" else float(value)
    except ValueError as error:
        raise UserError(f'{name} "{value}" is not a number') from error
    if not isfinite(number) or (name == "page" and not 1 <= number < 1 << 40):
        raise UserError(f'{name} "{value}" is out of range')
    return number


def load_features(store: StoreReader, dictionary: str, choice: FeatureChoice) -> FeaturesPage:
    """Reads a page of features. Raises StoreError where there is no such dictionary, UserError where the choice
    names an explainer or a measure that is not there."""
    brief = store.brief()
    facts = dictionary_row(brief, dictionary)
    asked = _ask(store, dictionary, choice)
    sort, once = choice.sort, asked.once
    sql, bound = counted(asked.values, once)
    [n_found] = [row["n"] for row in brief.rows(sql, **bound)]
    page = {"many": PER_PAGE, "offset": PER_PAGE * (choice.page - 1)}
    sql, bound = placed(asked.values | page, sort, once)
    only = [row["feature"] for row in brief.rows(sql, **bound)]
    sql, bound = listed(asked.values | {"only": only}, sort, once, page=True)
    rows = brief.rows(sql, **bound) if only else []
    [every] = brief.rows(_EVERY, dictionary=dictionary)
    return FeaturesPage(
        dictionary=dictionary,
        kind=facts["kind"],
        hook=facts["hook"],
        notice=store.notice,
        choice=asked.choice,
        explainers=asked.explainers,
        measures=asked.measures,
        n_all=every["n"],
        n_found=n_found,
        n_pages=-(-n_found // PER_PAGE),
        features=tuple(ListedFeature(**row) for row in rows),
    )


def listed_features(store: StoreReader, dictionary: str, choice: FeatureChoice) -> tuple[FeatureChoice, pa.Table]:
    """All pages of features at once, the columns of `ListedFeature`, and the choice with its defaults put in. Raises as
    `load_features`."""
    dictionary_row(store, dictionary)
    asked = _ask(store, dictionary, choice)
    sql, bound = listed(asked.values, choice.sort, asked.once, page=False)
    return asked.choice, store.query(sql, **bound)


@dataclass(frozen=True)
class _AskedFeatures:
    """A choice, and what it makes of the statements."""

    choice: FeatureChoice
    explainers: tuple[str, ...]
    measures: tuple[str, ...]
    values: dict[str, object]
    """What the pieces of `features_sql` bind."""
    once: bool
    """Whether no label was asked for again."""


def _ask(store: StoreReader, dictionary: str, choice: FeatureChoice) -> _AskedFeatures:
    brief = store.brief()
    kinds = brief.rows(_KINDS, dictionary=dictionary)
    explainers = sorted({row["explainer"] for row in kinds}, key=explainer_order)
    labels = [name for name in explainers if not is_control(name)]
    explainer = choice.explainer or next(iter(labels or explainers), "")
    _known("explainer", explainer, explainers)
    mine = [row for row in kinds if row["explainer"] == explainer and row["metric"] is not None]
    by_name = {f"{row['metric']}, {row['design']}, {row['scorer']}": row for row in mine}
    primary = {name: is_primary(row["metric"], row["design"], row["scorer"]) for name, row in by_name.items()}
    first = sorted(by_name, key=lambda name: not primary[name])
    measure = choice.measure or next(iter(first), "")
    _known("measure", measure, list(by_name))
    kind = by_name.get(measure, {"scorer": "", "metric": "", "design": ""})
    chosen = replace(choice, explainer=explainer, measure=measure)
    values = {
        "dictionary": dictionary,
        "explainer": explainer,
        "scorer": kind["scorer"],
        "metric": kind["metric"],
        "design": kind["design"],
        "status": choice.status,
        "words": choice.q.lower().split(),
        "density_from": choice.density_from,
        "density_to": choice.density_to,
        "score_from": choice.score_from,
        "score_to": choice.score_to,
        "sign": -1 if choice.order == "down" else 1,
    }
    among = _among(store, dictionary, chosen)
    if among is not None:
        values["among" if among else "nothing"] = sorted(among) or True
    [again] = brief.rows(_AGAIN, dictionary=dictionary, explainer=explainer)
    return _AskedFeatures(chosen, tuple(explainers), tuple(by_name), values, not again["again"])


def _among(store: StoreReader, dictionary: str, choice: FeatureChoice) -> set[int] | None:
    """The features that a token and a condition let through; None: all."""
    kept: set[int] | None = None
    if choice.token:
        rows = store.brief().rows(_FIRES_ON, dictionary=dictionary, token=choice.token)
        kept = {row["feature"] for row in rows}
    if choice.where:
        holds = set(features_where(store.path, choice.where, dictionary, choice.explainer))
        kept = holds if kept is None else kept & holds
    return kept


def _known(what: str, name: str, known: list[str]) -> None:
    if name and name not in known:
        raise UserError(f'there is no {what} "{name}" of this dictionary; there are {", ".join(known) or "none"}')


_KINDS = """
SELECT DISTINCT explainer, scorer, metric, design FROM (
    SELECT explainer, NULL AS scorer, NULL AS metric, NULL AS design FROM explanations WHERE dictionary = $dictionary
    UNION ALL
    SELECT explainer, scorer, metric, design FROM dictionary_scores WHERE dictionary = $dictionary
) ORDER BY explainer, design, scorer, metric
"""

_FIRES_ON = """
WITH ids AS (
    SELECT list(token) AS tokens FROM vocab WHERE text = $token OR text = ' ' || $token
)
SELECT feature FROM feature_tokens t, ids WHERE dictionary = $dictionary AND list_has_any(t.tokens, ids.tokens)
"""

_EVERY = "SELECT count(*) AS n FROM features WHERE dictionary = $dictionary"

_AGAIN = "SELECT max(again) AS again FROM explanations WHERE dictionary = $dictionary AND explainer = $explainer"
