"""The formats that are read. A new one is a module with a row of its own, and a line here."""

from __future__ import annotations

from autointerp.subject.formats import dictionary_learning, gemma_scope, openai, saelens, sparsify
from autointerp.subject.formats.row import Format

ROWS: tuple[Format, ...] = (
    saelens.FORMAT,
    dictionary_learning.FORMAT,
    sparsify.FORMAT,
    openai.FORMAT,
    gemma_scope.FORMAT,
)
BY_NAME: dict[str, Format] = {row.name: row for row in ROWS}
FORMATS: dict[str, str] = {row.name: row.files for row in ROWS}
"""The formats, and the files of each."""


def config_names() -> tuple[str, ...]:
    """Names of the files of settings, of whatever format."""
    return tuple(dict.fromkeys(row.config for row in BY_NAME.values() if row.config is not None))


def file_names() -> tuple[str, ...]:
    """Names of the files of a dictionary, of whatever format."""
    weights = [row.weights for row in BY_NAME.values() if row.weights is not None]
    beside = [name for row in BY_NAME.values() for name in row.beside]
    return tuple(dict.fromkeys([*config_names(), *beside, *weights]))


def suffixes() -> tuple[str, ...]:
    """How files of weights end, of whatever format."""
    named = [_suffix(row.weights) for row in BY_NAME.values() if row.weights is not None]
    return tuple(dict.fromkeys([*(end for row in BY_NAME.values() for end in row.suffixes), *named]))


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]
