"""What the page of two dictionaries shows: their means, the differences with their verdicts, strata, and matched pairs.

The rows are those of `autointerp compare` and of its report; nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from autointerp.errors import UserError
from autointerp.show.compare_data import ComparisonRow, SummaryRow, load_comparisons, load_summary
from autointerp.show.conclusions import conclusions
from autointerp.show.report.questions import about, ask
from autointerp.show.score_kind import ScoreKind
from autointerp.show.strata import Stratum, load_strata
from autointerp.store.evidence import dictionary_names, dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.reader import StoreReader
from autointerp.words import is_control

MOST_PAIRS = 20
"""Matched pairs shown: those whose scores differ most."""


@dataclass(frozen=True)
class MatchedFeatures:
    """A feature and the baseline's feature that fires as often."""

    feature_a: int
    feature_b: int
    score_a: float
    score_b: float
    difference: float
    text_a: str | None
    text_b: str | None


@dataclass(frozen=True)
class MatchCount:
    """How well the features of two dictionaries are matched."""

    n_pairs: int
    n_within: int
    """Pairs whose firings on the score split are within 10 % or 3."""


@dataclass(frozen=True)
class ComparePairPage:
    """All of the page; without a and b: the pairs to choose from."""

    notice: str | None
    dictionaries: tuple[str, ...]
    a: str
    b: str
    kind: str
    """The kind of score that pairs and strata are about, as its title; empty: there is none."""
    kinds: tuple[str, ...]
    """Those that can be chosen."""
    means: tuple[SummaryRow, ...]
    """Of both, by the primary metrics; controls left out."""
    differences: tuple[ComparisonRow, ...]
    """Of the pair, as a - b; without a pair, those of all pairs."""
    sentences: tuple[str, ...]
    """What the differences of the chosen kind say."""
    strata: tuple[Stratum, ...]
    matched: MatchCount | None
    """None: b is not matched to a."""
    pairs: tuple[MatchedFeatures, ...]


def load_pair(store: StoreReader, a: str = "", b: str = "", kind: str = "") -> ComparePairPage:
    """Reads the page. Raises StoreError for a dictionary that is not there, UserError where both are the same, or for a
    kind of score that the pair has not."""
    brief = store.brief()
    names = tuple(dictionary_names(brief))
    rows = load_comparisons(brief, store.path.name, _shown)
    if not (a and b):
        return ComparePairPage(store.notice, names, a, b, "", (), (), tuple(rows), (), (), None, ())
    for name in (a, b):
        dictionary_row(brief, name)
    if a == b:
        raise UserError(f'"{a}" is compared with another dictionary; name two')
    differences = [row for row in rows if (row.a, row.b) == (a, b)]
    differences += [_turned(row) for row in rows if (row.a, row.b) == (b, a)]
    means = [row for row in load_summary(brief, store.path.name, _shown) if row.dictionary in (a, b)]
    compared = {row.about for row in differences}
    kinds = sorted(compared | {row.about for row in means}, key=ScoreKind.order)
    titles = {about.title(): about for about in kinds}
    if kind and kind not in titles:
        raise UserError(f'there are no scores "{kind}" of this pair; there are {"; ".join(titles) or "none"}')
    usual = sorted(kinds, key=lambda about: about not in compared)
    chosen = titles.get(kind) or next(iter(usual), None)
    return ComparePairPage(
        notice=store.notice,
        dictionaries=names,
        a=a,
        b=b,
        kind=chosen.title() if chosen else "",
        kinds=tuple(titles),
        means=tuple(means),
        differences=tuple(differences),
        sentences=tuple(conclusions([row for row in differences if row.about == chosen])),
        strata=_strata(brief, a, b, chosen),
        matched=_matched(brief, a, b),
        pairs=_pairs(brief, a, b, chosen),
    )


def _shown(kind: ScoreKind) -> bool:
    return kind.primary and not is_control(kind.explainer)


def _turned(row: ComparisonRow) -> ComparisonRow:
    """The same difference the other way round."""
    sides = {"A": "B", "B": "A"}
    return replace(
        row,
        a=row.b,
        b=row.a,
        n_a=row.n_b,
        n_b=row.n_a,
        difference=_negative(row.difference),
        low=_negative(row.high),
        high=_negative(row.low),
        verdict=sides.get(row.verdict, row.verdict),
        scored_difference=_negative(row.scored_difference),
        scored_verdict=sides.get(row.scored_verdict, row.scored_verdict),
        n_unscored_a=row.n_unscored_b,
        n_unscored_b=row.n_unscored_a,
    )


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _strata(store: Queryable, a: str, b: str, kind: ScoreKind | None) -> tuple[Stratum, ...]:
    rows = load_strata(store, "", [kind] if kind else [])
    turned = [replace(row, a=a, b=b, n_a=row.n_b, n_b=row.n_a, difference=-row.difference)
              for row in rows if (row.a, row.b) == (b, a)]  # fmt: skip
    return tuple([row for row in rows if (row.a, row.b) == (a, b)] + turned)


def _matched(store: Queryable, a: str, b: str) -> MatchCount | None:
    [counted] = store.rows(_MATCHED, a=a, b=b)
    return MatchCount(**counted) if counted["n_pairs"] else None


def _pairs(store: Queryable, a: str, b: str, kind: ScoreKind | None) -> tuple[MatchedFeatures, ...]:
    if kind is None:
        return ()
    rows = ask(store, "pairs", **about(kind), most=MOST_PAIRS).rows
    mine = [row for row in rows if (row.pop("a"), row.pop("b")) == (a, b)]
    return tuple(MatchedFeatures(**row) for row in mine)


_MATCHED = """
SELECT count(*) AS n_pairs, count(*) FILTER (within) AS n_within FROM matched_pairs
WHERE dictionary = $a AND baseline = $b
"""
