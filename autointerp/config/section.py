"""What every section of a run file is, and what two sections refuse alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def refuse_later(what: str, value: Any, later: Sequence[str], there: Sequence[str]) -> None:
    if value in later:
        raise ValueError(f'{what} "{value}" is not in this version; there is {", ".join(there)}')


def refuse_twice(names: list[Any]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is there twice')
