"""What a person sees while it runs: bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from autointerp.streams import asked_columns

Advance = Callable[[int], None]
LINE_EVERY_S = 10.0


class _Rate(ProgressColumn):
    """`12,345 tokens/s`."""

    def render(self, task: Task) -> Text:
        mine = task.completed - task.fields["before"]
        if not mine or not task.elapsed or task.elapsed < 0.5:
            return Text("")
        return Text(_rate(mine / task.elapsed, task.fields["unit"]), style="cyan")


def _rate(speed: float, unit: str) -> str:
    return f"{speed:,.0f} {unit}/s" if speed >= 10 else f"{speed:.1f} {unit}/s"


class _Percent(ProgressColumn):
    """Nothing where the end is not known."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.percentage:>3.0f} %" if task.total else "     ")


class Reporter:
    """Shows stages on `console`; `quiet` shows nothing."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True)
        self.quiet = quiet
        self.note = ""
        """Shown beside the stage under way: what it has cost so far."""

    def say(self, line: str) -> None:
        """A plain line."""
        if not self.quiet:
            self.console.print(Text(line), soft_wrap=True)

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str, done: int = 0) -> Iterator[Advance]:
        """A piece of work of `total` units, `done` of them by an earlier process; the yielded function is told how
        many more are done."""
        self.note = ""
        if self.quiet:
            yield lambda _: None
        elif self.console.is_terminal:
            with self._bar(title, total, unit, done) as advance:
                yield advance
        else:
            with self._lines(title, total, unit, done) as advance:
                yield advance

    @contextmanager
    def _bar(self, title: str, total: int | None, unit: str, before: int) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=24),
            _Percent(),
            _Rate(),
            _Note(self),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as bars:
            task = bars.add_task(title, total=total, completed=before, unit=unit, before=before)
            yield lambda n: bars.advance(task, n)
            done = bars.tasks[0].completed
            bars.update(task, total=done or 1, completed=done or 1)

    @contextmanager
    def _lines(self, title: str, total: int | None, unit: str, before: int) -> Iterator[Advance]:
        begun = last = time.monotonic()
        done = before

        def advance(n: int) -> None:
            nonlocal done, last
            done += n
            now = time.monotonic()
            if now - last > LINE_EVERY_S:
                last = now
                rate = (done - before) / (now - begun)
                left = f", {(total - done) / rate:.0f} s left" if total and rate else ""
                self.say(f"  {title}: {done:,} {unit}, {_rate(rate, unit)}{left}{self._noted}")

        yield advance
        taken = time.monotonic() - begun
        rate = f", {_rate((done - before) / taken, unit)}" if done > before and taken > 0.5 else ""
        self.say(f"{title}: {done:,} {unit} in {taken:.1f} s{rate}{self._noted}" if done else f"{title}: {taken:.1f} s")

    @property
    def _noted(self) -> str:
        return f", {self.note}" if self.note else ""


class _Note(ProgressColumn):
    """The reporter's note."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def render(self, _task: Task) -> Text:
        return Text(self._reporter.note, style="yellow")


def rising(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Totals to increments."""
    last = 0

    def told(total: int) -> None:
        nonlocal last
        advance(total - last)
        last = total

    return told


def stderr_reporter() -> Reporter:
    """Progress on standard error, so that standard output stays data."""
    return Reporter(Console(file=sys.stderr, width=asked_columns()))
