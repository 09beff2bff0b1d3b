"""What every section of a run file is, and what two sections refuse alike."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the run file: unknown keys are refused, and the docstring under a key is its meaning."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def refuse_twice(names: list[Any]) -> None:
    """Refuses a list that names one thing twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is there twice')
