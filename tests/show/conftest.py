"""A store built once a session, and a fresh copy of it for each test that asks."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

BUILDER = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "store" / "builder.py")))


@pytest.fixture(scope="session")
def builder() -> SimpleNamespace:
    """The names of tests/store/builder.py."""
    return BUILDER


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    """The path of a complete store that no test may change, and the world it was written from."""
    path = tmp_path_factory.mktemp("store") / "demo.duckdb"
    return path, BUILDER.build_store(path)


@pytest.fixture
def store(built: tuple[Path, object], tmp_path: Path) -> Path:
    """A copy of the complete store."""
    return Path(shutil.copy(built[0], tmp_path / "demo.duckdb"))
