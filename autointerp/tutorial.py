"""The output of `docs/TUTORIAL.md`, made anew by running its commands.

python -m autointerp.tutorial docs/TUTORIAL.md            runs the commands and writes what they print into the page
python -m autointerp.tutorial docs/TUTORIAL.md --check    exit status 1 where they print something else

In a new folder, block after block: a block ```toml NAME is saved as that file, and of a block ```console each line
that begins with `$ autointerp` is run. What it prints on standard output stands below it; ` | head -N` keeps N lines.
The words around the blocks are the page's own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from autointerp.generated import write_or_check

WIDTH = 100
"""Columns of what is printed."""
_BLOCK = re.compile(r"^```(toml|console)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEAD = re.compile(r" \| head -(\d+)$")
Execute = Callable[[list[str]], str]
"""Words of a command behind `autointerp` -> what it prints."""


def tutorial_page(text: str) -> str:
    """The page with the output of its commands. Raises ValueError where a command fails."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        return with_output(text, place, lambda words: _printed(words, place))


def with_output(text: str, folder: Path, execute: Execute) -> str:
    """The page with what `execute` prints below each command; files of the page are written to `folder`."""

    def block(fence: re.Match[str]) -> str:
        kind, name, body = fence[1], fence[2], fence[3]
        if kind == "toml":
            if name:
                (folder / name).write_text(body, encoding="utf-8")
            return fence[0]
        shown = [f"{line}\n{_output(line, execute)}" for line in commands_of(body)]
        return "```console\n" + "\n".join(shown) + "```"

    return _BLOCK.sub(block, text)


def commands_of(body: str) -> list[str]:
    """The lines of a block that are commands."""
    return [line for line in body.splitlines() if line.startswith("$ ")]


def words_of(line: str) -> list[str]:
    """The words of a command behind `autointerp`, without what is done with its output. Raises ValueError."""
    words = shlex.split(_HEAD.sub("", line.removeprefix("$ ")))
    if words[:1] != ["autointerp"]:
        raise ValueError(f"this is no command of autointerp: {line}")
    return words[1:]


def _output(line: str, execute: Execute) -> str:
    printed = execute(words_of(line)).rstrip("\n")
    lines = [one.rstrip() for one in printed.split("\n")]
    head = _HEAD.search(line)
    kept = lines if head is None else lines[: int(head[1])]
    while kept and not kept[-1]:
        kept.pop()
    return "".join(f"{one}\n" for one in kept)


def _printed(words: list[str], folder: Path) -> str:
    command = [sys.executable, "-m", "autointerp", *words]
    environment = {**os.environ, "COLUMNS": str(WIDTH), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, encoding="utf-8"
    )
    if ended.returncode:
        last = ended.stderr.strip().splitlines() or ["nothing was said"]
        raise ValueError(f"autointerp {shlex.join(words)}: {last[-1]}")
    return ended.stdout


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], tutorial_page, __doc__))
