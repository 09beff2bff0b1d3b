"""Debian's chromium, driven without a screen, and the pages of a store that a run made.

Playwright comes from the package index (`make test-browser`); the browser is the one on the machine. Where either is
missing these tests are skipped, and `make test-browser` says NOT RUN.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watched_page import Watched

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where it is."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def address(judged_store: Path) -> Iterator[str]:
    """Where the pages are served."""
    command = [sys.executable, "-m", "autointerp", "browse", str(judged_store), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[0].rstrip("/")
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip("there is no chromium")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright

    with sync_playwright() as playwright:
        # Without its own sandbox where the user is root: chromium refuses to start otherwise.
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield opened
        opened.close()


@pytest.fixture
def watched(browser: Any, address: str) -> Iterator[Watched]:
    opened = Watched(browser, address)
    yield opened
    opened.check()
    opened.page.context.close()
