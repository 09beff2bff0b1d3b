"""What a baseline kind is: its facts, and how the directions of its units are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from autointerp.config.baseline_kinds import KindFacts
from autointerp.subject.dictionary import SparseAutoencoder


@dataclass(frozen=True)
class LinesWanted:
    """What a kind makes its directions of."""

    name: str
    """The baseline's name in the run file; random draws are keyed by it."""
    n: int
    """Units wanted, at most."""
    x: Tensor
    """Activations of the sample at the hook, [N, d]; not to be written to."""
    seed: int
    like: SparseAutoencoder | None = None
    """The dictionary that a kind which copies is made after."""
    copied: str = ""
    """The name of that dictionary."""


@dataclass(frozen=True)
class Lines:
    """The directions of a baseline's units."""

    n_units: int
    reads: Tensor | None  # [n_units, d]; None: coordinates
    writes: Tensor | None = None  # [n_units, d] where a unit writes what it does not read
    facts: dict[str, Any] | None = None


@dataclass(frozen=True)
class KindRow:
    """A kind of baseline."""

    facts: KindFacts
    lines: Callable[[LinesWanted], Lines]
    """The directions of its units, at most as many as are wanted; coordinates: all of them."""

    @property
    def name(self) -> str:
        return self.facts.name
