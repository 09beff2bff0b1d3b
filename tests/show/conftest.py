"""A store built once a session, and a fresh copy of it for each test that asks."""

from __future__ import annotations

import io
import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console, RenderableType

from autointerp.store.reader import StoreReader, open_reader

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


@pytest.fixture
def opened(built: tuple[Path, object]) -> Iterator[StoreReader]:
    with open_reader(built[0]) as reader:
        yield reader


@pytest.fixture(scope="session")
def printed() -> Callable[..., str]:
    """What a console of this width shows."""

    def show(page: RenderableType, *, colours: bool = False, width: int = 200) -> str:
        stream = io.StringIO()
        system = "truecolor" if colours else None
        Console(file=stream, width=width, force_terminal=colours, color_system=system).print(page)
        return stream.getvalue()

    return show
