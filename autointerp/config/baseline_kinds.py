"""The baseline kinds, as far as a run file must know them. The units themselves are made in `subject/baselines`.

A new kind is a row here, and a module with a row of its own there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autointerp.config.own_code import OwnCode

UnitCount = Literal["coordinates", "components", "drawn", "copied"]
"""How many units a kind has. coordinates: each of the hook's, in both signs. components: as many as the activations
are wide, at most. drawn: any number. copied: as many as the features of the dictionary that it is made after."""


@dataclass(frozen=True)
class KindFacts:
    """What is known of a baseline kind without making one."""

    name: str
    sentence: str
    units: UnitCount
    plural: str = "units"
    """What messages call its units."""

    @property
    def copies(self) -> bool:
        """Whether it is made after a dictionary, which `like` or `match` names; its hook is that dictionary's."""
        return self.units == "copied"

    @property
    def needs_number(self) -> bool:
        """Whether an unmatched one needs `n_features`."""
        return self.units == "drawn"


ROWS = (
    KindFacts(
        "neurons",
        "The coordinates of the activations at any hook.",
        "coordinates",
        plural="neurons",
    ),
    KindFacts(
        "residual_basis",
        "The coordinates of the residual stream; any other hook is refused.",
        "coordinates",
        plural="basis directions",
    ),
    KindFacts(
        "pca",
        "Principal components of a sample of the activations, the largest variance first.",
        "components",
    ),
    KindFacts(
        "ica",
        "Independent components of a sample of the activations (FastICA), the least normal first.",
        "components",
    ),
    KindFacts(
        "random_isotropic",
        "Directions drawn from a normal distribution.",
        "drawn",
    ),
    KindFacts(
        "random_covariance",
        "Differences of two draws from a normal distribution with the mean and covariance of the activations.",
        "drawn",
    ),
    KindFacts(
        "activation_difference",
        "Differences of two real activations.",
        "drawn",
    ),
    KindFacts(
        "random_init_sae",
        "What an SAE or transcoder of the same architecture reads before any training.",
        "copied",
    ),
)
FACTS: dict[str, KindFacts] = {row.name: row for row in ROWS}


def facts_of(kind: str | OwnCode) -> KindFacts | None:
    """The facts of a baseline kind, built in or the user's own; None: a dictionary read from files."""
    if isinstance(kind, OwnCode):
        return KindFacts(kind.known_as, "A kind of the user's own.", "drawn")
    return FACTS.get(kind)
