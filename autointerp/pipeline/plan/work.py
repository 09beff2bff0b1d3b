"""A piece of work: what makes rows, under the hash of everything that decides them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autointerp.hashing import content_hash
from autointerp.pipeline.plan.reask import Redo
from autointerp.store.query import Queryable

BUILDS_ON = "builds_on"
"""Key of `Work.decided_by` under which the hashes of other work stand."""

What = tuple[str, str | None, str | None, str | None]
"""Stage, dictionary, explainer and scorer."""


@dataclass(frozen=True)
class Work:
    """A piece of work."""

    stage: str
    dictionary: str | None
    explainer: str | None
    scorer: str | None
    """Where an LLM judges; else all scorers of an embedded explainer are one piece of work."""
    decided_by: Mapping[str, Any]
    """Keys of the run file with what they decide, as JSON has it; under BUILDS_ON the hashes of other work."""
    earlier: Work | None = None
    """The same, before features were asked about again: it stays, and this work adds to it."""
    redo: Redo | None = None
    """Which features those are."""

    @cached_property
    def key(self) -> str:
        """Its identity: the `work` of tables `works` and `stages`."""
        return content_hash([*self.what, self.decided_by], tag="work")

    @property
    def links(self) -> list[Work]:
        """The work as it was first, as it was after the first request to ask again, and so on up to itself."""
        return [*(self.earlier.links if self.earlier is not None else []), self]

    def links_left(self, done: Container[str]) -> list[Work]:
        """Its links that are left to do, the oldest first; `done`: keys of the work that is done."""
        return [link for link in self.links if link.key not in done]

    @property
    def what(self) -> What:
        """What it makes, however it is made."""
        return self.stage, self.dictionary, self.explainer, self.scorer


def done_keys(store: Queryable, stage: str | None = None) -> set[str]:
    """The keys of all work that is done, of one stage or of all; also of other runs."""
    return {row["work"] for row in store.rows(_DONE, stage=stage)}


_DONE = "SELECT work FROM stages WHERE coalesce(stage = $stage, true)"
