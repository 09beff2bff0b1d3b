"""`export parquet` and `export jsonl`: what the store says of chosen features, for other programs.

Parquet: a folder with a file a table. JSON lines: a line a feature, as `/feature/NAME/NUMBER.json` without its panels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from autointerp.browse.feature_data import FeaturePage, load_feature
from autointerp.export.chosen import ChosenFeatures
from autointerp.show.export import scored_kinds, scores_of
from autointerp.show.plain_json import as_json
from autointerp.store.reader import StoreReader
from autointerp.whole_files import whole_file, whole_folder

TABLES = {
    "features": """
        SELECT f.* FROM features f
        WHERE f.dictionary = $dictionary AND f.feature IN (SELECT unnest($features::INTEGER[]))
        ORDER BY f.feature""",
    "explanations": """
        SELECT e.* EXCLUDE (lookup, request, prompt) FROM current_explanations e
        WHERE e.dictionary = $dictionary AND e.feature IN (SELECT unnest($features::INTEGER[]))
        ORDER BY e.feature, e.explainer""",
    "exemplars": """
        SELECT * FROM exemplar_texts
        WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features::INTEGER[])) AND split = 'explain'
        ORDER BY feature, stratum, rank""",
    "logit_effects": """
        SELECT * FROM promoted_tokens
        WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features::INTEGER[]))
        ORDER BY feature, direction, rank""",
}  # fmt: skip
"""A question for each file; `scores` is that of `show/export.py`."""
AT_ONCE = 512
"""Features of one question: exemplars of all at once are many."""


def export_parquet(
    store: StoreReader, chosen: Sequence[ChosenFeatures], folder: Path, say: Callable[[str], None]
) -> None:
    """Writes the folder. Raises UserError where its name is taken or it cannot be written."""
    with whole_folder(folder) as part:
        for name in (*TABLES, "scores"):
            n = 0
            writer: pa.parquet.ParquetWriter | None = None
            parts = _scores(store, chosen) if name == "scores" else _rows(store, chosen, TABLES[name])
            for rows in parts:
                writer = writer or pa.parquet.ParquetWriter(str(part / f"{name}.parquet"), rows.schema)
                writer.write_table(rows)
                n += rows.num_rows
            if writer is not None:
                writer.close()
            say(f"{name}.parquet: {n:,} rows")


def _rows(store: StoreReader, chosen: Sequence[ChosenFeatures], sql: str) -> Iterator[pa.Table]:
    for some in chosen:
        for first in range(0, len(some.features), AT_ONCE):
            features = list(some.features[first : first + AT_ONCE])
            yield store.query(sql, dictionary=some.dictionary, features=features)


def _scores(store: StoreReader, chosen: Sequence[ChosenFeatures]) -> Iterator[pa.Table]:
    kinds = scored_kinds(store)
    for some in chosen:
        rows = scores_of(store, kinds, some.dictionary)
        wanted = pa.array(some.features, type=pa.int32())
        yield rows.filter(pa.compute.is_in(rows["feature"], value_set=wanted))


def export_jsonl(store: StoreReader, chosen: Sequence[ChosenFeatures], path: Path, say: Callable[[str], None]) -> None:
    """Writes the file. Raises UserError where it cannot be written."""
    n = 0
    with whole_file(path) as stream:
        for page in _pages(store, chosen):
            stream.write(as_json(page) + b"\n")
            n += 1
    say(f"{n:,} features")


def _pages(store: StoreReader, chosen: Sequence[ChosenFeatures]) -> Iterator[FeaturePage]:
    for some in chosen:
        for feature in some.features:
            yield replace(load_feature(store, some.dictionary, feature), notice=None)
