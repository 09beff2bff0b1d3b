"""The complete store, open; what a console shows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console, RenderableType

from autointerp.store.reader import StoreReader, open_reader


@pytest.fixture
def opened(built: tuple[Path, object]) -> Iterator[StoreReader]:
    with open_reader(built[0]) as reader:
        yield reader


@pytest.fixture(scope="session")
def printed() -> Callable[..., str]:
    """What a console of this width shows."""

    def show(page: RenderableType, *, colours: bool = False, width: int = 200) -> str:
        stream = io.StringIO()
        system: Literal["truecolor"] | None = "truecolor" if colours else None
        Console(file=stream, width=width, force_terminal=colours, color_system=system).print(page)
        return stream.getvalue()

    return show
