"""A store from Python, on the file that a run made."""

from __future__ import annotations

from pathlib import Path

import pytest

import autointerp
from autointerp.notebook.stored import Store


@pytest.fixture(scope="session")
def opened(judged_store: Path) -> Store:
    """As a user opens it."""
    return autointerp.open_store(judged_store)
