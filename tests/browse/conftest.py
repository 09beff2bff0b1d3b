"""The pages of stores, asked for as a browser would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from autointerp.browse.app import make_app

PORT = 8377
Open = Callable[[Path], TestClient]


@pytest.fixture(scope="session")
def open_pages() -> Open:
    """A client of a store's pages."""

    def opened(path: Path) -> TestClient:
        return TestClient(make_app(path, PORT), base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)

    return opened


@pytest.fixture(scope="session")
def client(judged_store: Path, open_pages: Open) -> TestClient:
    """The pages of the store that a run made."""
    return open_pages(judged_store)
