"""What the pages for users tell to type is what the program takes; the notebook runs on a store that a run made."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from autointerp import cli_docs
from autointerp.cli import cli
from autointerp.config.loading import parse_run
from autointerp.tutorial import commands_of, with_output, words_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(DOCS / name for name in ("HOWTO.md", "TUTORIAL.md", "GUIDE.md"))]


_TYPED = re.compile(r"^(?:    |\$ )(?:PYTHONPATH=\S+ )?(autointerp .*)$", re.MULTILINE)
_STANDS_FOR_OTHERS = re.compile(r" {2,}\S|\.\.\.|STORE|RUN\.toml|DICT")
_FILES = re.compile(r"^```toml (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def typed(page: Path) -> list[str]:
    """The lines of a page that are commands, without those that only stand for others."""
    lines = _TYPED.findall(page.read_text(encoding="utf-8"))
    return [line for line in lines if not _STANDS_FOR_OTHERS.search(line.partition("#")[0].rstrip())]


def parse(words: list[str]) -> None:
    """Raises what click raises for wrong use; nothing is run."""
    group: click.Command = cli
    while isinstance(group, click.Group):
        name, *words = words
        if name not in group.commands:
            raise click.UsageError(f"no command {name}")
        group = group.commands[name]
    group.make_context(group.name, list(words), resilient_parsing=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_is_one(page: Path) -> None:
    lines = typed(page)
    assert lines
    for line in lines:
        words = shlex.split(re.sub(r" \| head -\d+$", "", line), comments=True)[1:]
        try:
            parse(words)
        except click.UsageError as error:
            pytest.fail(f"{page.name}: {line}: {error.format_message()}")


def test_such_a_line_is_seen_to_be_wrong() -> None:
    for wrong in ("shwo x.duckdb", "compare a.duckdb --powr 0.1", "export a.duckdb pdf -o x"):
        with pytest.raises(click.UsageError):
            parse(shlex.split(wrong))


def test_the_run_files_of_the_tutorial_are_ones() -> None:
    files = re.findall(
        r"^```toml (\S+)\n(.*?)^```$", (DOCS / "TUTORIAL.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert [name for name, _ in files] == ["two.toml", "all.toml"]
    for name, text in files:
        assert f"{parse_run(tomllib.loads(text)).name}.toml" == name


def test_the_output_stands_below_its_command(tmp_path: Path) -> None:
    page = "a\n```toml x.toml\nk = 1\n```\nb\n```console\n$ autointerp show s.duckdb | head -2\nold\n"
    page += "$ autointerp status s.duckdb\n```\nc\n"
    asked: list[list[str]] = []

    def execute(words: list[str]) -> str:
        asked.append(words)
        return f"{words[0]} 1  \n2\n3\n"

    made = with_output(page, tmp_path, execute)
    assert made == (
        "a\n```toml x.toml\nk = 1\n```\nb\n```console\n$ autointerp show s.duckdb | head -2\nshow 1\n2\n\n"
        "$ autointerp status s.duckdb\nstatus 1\n2\n3\n```\nc\n"
    )
    assert with_output(made, tmp_path, execute) == made
    assert asked[:2] == [["show", "s.duckdb"], ["status", "s.duckdb"]]
    assert (tmp_path / "x.toml").read_text("utf-8") == "k = 1\n"
    with pytest.raises(ValueError, match="no command of autointerp"):
        words_of("$ rm x")


def test_every_command_of_the_tutorial_has_its_output() -> None:
    blocks = _CONSOLE.findall((DOCS / "TUTORIAL.md").read_text("utf-8"))
    commands = [line for block in blocks for line in commands_of(block)]
    assert {words_of(line)[0] for line in commands} == {"check", "run", "sql", "show", "compare", "export"}
    for block in blocks:
        assert len(block.splitlines()) > 2 * len(commands_of(block)), block


def test_the_page_of_commands_has_them_all() -> None:
    names = [name for name, _ in cli_docs.commands(cli)]
    assert {"autointerp run", "autointerp import neuronpedia", "autointerp export"} <= set(names)
    page = cli_docs.commands_page()
    assert re.findall(r"^## `(.*)`$", page, re.MULTILINE) == names
    for name, command in cli_docs.commands(cli):
        for option in (param for param in command.params if isinstance(param, click.Option)):
            assert max(option.opts, key=len) in page.partition(f"## `{name}`")[2].partition("\n## ")[0]


def test_the_notebook_runs(judged_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell, the last expression shown as a notebook shows it."""
    shutil.copy(judged_store, tmp_path / "two.duckdb")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text("utf-8"))
    assert notebook["nbformat"] == 4
    shown: list[Any] = []
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "tutorial.ipynb", "exec"), names)
        if last is not None:
            assert isinstance(last, ast.Expr)
            shown.append(eval(compile(ast.Expression(last.value), "tutorial.ipynb", "eval"), names))
    html = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert len(html) >= 5
    assert any("<section" in text for text in html)
    assert len(names["verdicts"]) > 0
