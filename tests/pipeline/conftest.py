"""Run files over the tiny model, and the rows of a store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from bad_input import Refused, contents
from detectors import write_detectors

from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.pipeline import run
from autointerp.progress import Reporter

TIMES = {"seconds", "finished_at", "started_at"}
"""Columns that may differ between two runs of one configuration."""
HOOK = "blocks.1.hook_resid_post"


def toml_of(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_of(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value)


def read_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, in an order of their own, but for what tells the time, the store's path and the engine."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
        found = {}
        for (table,) in tables:
            columns = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
            kept = [column for column in columns if column not in TIMES]
            if table == "runs":
                kept[kept.index("config")] = """json_merge_patch(config, '{"store": null, "engine": null}')"""
            rows = connection.execute(f"SELECT {', '.join(kept)} FROM {table}").fetchall()
            found[table] = sorted(rows, key=repr)
    return found


@pytest.fixture(scope="session")
def rows_of() -> Callable[[Path], dict[str, list[tuple[Any, ...]]]]:
    return read_rows


@pytest.fixture(scope="session")
def sae_folder(write_sae: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A standard SAE of 48 features at HOOK; feature 5 hardly ever fires, feature 6 never."""

    def quieten(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["b_enc"][5] = -1.0
        weights["b_enc"][6] = -1e4

    return write_sae(tmp_path_factory.mktemp("sae") / "standard", change=quieten)


@pytest.fixture
def write_run(tiny_model: Path, tokens_npy: Path, sae_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes RUN.toml in the test's own folder; a section given as a dictionary is changed, None drops a key."""

    def write(name: str = "tiny", **changed: Any) -> Path:
        run: dict[str, Any] = {
            "name": name,
            "store": str(tmp_path / f"{name}.duckdb"),
            "subject": {"model": str(tiny_model), "device": "cpu"},
            "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
            "dictionary": [{"name": "sae", "path": str(sae_folder)}],
            "score": {"features": {"sample": 12}},
            "effects": {
                "features": {"sample": 3},
                "positions": 2,
                "after": 4,
                "exemplars": 2,
                "context_exemplars": 1,
                "context_before": 3,
                "sensitivity_positions": 1,
                "change_contexts": 4,
                "change_tokens": 2,
                "geometry_features": {"sample": 6},
                "geometry_tokens": 512,
            },
        }
        for key, value in changed.items():
            run[key] = run[key] | value if isinstance(value, dict) and key in run else value
        file = tmp_path / f"{name}.toml"
        lines = []
        for key, value in run.items():
            kept = {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
            if kept is not None:
                lines.append(f"{key} = {toml_of(kept)}\n")
        file.write_text("".join(lines))
        return file

    return write


@pytest.fixture
def sae(sae_folder: Path, tmp_path: Path) -> Path:
    """A copy of the SAE, to be damaged."""
    return Path(shutil.copytree(sae_folder, tmp_path / "sae"))


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Runs a command that must fail; returns the one line that it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, status: int = 2) -> str:
        before = contents(tmp_path)
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert caught.value.code == status, err
        assert out == ""
        assert "Traceback" not in err
        *progress, last = err.splitlines()
        assert last.startswith("error: "), err
        assert not [line for line in progress if "rror" in line]
        assert contents(tmp_path) == before, "nothing may be written"
        return last.removeprefix("error: ")

    return run


@pytest.fixture(scope="session")
def detectors(
    plain_model: Any, write_sae: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Dictionaries whose features fire on exactly the tokens of `detectors.SETS`."""
    return write_detectors(plain_model, write_sae, tmp_path_factory.mktemp("detectors"))


@pytest.fixture(scope="session")
def extracted(
    detectors: dict[str, Path], tiny_model: Path, tokens_npy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """A store with these dictionaries."""
    folder = tmp_path_factory.mktemp("stores")

    def make(name: str, dictionaries: str, until: str = "extract", **tokens: Any) -> Path:
        facts = {
            "name": name,
            "store": str(folder / f"{name}.duckdb"),
            "subject": {"model": str(tiny_model), "device": "cpu"},
            "tokens": {"source": f"npy:{tokens_npy}", "window": 7, **tokens},
            "dictionary": [{"name": one, "path": str(detectors[one])} for one in dictionaries],
        }
        return run(parse_run(facts), until=until, reporter=Reporter(quiet=True))

    return make
