"""The formats that are read. A new one is a module with a row of its own, and a line here."""

from __future__ import annotations

from pathlib import Path

from autointerp.subject.formats import (
    circuit_tracer,
    cross_layer,
    dictionary_learning,
    gemma_scope,
    gemma_scope_2,
    kissane,
    llama_scope,
    lm_saes,
    openai,
    qwen_scope,
    saelens,
    sparsify,
    state_dict,
)
from autointerp.subject.formats.row import Format

ROWS: tuple[Format, ...] = (
    saelens.FORMAT,
    dictionary_learning.FORMAT,
    sparsify.FORMAT,
    openai.FORMAT,
    gemma_scope.FORMAT,
    gemma_scope_2.FORMAT,
    circuit_tracer.FORMAT,
    cross_layer.FORMAT,
    llama_scope.FORMAT,
    lm_saes.FORMAT,
    qwen_scope.FORMAT,
    state_dict.FORMAT,
    kissane.FORMAT,
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


def companions(name: str) -> tuple[str, ...]:
    """Names of the files that belong to a file of weights of this name, of whatever format."""
    rows = [row for row in BY_NAME.values() if row.is_named(Path(name)) or row.may_be(name)]
    return tuple(dict.fromkeys(other for row in rows for other in row.companions(name)))


def suffixes() -> tuple[str, ...]:
    """How files of weights end, of whatever format."""
    named = [_suffix(name) for row in BY_NAME.values() for name in (row.weights, row.one_of) if name is not None]
    return tuple(dict.fromkeys([*(end for row in BY_NAME.values() for end in row.suffixes), *named]))


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]
