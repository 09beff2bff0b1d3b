"""What an explainer sees of a feature, and what it gives back. All of it comes from the explain split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autointerp.records import Explanation


@dataclass(frozen=True)
class Exemplar:
    """A window of the corpus with the feature's activations."""

    stratum: str
    """Why it is there: top, quantile_NN, interval_NN (00 the weakest), random, near_miss."""
    tokens: tuple[str, ...]
    """The window, token by token."""
    activations: tuple[float, ...]
    """Of each token of the window, in the dictionary's own scale; 0 where silent."""
    peak: int
    """Offset in the window of the token that it was chosen for."""
    before: tuple[str, ...] = ()
    """Tokens that stand before the window; their activations are not known."""
    after: tuple[str, ...] = ()
    """Tokens that stand behind it."""

    @property
    def fires(self) -> bool:
        return any(value != 0 for value in self.activations)


@dataclass(frozen=True)
class Evidence:
    """All that an explainer may see of one feature."""

    dictionary: str
    feature: int
    maximum: float
    """Largest activation on the explain split."""
    density: float
    """Share of tokens that fire it."""
    exemplars: tuple[Exemplar, ...]
    """Strata in the store's order, each by rank."""
    promoted: tuple[str, ...] = ()
    """Tokens whose logits the feature raises most by the direct path, strongest first."""
    suppressed: tuple[str, ...] = ()

    def of(self, stratum: str) -> list[Exemplar]:
        """The exemplars of one stratum, or of all whose name begins so (`quantile`)."""
        return [one for one in self.exemplars if one.stratum == stratum or one.stratum.startswith(stratum + "_")]


@dataclass(frozen=True)
class Failure:
    """Why there is no explanation."""

    status: str
    """A word: refused, truncated, invalid, api_error ..."""
    reason: str
    """A sentence."""


class Explainer(Protocol):
    """An explainer of the user's own: `{ python = "module:Class" }` in the run file."""

    def explain(self, evidence: Evidence) -> Explanation | Failure:
        """One feature's explanation; its `explainer` is set to the name in the run file."""
        ...


@dataclass(frozen=True)
class Draft:
    """What an LLM wrote about a feature, checked."""

    fires: str
    """When it fires."""
    promotes: str = ""
    """What it promotes; empty where it was not asked, or does not say."""
    triggers: Sequence[str] = field(default=())
    """Tokens that it expects to fire the feature."""

    @property
    def text(self) -> str:
        """The label: the first answer, or the second where that is all there is."""
        return self.fires or f"Promotes {self.promotes}"
