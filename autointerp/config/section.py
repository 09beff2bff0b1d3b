"""What every section of a run file is, and what two sections refuse alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the run file: unknown keys are refused, and the docstring under a key is its meaning."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def refuse_later(what: str, value: Any, later: Sequence[str], there: Sequence[str]) -> None:
    """Refuses a word that is planned and not there yet, naming those that are."""
    if value in later:
        raise ValueError(f'{what} "{value}" is not in this version; there is {", ".join(there)}')


def refuse_twice(names: list[Any]) -> None:
    """Refuses a list that names one thing twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is there twice')
