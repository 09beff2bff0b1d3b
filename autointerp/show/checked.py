"""The page of `autointerp check`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autointerp.show.text import safe, token_text

if TYPE_CHECKING:  # they import torch
    from autointerp.pipeline.check import CheckedRun, ContextToken, HookLine
    from autointerp.subject.check import Report

SHOWN_TOKENS = 128


def checked_page(checked: CheckedRun) -> Group:
    """Figures, hook points, a context, special tokens, and what could not be checked."""
    parts: list[RenderableType] = [_reports(checked.reports)] if checked.reports else []
    parts += [Text("\nhook points", style="bold"), _hooks(checked.hooks)]
    parts += [
        Text(
            f"\nthe first of {checked.n_contexts:,} contexts: each token with its id, special ones in [ ]", style="bold"
        ),
        _context(checked.context),
    ]
    parts += [Text("\nspecial tokens", style="bold"), *_lines(checked.tokens)]
    parts += [Text("\nnot checked", style="bold"), *_lines(checked.not_checked)]
    return Group(*parts)


def _reports(reports: list[Report]) -> Table:
    """A line a dictionary; a cause below the ones that do not pass."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in ("", "dictionary", "hook"):
        table.add_column(name, overflow="fold")  # a narrow page breaks names, and cuts none
    for name in ("L0", "variance\nexplained", "(with\noutliers)", "outliers", "dead", "loss", "loss\nrecovered"):
        table.add_column(name, justify="right", no_wrap=True)
    for report in reports:
        measured = report.measured
        alone = math.isnan(measured.variance_explained)  # these features alone are not meant to reconstruct
        table.add_row(
            Text("✓", "green") if report.ok else Text("✗", "red"),
            safe(report.dictionary),
            safe(report.hook),
            f"{measured.l0:,.1f}",
            "" if alone else f"{measured.variance_explained:.3f}",
            f"({measured.variance_explained_all:.3f})" if measured.n_outliers and not alone else "",
            f"{measured.n_outliers / max(1, report.n_tokens):.1%}",
            f"{measured.dead_share:.1%}",
            f"{report.loss:.3f}",
            "" if report.loss_recovered is None else f"{report.loss_recovered:.3f}",
        )
    return table


def _hooks(hooks: list[HookLine]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for line in hooks:
        table.add_row(safe(line.dictionary), line.use, safe(line.hook), safe(line.place))
    return table


def _context(tokens: list[ContextToken]) -> Text:
    words = [
        f"[{token.id} {token_text(token.text)}]" if token.is_special else f"{token.id} {token_text(token.text)}"
        for token in tokens[:SHOWN_TOKENS]
    ]
    left = len(tokens) - len(words)
    return Text("  ".join(words) + (f"  and {left:,} more" if left > 0 else ""))


def _lines(lines: Iterable[str]) -> list[Text]:
    return [Text("- ") + safe(line) for line in lines]
