"""The page `docs/COMMANDS.md`, made from what `--help` says.

python -m autointerp.cli_docs docs/COMMANDS.md            writes the page
python -m autointerp.cli_docs docs/COMMANDS.md --check    exit status 1 where it is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from autointerp.cli import cli
from autointerp.generated import NOTE, write_or_check

WIDTH = 100
"""Columns of what is shown."""

_INTRODUCTION = """# The commands

What `autointerp COMMAND --help` says, command by command. Exit status 0: done. 1: the work failed. 2: wrong use; one
line says what to do, and nothing was written. 130: interrupted, by Ctrl-C or SIGTERM. Recipes: [HOWTO.md](HOWTO.md).
"""


def commands(group: click.Group, path: str = "autointerp") -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, those of groups behind their group."""
    for name, command in sorted(group.commands.items()):
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def help_of(name: str, command: click.Command) -> str:
    """What `--help` prints, WIDTH columns wide."""
    context = click.Context(command, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH)
    lines = command.get_help(context).split("\n")
    return "\n".join(line.rstrip() for line in lines)


def commands_page(_: str = "") -> str:
    """The whole page."""
    parts = [f"{NOTE.format(source='the help of each command')}\n\n{_INTRODUCTION}"]
    parts += [f"## `{name}`\n\n```\n{help_of(name, command)}\n```\n" for name, command in commands(cli)]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], commands_page, __doc__))
