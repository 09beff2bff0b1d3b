"""A comparison as data: JSON on standard output, or a folder of Parquet files. All that the page shows, unrounded.

The JSON has a version: a number that changes its meaning or leaves raises it; new keys do not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from autointerp.errors import UserError
from autointerp.show.agreement import headline, what_metrics_say
from autointerp.show.compare_data import ComparePage
from autointerp.show.power import PowerRow
from autointerp.show.score_kind import ScoreKind
from autointerp.show.text import escape_json
from autointerp.store.query import Queryable

FORMAT, VERSION = "autointerp-compare", 1

SCORES = """
WITH asked AS (
    SELECT unnest($designs::VARCHAR[]) AS design, unnest($metrics::VARCHAR[]) AS metric,
           unnest($scorers::VARCHAR[]) AS scorer, unnest($explainers::VARCHAR[]) AS explainer
)
SELECT s.dictionary, s.feature, s.explainer, s.scorer, s.metric, s.design, s.value, s.ci_low, s.ci_high, s.n,
       s.n_failed, s.status, f.status AS feature_status, f.density, f.token_entropy, f.unit, f.matched_feature,
       e.text AS explanation, e.description_length
FROM score_table s JOIN features f USING (dictionary, feature)
SEMI JOIN asked USING (design, metric, scorer, explainer)
SEMI JOIN latest_works w ON w.dictionary = s.dictionary
LEFT JOIN current_explanations e ON e.dictionary = s.dictionary AND e.feature = s.feature AND e.explainer = s.explainer
WHERE $dictionary::VARCHAR IS NULL OR s.dictionary = $dictionary
ORDER BY s.explainer, s.design, s.scorer, s.metric, s.dictionary, s.feature
"""
"""Every feature's score of the kinds that are shown, of one dictionary or of all."""

_KINDS = "SELECT DISTINCT design, metric, scorer, explainer FROM score_table ORDER BY ALL"


def tables(page: ComparePage, power: Sequence[PowerRow] = ()) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table of the page, by the table's name."""
    means, differences = page.powered
    said = what_metrics_say(page.verdicts)
    return {
        "agreement": [
            {
                "store": pair.store, "explainer": pair.explainer, "side": "output" if pair.output else "input",
                "a": pair.a, "b": pair.b, "disagree": pair.disagree,
                **{word: list(pair.by_verdict.get(word, ())) for word in ("A", "B", "equivalent", "undecided")},
            }
            for pair in said
        ],
        "means": _rows(page.summary),
        "differences": _rows(page.comparisons),
        "verdicts": _rows(page.verdicts),
        "powered_means": _rows(means),
        "powered_differences": _rows(differences),
        "strata": _rows(page.strata),
        "fairness": _rows(page.fairness),
        "token_likeness": _rows(page.likeness),
        "designs": _rows(page.designs),
        "effect_means": _rows(page.effects.means),
        "estimate_agreement": _rows(page.effects.estimates),
        "effect_differences": _rows(page.effects.differences),
        "directions": _rows(page.geometry.directions),
        "description_lengths": _rows(page.geometry.lengths),
        "universality": _rows(page.geometry.universality),
        "power": _rows(power),
    }  # fmt: skip


def _rows(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Records as plain rows; what a score is about as columns."""
    rows = []
    for record in records:
        row = asdict(record)
        rows.append(row | row.pop("about", {}))
    return rows


def page_json(page: ComparePage, power: Sequence[PowerRow] = (), remarks: Sequence[str] = ()) -> str:
    """The page as one JSON object. NaN and infinities, which JSON lacks, are null."""
    said = what_metrics_say(page.verdicts)
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "remarks": list(remarks),
        "first_sentence": headline(said) if said else None,
        **tables(page, power),
    }
    return escape_json(json.dumps(_finite(whole), ensure_ascii=False, allow_nan=False, indent=1))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def write_parquet(
    folder: Path, page: ComparePage, stores: Sequence[tuple[str, Queryable]], power: Sequence[PowerRow] = ()
) -> list[Path]:
    """A file for each table that has rows, and `scores.parquet` with every feature's scores of the kinds shown. Returns
    the paths. Raises UserError where they cannot be written."""
    import pyarrow.parquet

    made = {name: _arrow(rows) for name, rows in tables(page, power).items() if rows}
    scores = [_scores(store, name, page.kinds) for name, store in stores]
    made["scores"] = pa.concat_tables(scores)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in made.items():
            pyarrow.parquet.write_table(rows, str(folder / f"{name}.parquet"))
    except OSError as error:
        raise UserError(f'"{folder}" cannot be written: {error.strerror or error}') from error
    return [folder / f"{name}.parquet" for name in made]


def _arrow(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Columns of what has one type; a nested record as JSON."""
    plain = [
        {key: json.dumps(value) if isinstance(value, dict | tuple) else value for key, value in row.items()}
        for row in rows
    ]
    return pa.Table.from_pylist(plain)


def scored_kinds(store: Queryable) -> list[ScoreKind]:
    """What the scores of a store are about."""
    return [ScoreKind(**row) for row in store.rows(_KINDS)]


def scores_of(store: Queryable, kinds: Sequence[ScoreKind], dictionary: str | None = None) -> pa.Table:
    """The scores of these kinds that count, with what stands beside each feature; None: of every dictionary."""
    return store.query(
        SCORES,
        designs=[kind.design for kind in kinds],
        metrics=[kind.metric for kind in kinds],
        scorers=[kind.scorer for kind in kinds],
        explainers=[kind.explainer for kind in kinds],
        dictionary=dictionary,
    )


def _scores(store: Queryable, name: str, kinds: Sequence[ScoreKind]) -> pa.Table:
    rows = scores_of(store, kinds)
    named: pa.Array[Any] = pa.array([name] * len(rows), type=pa.string())
    return rows.add_column(0, "store", named)
