"""Joined stores: the rows of one run over all dictionaries, or a line that says why not, and never half a file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_input import Refused
from stored import check, rows

from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.pipeline import run
from autointerp.progress import Reporter
from autointerp.store.merging import ALIKE, COMPARED, KEYED, MADE

Build = Callable[..., Path]
OTHER_HOOK = "blocks.2.hook_resid_post"


@pytest.fixture(scope="module")
def build(
    write_sae: Callable[..., Path],
    sae_folder: Path,
    tiny_model: Path,
    tokens_npy: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Build:
    """Runs the tiny model with the dictionaries named, and returns the store; a section is changed by its keys."""
    folder = tmp_path_factory.mktemp("to-merge")
    paths = {"sae": sae_folder, "other": write_sae(folder / "other", hook=OTHER_HOOK, seed=3)}

    def built(
        name: str, *dictionaries: str, store: Path | None = None, until: str | None = None, **changed: Any
    ) -> Path:
        path = store or folder / f"{name}.duckdb"
        config: dict[str, Any] = {
            "name": name,
            "store": str(path),
            "subject": {"model": str(tiny_model), "device": "cpu"},
            "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
            "dictionary": [{"name": key, "path": str(paths[key])} for key in dictionaries],
            "score": {"features": {"sample": 12}},
            "effects": {"features": {"sample": 3}, "positions": 2, "after": 4},
        }
        for key, value in changed.items():
            config[key] = {**config[key], **value} if isinstance(value, dict) and key in config else value
        run(parse_run(config), until=until, reporter=Reporter(quiet=True))
        return path

    return built


@pytest.fixture(scope="module")
def two(build: Build) -> list[Path]:
    """The stores of two runs, a dictionary each, at two hooks."""
    return [build("sae", "sae"), build("other", "other")]


SAME = (
    "contexts", "dictionaries", "exemplars", "explanations", "feature_splits", "features", "hook_norms",
    "logit_effects", "lookups", "pool", "pool_firing", "scores", "simulations", "subjects", "token_splits", "vocab",
)  # fmt: skip


def test_a_joined_store_is_that_of_one_run(
    two: list[Path],
    build: Build,
    rows_of: Callable[[Path], dict[str, list[Any]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [rows_of(path) for path in two]
    joined = tmp_path / "joined.duckdb"
    main(["merge", str(joined), *map(str, two)])
    assert "sae, other" in capsys.readouterr().out
    assert [rows_of(path) for path in two] == before, "the stores stay as they are"
    check(joined)
    shown = {row["dictionary"] for row in rows(joined, "SELECT DISTINCT dictionary FROM dictionary_summary")}
    assert shown == {"sae", "other"}
    whole = build("whole", "sae", "other")
    alone = rows_of(whole)
    mine = rows_of(joined)
    assert {name: mine[name] for name in SAME} == {name: alone[name] for name in SAME}
    # the run file of both finds all its work done but for what sets the two beside each other
    assert rows(joined, "SELECT 1 FROM stages WHERE stage = 'compare'") == []
    main(["compare", str(joined)])
    assert "other" in capsys.readouterr().out
    n = rows(joined, "SELECT count(*) AS n FROM stages")[0]["n"]
    build("whole", "sae", "other", store=joined)
    new = rows(joined, "SELECT stage FROM stages ORDER BY finished_at LIMIT 99999 OFFSET $n", n=n)
    assert {row["stage"] for row in new} == {"compare", "compare_effects", "similarity"}
    question = "SELECT * FROM comparison_table ORDER BY ALL"
    assert rows(joined, question) == rows(whole, question) != []
    check(joined)


def test_stores_that_are_not_comparable(two: list[Path], build: Build, refused: Refused, tmp_path: Path) -> None:
    first, second = two
    out = tmp_path / "out.duckdb"
    assert "two stores or more" in refused("merge", out, first)
    assert "named twice" in refused("merge", out, first, first)
    assert "is there already" in refused("merge", second, first, second)
    assert "there is no store" in refused("merge", out, first, tmp_path / "no.duckdb")
    again = shutil.copy(first, tmp_path / "again.duckdb")
    assert 'dictionary "sae" is in' in refused("merge", out, first, again)
    said = refused("merge", out, first, build("seeded", "other", seed=5, until="extract"))
    assert "differ in seed" in said
    assert "5)" in said


KILLED = """
import os, signal, sys
from autointerp.store import merging
left, copy = int(sys.argv[1]), merging._copy
def counted(*arguments, **options):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return copy(*arguments, **options)
merging._copy = counted
from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.pipeline import run
from autointerp.progress import Reporter
main(["merge", *sys.argv[2:]])
"""


@pytest.mark.parametrize("tables", [60])
def test_a_killed_merge_leaves_no_store(two: list[Path], tmp_path: Path, tables: int) -> None:
    out = tmp_path / "out.duckdb"
    command = [sys.executable, "-c", KILLED, str(tables), str(out), *map(str, two)]
    ended = subprocess.run(command, check=False, capture_output=True, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not out.exists()
    for path in two:
        check(path)
    main(["merge", str(out), *map(str, two)])
    check(out)
    assert not list(tmp_path.glob(".out.duckdb*"))


def test_every_table_has_a_rule(two: list[Path]) -> None:
    """What has none is about dictionaries, or is the history of runs."""
    columns: dict[str, set[str]] = {}
    for row in rows(two[0], "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"):
        columns.setdefault(row["table_name"], set()).add(row["column_name"])
    tables = {row["table_name"] for row in rows(two[0], "SELECT table_name FROM duckdb_tables() WHERE NOT internal")}
    ruled = {*ALIKE, *KEYED, *COMPARED, *MADE}
    assert ruled <= tables
    rest = tables - ruled
    assert {name for name in rest if "dictionary" not in columns[name]} == {"runs"}
    for table, key in KEYED.items():
        assert set(key) <= columns[table]
