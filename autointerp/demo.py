"""`autointerp demo`: the bundled run file, then the comparison, where the store lies and what to type next."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from autointerp.config import load_run
from autointerp.resources import run_path


def run_demo(store: Path) -> None:
    """Runs `runs/demo.toml` and shows its comparison."""
    from autointerp.pipeline import run

    path = run(load_run(run_path("demo"), store=store))
    show_comparison(path, Console(file=sys.stdout))
    print(next_steps(path))


def show_comparison(path: Path, console: Console) -> None:
    """The summary and comparison tables of a store."""
    from autointerp.show.tables import compare_page
    from autointerp.store.reader import open_reader

    with open_reader(path) as reader:
        console.print(compare_page([(str(path), reader)]))


def next_steps(path: Path) -> str:
    """Where the store lies, and three things to type."""
    return (
        f"\nThe store: {path}\n"
        "Next:\n"
        f"  autointerp show {path} {_best(path)}\n"
        f"  autointerp compare {path}\n"
        f"  autointerp sql {path} \"select * from dictionary_summary where metric = 'pearson'\""
    )


def _best(path: Path) -> str:
    """A feature worth looking at: of the first SAE, the one of median score."""
    from autointerp.store.reader import open_reader

    sql = """
        SELECT dictionary, feature FROM feature_cards
        WHERE score IS NOT NULL AND kind IN ('sae', 'transcoder')
        ORDER BY dictionary, abs(score - 0.8), feature LIMIT 1
    """
    with open_reader(path) as reader:
        rows = reader.rows(sql) or reader.rows("SELECT dictionary, feature FROM features LIMIT 1")
    return f"{rows[0]['dictionary']}/{rows[0]['feature']}" if rows else "DICT/FEATURE"
