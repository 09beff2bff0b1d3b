"""First paint in chromium: of ten visits to each page of a store the median and the least, each in a new context of the
browser (no cache), with the moment when the first byte came.

make test-browser                                            # once: it installs what drives the browser
PYTHONPATH=.venv-browser python benchmarks/first_paint.py demo.duckdb / /dictionary/mlp-1k /feature/mlp-1k/162

`again` is the same page when the server has it already: it was shown before, or stands beside a feature that was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TIMES = 10
AT = """() => [performance.getEntriesByType("navigation")[0].responseStart,
               performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0]"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("address", nargs="+")
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        for address in asked.address:
            first = [served(browser, asked.store, address) for _ in range(TIMES)]
            print(f"{address}: {said(first, 0)}; again {said(first, 1)}")
        browser.close()


def served(browser: Any, store: Path, address: str) -> list[tuple[float, float]]:
    """First byte and first paint (ms) of two visits to a page, by a server that has shown another page before."""
    command = [sys.executable, "-m", "autointerp", "browse", str(store), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603 - ours
    try:
        assert server.stdout is not None
        root = server.stdout.readline().split()[0].rstrip("/")
        visited(browser, f"{root}/sql")
        return [visited(browser, root + address) for _ in range(2)]
    finally:
        server.terminate()
        server.wait(timeout=20)


def visited(browser: Any, address: str) -> tuple[float, float]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address, wait_until="load")
    for _ in range(50):
        first_byte, paint = page.evaluate(AT)
        if paint:
            break
        time.sleep(0.02)
    context.close()
    return first_byte, paint


def said(visits: list[list[tuple[float, float]]], which: int) -> str:
    bytes_at, paints = zip(*(visit[which] for visit in visits), strict=True)
    return (
        f"first paint {statistics.median(paints):.0f} ms (least {min(paints):.0f}), "
        f"first byte {statistics.median(bytes_at):.0f} ms"
    )


if __name__ == "__main__":
    main()
