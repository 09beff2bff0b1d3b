"""Text, plots and layouts: hostile text never reaches a terminal, and no word or number is ever broken."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from autointerp.show.console import OFF_TERMINAL, page_console
from autointerp.show.layout import GAP, PLOT_NARROWEST, Column, Plot, PlottedInterval, packed, sheet, total_width
from autointerp.show.plot import bars, dot_and_interval
from autointerp.show.text import escape_json, running, safe, token_text, visible, wrapped

# --- text


@settings(max_examples=50)
@given(text=st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str, printed: Callable[..., str]) -> None:
    shown = visible(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert safe(text).plain == shown
    assert printed(safe(text), colours=True, width=100_000).rstrip("\n").replace("\x1b[0m", "") == shown
    for compact in (running(text), token_text(text)):
        assert visible(compact) == compact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\t\r", "a⏎b⇥␍"),
        ("\u202eabc", "\\u202eabc"),
        ("\x9b31m", "\\x9b31m"),
        ("[red]x[/red]", "[red]x[/red]"),
        (":smile:", ":smile:"),
        ("é日本", "é日本"),
        ("\u200b", "\\u200b"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_blanks_are_counted() -> None:
    assert running("\n            def f():   pass") == "⏎␣₁₂def f():   pass"
    assert token_text(" import") == "␣import"
    assert token_text("\n   ") == "⏎␣₃"
    assert token_text("a b  ") == "a b␣₂"
    assert token_text("    ") == "␣₄"


@given(st.text())
def test_escaped_json_means_the_same(text: str) -> None:
    escaped = escape_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(escaped) == text
    assert not any("\x7f" <= c <= "\x9f" or c in "\u202e\u2028\ufeff" for c in escaped)


@given(st.lists(st.sampled_from(['" a"', '"\\" b",', "(2 %)", "word", "日本語", "80 %;"])), st.integers(12, 40))
def test_wrapping_keeps_quoted_tokens_and_percentages_whole(words: list[str], width: int) -> None:
    lines = wrapped(" ".join(words), width).split("\n")
    assert all(cell_len(line) <= width for line in lines)
    assert " ".join(lines).split(" ") == " ".join(words).split(" ")
    for line in lines:  # no line begins or ends inside quotes
        assert line.replace('\\"', "").count('"') % 2 == 0
        assert not line.startswith("%")


def test_wrapping_fills_its_lines() -> None:
    assert wrapped("aa bb cc", 5) == "aa bb\ncc"
    assert wrapped('an odd " quote', 8) == 'an odd "\nquote'
    assert wrapped("", 5) == ""


# --- plots


def test_bars_show_the_smallest_count() -> None:
    assert bars([0, 1, 1000]) == " ▁█"
    assert bars([0, 0]) == "  "
    assert bars([]) == ""
    assert " " not in bars([1, 10**9])


def test_dot_and_interval() -> None:
    assert dot_and_interval(0.5, 0.0, 1.0, (0, 1), 5, None) == "├─●─┤"
    assert dot_and_interval(0.75, 0.5, 1.0, (0, 1), 5, 0.0) == "┊ ├●┤"
    assert dot_and_interval(None, None, None, (0, 1), 3, None) == "   "
    assert dot_and_interval(0.5, 0.5, 0.5, (0.5, 0.5), 3, None).count("●") == 1


@pytest.mark.parametrize(
    ("rows", "axis"),
    [
        ([(0.5, 0.4, 0.61, 0.05)], (0.0, 0.7)),
        ([(-0.01, -0.11, 0.3, 0.0)], (-0.2, 0.3)),
        ([(None, None, None, None)], (0.0, 0.1)),
        ([(0.2, 0.1, 0.3, 0.0), (1.0, 1.0, 1.0, 0.0)], (0.0, 1.0)),
    ],
)
def test_axes_end_at_tenths_and_hold_zero(rows: list[tuple[float | None, ...]], axis: tuple[float, float]) -> None:
    plot = Plot([PlottedInterval(*row) for row in rows])
    assert plot.axis == axis
    head = plot.column(20).name
    assert head.startswith(f"{axis[0]:.1f}")
    assert head.endswith(f"{axis[1]:.1f}")
    assert len(head) == 20


# --- layout

CELLS = st.text("ab日-0 .", min_size=1, max_size=12).map(str.strip)


@settings(max_examples=60)
@given(data=st.data(), n_rows=st.integers(1, 4), n_columns=st.integers(1, 8), width=st.integers(60, 120))
def test_no_cell_is_ever_broken(
    data: st.DataObject, n_rows: int, n_columns: int, width: int, printed: Callable[..., str]
) -> None:
    columns = [Column("key", [f"r{row}" for row in range(n_rows)], key=True)]
    for number in range(n_columns):
        cells = data.draw(st.lists(CELLS, min_size=n_rows, max_size=n_rows))
        columns.append(Column(f"c{number}", cells, right=data.draw(st.booleans())))
    plot = Plot([PlottedInterval(0.5, 0.4, 0.6, 0.1)] * n_rows)
    lines = printed(sheet("title", columns, plot), width=width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    groups = packed(columns, width)
    assert len(lines) == 1 + len(groups) * (n_rows + 1)
    assert [c for group in groups for c in group if not c.key] == columns[1:]
    for i, group in enumerate(groups):
        assert total_width(group) <= width
        for row in range(n_rows):
            line = lines[1 + i * (n_rows + 1) + 1 + row]
            assert all(str(column.cells[row]) in line for column in group)


def test_the_plot_goes_before_the_columns_do(printed: Callable[..., str]) -> None:
    columns = [Column("key", ["a"], key=True), Column("value", ["0.123"]), Column("more", ["x" * 20])]
    plot = Plot([PlottedInterval(0.5, 0.4, 0.6, 0.0)])
    natural = total_width(columns)
    wide, narrow, narrower = (
        printed(sheet(None, columns, plot), width=natural + room) for room in (GAP + PLOT_NARROWEST, GAP + 1, -1)
    )
    assert "●" in wide
    assert "●" not in narrow
    assert len(narrow.splitlines()) == 2
    assert len(narrower.splitlines()) == 4
    assert narrower.count("key") == 2


def test_a_column_wider_than_the_page_is_folded_and_loses_nothing(printed: Callable[..., str]) -> None:
    page = printed(sheet(None, [Column("key", ["k"], key=True), Column("text", ["x" * 100])]), width=30)
    assert page.count("x") == 100 + 1  # one in the column's name
    assert all(len(line) <= 30 for line in page.splitlines())


# --- the console


class _Stream:
    encoding = "utf-8"

    def __init__(self, terminal: bool) -> None:
        self.isatty = lambda: terminal

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def test_a_page_off_a_terminal_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert page_console(_Stream(False)).width == OFF_TERMINAL == 100  # type: ignore[arg-type]
    assert page_console(_Stream(True)).width == 80  # type: ignore[arg-type]  # a terminal that says nothing
    monkeypatch.setenv("COLUMNS", "123")
    assert page_console(_Stream(False)).width == 123  # type: ignore[arg-type]
    assert page_console(_Stream(True)).width == 123  # type: ignore[arg-type]
