"""What `verify` found, a line a check."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.show.text import safe
from autointerp.store.verify import Check


def render_checks(checks: Sequence[Check]) -> RenderableType:
    """Failures in red, with an example; at the end, how many."""
    lines = [_line(check) for check in checks]
    failed = sum(not check.ok for check in checks)
    total = f"{len(checks)} checks, {failed} failed" if failed else f"{len(checks)} checks, all true"
    return Group(*lines, Text(total, style="bold red" if failed else "bold green"))


def _line(check: Check) -> Text:
    line = Text("✓ " if check.ok else "✗ ", style="green" if check.ok else "bold red")
    line.append_text(safe(check.name, "not bold" if check.ok else "bold red"))
    line.append(f" ({check.n_checked:,})  ", style="dim not bold")
    line.append_text(safe(check.detail, "dim not bold" if check.ok else "red"))
    return line
