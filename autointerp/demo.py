"""`autointerp demo`: the bundled run file, then the comparison, where the store lies and what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from autointerp.config.loading import load_run
from autointerp.resources import run_path

PEARSON = "select * from dictionary_summary where metric = 'pearson'"


def run_demo(store: Path) -> None:
    """Runs `runs/demo.toml` and shows its comparison."""
    from autointerp.pipeline import run
    from autointerp.show.console import page_console

    path = run(load_run(run_path("demo"), store=store))
    show_comparison(path, page_console())
    print(next_steps(path))


def show_comparison(path: Path, console: Console) -> None:
    """The scores of the embedded explainer over all tokens of the score split, and their differences."""
    from autointerp.show.compare import compare_page
    from autointerp.show.compare_data import ScoreChoice
    from autointerp.store.reader import open_reader

    choice = ScoreChoice(metrics=["pearson"], explainers=["lexical"], designs=["census"])
    with open_reader(path) as reader:
        console.print(compare_page([(path.stem, reader)], choice, hidden=False))


def next_steps(path: Path) -> str:
    """Where the store lies, and three things to type."""
    from autointerp.show.good_example import good_example
    from autointerp.store.reader import open_reader

    with open_reader(path) as reader:
        example = good_example(reader)
    name = shlex.quote(str(path))
    feature = shlex.quote(f"{example[0]}/{example[1]}") if example else "DICT/FEATURE"
    lines = [
        f"The store: {path} ({path.stat().st_size / 1e6:,.0f} MB)",
        "Next:",
        f"  autointerp show {name} {feature}",
        f"  autointerp compare {name}",
        f'  autointerp sql {name} "{PEARSON}"',
    ]
    return "\n" + "\n".join(lines)
