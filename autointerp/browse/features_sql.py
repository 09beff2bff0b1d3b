"""The statements of the list of features, put together from fixed pieces: a table that neither filters nor sorts is not
read until the rows of the page are known, which is what keeps a list of 100,000 features quick.

What a reader chooses is bound, by name; nothing of it becomes part of a statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SORTED_BY = {
    "feature": "f.feature",
    "score": "s.value",
    "output": "w.output",
    "input_less_output": "s.value - w.output",
    "density": "f.density",
    "max_activation": "f.max_activation",
    "token_entropy": "f.token_entropy",
    "description_length": "e.description_length",
}
"""What each sort looks at: of `features` (f), the label (e), its score (s), how well it says what is written (w)."""

Statement = tuple[str, dict[str, object]]
"""SQL and the values bound in it."""


def counted(values: Mapping[str, object], once: bool) -> Statement:
    """How many features the filters let through. `once`: nothing was explained again, so each label is the latest."""
    tables = "".join(_filtering(values))
    return _bound("SELECT count(*) AS n" + _FROM + _joined(tables, once) + _where(values), values)


def placed(values: Mapping[str, object], sort: str, once: bool) -> Statement:
    """The features of a page, in order."""
    by = SORTED_BY[sort]
    tables = "".join(_filtering(values)) + by
    return _bound("SELECT f.feature" + _FROM + _joined(tables, once) + _where(values) + _ORDER[sort] + _PAGE, values)


def listed(values: Mapping[str, object], sort: str, once: bool, page: bool) -> Statement:
    """The rows in order; `page`: of the features bound as `only`, else of all that the filters let through."""
    where = " WHERE f.dictionary = $dictionary AND f.feature" + _ONLY if page else _where(values)
    return _bound(_COLUMNS + _FROM + _joined("e.s.w.", once, page) + where + _ORDER[sort], values)


def _bound(sql: str, values: Mapping[str, object]) -> Statement:
    used = set(re.findall(r"\$(\w+)", sql))
    return sql, {name: value for name, value in values.items() if name in used}


def _filtering(values: Mapping[str, object]) -> list[str]:
    """The tables, as the filters name them, that are needed to filter."""
    scores = [name for name in ("score_from", "score_to") if values[name] is not None]
    return (["e."] if values["words"] else []) + (["s."] if scores else [])


def _joined(tables: str, once: bool, page: bool = False) -> str:
    """The joins of these tables; `page`: of the features bound as `only` alone."""
    said = _SAID_ONCE if once else _SAID
    pieces = (("e.", said, ") e USING (feature)"), ("s.", _SCORED, ") s USING (feature)"),
              ("w.", _WRITTEN, "GROUP BY feature) w USING (feature)"))  # fmt: skip
    only = " AND feature" + _ONLY if page else " "
    return "".join(piece + only + end for name, piece, end in pieces if name in tables)


def _where(values: Mapping[str, object]) -> str:
    given = (name for name, value in values.items() if name in _FILTERS and value not in (None, "", []))
    return " WHERE f.dictionary = $dictionary" + "".join(_FILTERS[name] for name in given)


_FILTERS = {
    "status": " AND f.status = $status",
    "density_from": " AND f.density >= $density_from",
    "density_to": " AND f.density <= $density_to",
    "score_from": " AND s.value >= $score_from",
    "score_to": " AND s.value <= $score_to",
    "words": " AND len(list_filter($words::VARCHAR[], lambda word: NOT contains(lower(coalesce(e.text, '')), word)))"
    " = 0",
    "among": " AND f.feature IN (SELECT unnest($among::INTEGER[]))",
    "nothing": " AND false",
}

_SAID = """
LEFT JOIN (
    SELECT feature, text, status, description_length FROM current_explanations
    WHERE dictionary = $dictionary AND explainer = $explainer"""

_SAID_ONCE = """
LEFT JOIN (
    SELECT feature, text, status, description_length FROM explanations
    WHERE dictionary = $dictionary AND explainer = $explainer"""

_SCORED = """
LEFT JOIN (
    SELECT feature, value, ci_low, ci_high, status FROM score_table
    WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer AND metric = $metric
          AND design = $design"""

_WRITTEN = """
LEFT JOIN (
    SELECT feature, max(value) AS output FROM score_table
    WHERE dictionary = $dictionary AND explainer = $explainer AND metric = 'logit_accuracy_direct'"""

_ORDER = {name: f" ORDER BY $sign * ({by}) NULLS LAST, f.feature" for name, by in SORTED_BY.items()}

_FROM = "\nFROM features f"

_ONLY = " IN (SELECT unnest($only::INTEGER[]))"

_PAGE = " LIMIT $many OFFSET $offset"

_COLUMNS = """
SELECT f.feature, f.status, f.density, f.max_activation, f.token_entropy, e.text AS label, e.status AS label_status,
       e.description_length, s.value AS score, s.ci_low, s.ci_high, w.output, s.status AS score_status"""
