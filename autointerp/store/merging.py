"""Joining stores of different dictionaries into a new one, whole or not at all.

The new file is built under another name, in one transaction, and gets its own name at the end, as every store does
(`opening.py`): a kill at any moment leaves no store of that name. The others are attached read-only.

Every table of the schema has its rule, and a test holds them complete:

1. ALIKE, what stores are about: from the first; the others must hold the same rows.
2. KEYED, rows that stores may share under one key: each once.
3. COMPARED, what sets dictionaries beside each other: left out, with the work that made it. Each store's verdicts are
   about its own pairs, with levels for so many; a run over all dictionaries makes them anew, from the rows there are.
4. All others are about dictionaries, which the stores do not share: all rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from autointerp.errors import AutointerpError, StoreError
from autointerp.store.opening import create_with, store_error
from autointerp.store.query import one_line

ALIKE = ("subjects", "vocab", "token_splits", "pool")
"""Tables that are the same in stores of one subject and text."""
KEYED = {
    "contexts": ("context",),
    "hook_norms": ("hook",),
    "lookups": ("lookup",),
    "stages": ("stage", "work"),
    "again": ("number", "event", "dictionary", "explainer"),
    "llm_prefixes": ("prefix",),
    "llm_calls": ("request", "sample", "attempt"),
    "llm_batches": ("file", "status", "since"),
    "llm_batch_requests": ("file", "custom_id"),
    "llm_probes": ("server", "model", "wish"),
}
"""The key of each row that several stores may hold."""
COMPARED = ("comparisons", "powered_differences", "effect_means", "effect_differences", "dictionary_similarities",
            "feature_matches")  # fmt: skip
COMPARING = ("compare", "compare_effects", "similarity")
"""The stages that make them."""
MADE = ("meta",)
"""Written when the file is made."""
OF_WORK = ("stages", "works")
"""Tables that say which work there is, that of COMPARING too."""


@dataclass(frozen=True)
class MergedRun:
    """The run that a joined store was last written by: the latest of each store together."""

    run: str
    name: str
    seed: int
    config: str
    versions: str


def merge_stores(out: Path, sources: Sequence[Path], merged: MergedRun) -> None:
    """Writes the new store. Raises StoreError where its name is taken, where a store is held by another process, or
    where what stores share is not the same."""
    if out.exists():
        raise StoreError(f'"{out}" is there already; give the new store another name')
    for leftover in out.parent.glob(f".{out.name}.new-*"):  # of a merge that was killed
        leftover.unlink(missing_ok=True)
    create_with(out, lambda connection: _fill(connection, sources, merged))


def _fill(connection: duckdb.DuckDBPyConnection, sources: Sequence[Path], merged: MergedRun) -> None:
    tables: dict[str, list[str]] = dict(connection.execute(_TABLES).fetchall())
    for number, source in enumerate(sources):
        try:
            connection.execute(f"ATTACH $path AS source_{number} (READ_ONLY)", {"path": os.fspath(source)})
        except duckdb.Error as error:
            raise store_error(error, source) from error
    connection.execute("BEGIN TRANSACTION")
    try:
        for number, source in enumerate(sources):
            for table, columns in tables.items():
                if table not in (*MADE, *COMPARED):
                    _copy(connection, table, columns, f"source_{number}", sources[0], source, first=number == 0)
        now = datetime.now(UTC).replace(tzinfo=None)
        for number in range(len(sources)):
            works = _WORKS.format(source=f"source_{number}", comparing=COMPARING)
            connection.execute(works, {"run": merged.run})
        [(latest,)] = connection.execute("SELECT max(started_at) FROM runs").fetchall()
        connection.execute(
            "INSERT INTO runs VALUES ($run, $name, $seed, $config, $versions, $started_at)",
            {
                "run": merged.run,
                "name": merged.name,
                "seed": merged.seed,
                "config": merged.config,
                "versions": merged.versions,
                "started_at": now if latest is None else max(now, latest + datetime.resolution),
            },
        )
        connection.execute("COMMIT")
    except duckdb.Error as error:
        raise AutointerpError(f"the joined store could not be written: {one_line(error)}") from error
    for number in range(len(sources)):
        connection.execute(f"DETACH source_{number}")


def _copy(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: list[str],
    source: str,
    base: Path,
    path: Path,
    *,
    first: bool,
) -> None:
    """The rows of one table; `source`, `table`, its stored `columns` and the keys are names of ours."""
    stored = ", ".join(f"theirs.{name}" for name in columns)
    kept = f"theirs.stage NOT IN {COMPARING}" if table in OF_WORK else "true"
    if first or table not in (*ALIKE, *KEYED):
        connection.execute(f"INSERT INTO {table} SELECT {stored} FROM {source}.{table} theirs WHERE {kept}")  # noqa: S608 - ours
    elif table in KEYED:
        same = " AND ".join(f"theirs.{name} IS NOT DISTINCT FROM mine.{name}" for name in KEYED[table])
        rows = f"SELECT {stored} FROM {source}.{table} theirs ANTI JOIN {table} mine ON {same}"  # noqa: S608 - ours
        connection.execute(f"INSERT INTO {table} {rows} WHERE {kept}")
    else:
        mine, theirs = f"SELECT * FROM {table}", f"SELECT * FROM {source}.{table}"  # noqa: S608 - names of ours
        differ = f"SELECT count(*) FROM (({mine} EXCEPT {theirs}) UNION ALL ({theirs} EXCEPT {mine}))"  # noqa: S608
        [(n,)] = connection.execute(differ).fetchall()
        if n:
            raise StoreError(
                f'"{base}" and "{path}" differ in {n:,} rows of table {table}, which stores of one subject and text '
                "have alike"
            )


_TABLES = """
SELECT table_name, list(column_name ORDER BY column_index)
FROM duckdb_columns() JOIN duckdb_tables() USING (table_oid, table_name)
WHERE NOT duckdb_columns.internal AND column_default IS NULL -- a default is the expression of a computed column
GROUP BY table_oid, table_name ORDER BY table_oid
"""

_WORKS = """
INSERT INTO works
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM {source}.runs)
SELECT $run, w.stage, w.dictionary, w.explainer, w.scorer, w.work, w.decided_by
FROM {source}.works w SEMI JOIN latest USING (run)
ANTI JOIN (SELECT stage, work FROM works WHERE run = $run) already USING (stage, work)
WHERE w.stage NOT IN {comparing}
"""
