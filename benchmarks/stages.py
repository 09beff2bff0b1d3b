"""What each stage of a run costs: CPU seconds (of all threads), wall seconds, and the peak of memory up to its end.

The run file is run into a new store, `runs/demo.toml` by default; `--tokens` shortens it. A piece is counted without
the pieces inside it: fitting baselines (pass 0) and measuring norms stand apart from the stage that opens them, and
pass 1 apart from the making and writing of its rows (`evidence`). The last line but one holds AFTER against pass 1.
On a machine with other work, OMP_NUM_THREADS=1: threads that wait for each other burn CPU time.

    python benchmarks/stages.py
    python benchmarks/stages.py --tokens 200000 --profile profiles/    # a file for `python -m pstats` for each piece
"""

from __future__ import annotations

import argparse
import cProfile
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autointerp.progress import Advance, Reporter

AFTER = ("baselines", "diagnostics", "census", "score", "means", "compare")
"""What is held against pass 1 (aim: at most half of it)."""
EVIDENCE, PASS_ONE = "evidence", "pass 1"


class Clock(Reporter):
    """Charges what passes between two borders to the innermost piece."""

    def __init__(self, profile: bool) -> None:
        super().__init__(quiet=True)
        self.spent: dict[str, list[float]] = {}
        self.profiles: dict[str, cProfile.Profile] = {}
        self._profile, self._open = profile, ["loading"]
        self._cpu, self._wall = time.process_time(), time.monotonic()

    @contextmanager
    def stage(self, title: str, *_: object, **__: object) -> Iterator[Advance]:
        from autointerp.extract.engines.job import TITLE

        with self.piece(PASS_ONE if title == TITLE else self._open[-1]):
            yield lambda _: None

    @contextmanager
    def piece(self, name: str) -> Iterator[None]:
        """What was open before is not charged meanwhile."""
        self._border(name)
        try:
            yield
        finally:
            self._border(None)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as a piece."""

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.piece(name):
                return function(*args, **kwargs)

        return call

    def _border(self, opened: str | None) -> None:
        if self._open[-1] in self.profiles:
            self.profiles[self._open[-1]].disable()
        cpu, wall = time.process_time(), time.monotonic()
        spent = self.spent.setdefault(self._open[-1], [0.0, 0.0, 0.0])
        spent[0] += cpu - self._cpu
        spent[1] += wall - self._wall
        spent[2] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        self._cpu, self._wall = cpu, wall
        if opened is None:
            self._open.pop()
        else:
            self._open.append(opened)
        if self._profile:
            self.profiles.setdefault(self._open[-1], cProfile.Profile(time.process_time)).enable()


def main() -> None:
    parser = argparse.ArgumentParser(description="What each stage of a run costs.")
    parser.add_argument("run_file", nargs="?", help="default: the demo")
    parser.add_argument("--tokens", type=int, help="only so many tokens of the corpus")
    parser.add_argument("--store", type=Path, help="keep the store here (default: a folder that is removed)")
    parser.add_argument("--until", help="the stage to stop after")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="write where each piece spends its time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(given.run_file, given.tokens, given.store or Path(folder) / "run.duckdb", given.until, given.profile)


def measure(run_file: str | None, n_tokens: int | None, store: Path, until: str | None, profile: Path | None) -> None:
    """Runs it and prints the table."""
    clock = Clock(profile is not None)
    from autointerp.config.loading import load_run
    from autointerp.pipeline import run_stages
    from autointerp.pipeline.stages import context
    from autointerp.resources import run_path

    config = load_run(Path(run_file) if run_file else run_path("demo"), store=store)
    if n_tokens:
        config = config.model_copy(update={"tokens": config.tokens.model_copy(update={"n_tokens": n_tokens})})
    for piece, name in (("baselines", "open_fitted"), ("norms", "norms_at")):
        setattr(context, name, clock.timed(piece, getattr(context, name)))
    for name, stage in run_stages.RUN.items():
        run_stages.RUN[name] = clock.timed(EVIDENCE if name == "extract" else name, stage)  # type: ignore[index]
    with clock.piece("rest"):
        run_stages.run(config, until=until, reporter=clock)
    print("| piece | CPU s | wall s | peak MB so far |", "|" + " --- |" * 4, sep="\n")
    for piece, (cpu, wall, peak) in clock.spent.items():
        print(f"| {piece} | {cpu:.1f} | {wall:.1f} | {peak:,.0f} |")
    cpu, wall = (sum(spent[i] for spent in clock.spent.values()) for i in (0, 1))
    print(f"| all | {cpu:.1f} | {wall:.1f} | |")
    after, before = (sum(clock.spent.get(p, [0.0])[0] for p in pieces) for pieces in (AFTER, (PASS_ONE,)))
    if before:
        print(f"{' + '.join(AFTER)}: {after:.1f} CPU s, {after / before:.2f} x pass 1")
    print(f"store: {store.stat().st_size / 1e6:,.0f} MB")
    if profile:
        profile.mkdir(parents=True, exist_ok=True)
        for piece, found in clock.profiles.items():
            found.dump_stats(profile / f"{piece.replace(' ', '-')}.prof")


if __name__ == "__main__":
    main()
