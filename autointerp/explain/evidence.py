"""What an explainer sees of a feature, and what it gives back. All of it comes from the explain split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from autointerp.explain.marking import spelled
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
    document: int = -1
    """Its document; -1: not known."""
    offset: int = -1
    """Where in the document it begins, in tokens."""

    @property
    def fires(self) -> bool:
        return any(value != 0 for value in self.activations)


class TokenBefore(NamedTuple):
    """What a heavy token does right behind one other token."""

    text: str
    """The other token."""
    n_firing: int
    """Occurrences behind it that fire the feature,"""
    n_seen: int
    """of so many."""
    expected: float
    """Mean activation over all of them, the silent ones too."""


@dataclass(frozen=True)
class HeavyToken:
    """A token that carries much of a feature's activation."""

    text: str
    share: float
    """Of all activation of the feature."""
    n_firing: int
    """Occurrences that fire it,"""
    n_seen: int
    """of so many."""
    mean: float
    """Mean activation where it fires."""
    behind: tuple[TokenBefore, ...] = ()
    """The tokens behind which it does something else than elsewhere, those that explain most first."""

    @property
    def expected(self) -> float:
        """Mean activation over all occurrences, the silent ones too."""
        return self.mean * self.n_firing / self.n_seen if self.n_seen else self.mean

    @property
    def elsewhere(self) -> TokenBefore:
        """Its occurrences behind none of `behind`."""
        n_firing = self.n_firing - sum(one.n_firing for one in self.behind)
        n_seen = self.n_seen - sum(one.n_seen for one in self.behind)
        mass = self.mean * self.n_firing - sum(one.expected * one.n_seen for one in self.behind)
        return TokenBefore("", max(n_firing, 0), max(n_seen, 0), mass / n_seen if n_seen > 0 and n_firing > 0 else 0.0)


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
    promoted_z: tuple[float, ...] = ()
    """How far each promoted token's effect lies from the median of all tokens, in standard deviations."""
    n_half: int | None = None
    """The fewest tokens that hold half of the squared effects above the median; None: more than are counted."""
    risen: tuple[str, ...] = ()
    """Tokens whose logits measurably rise where the feature is clamped at its maximum, strongest first; empty where it
    was not measured."""
    fallen: tuple[str, ...] = ()
    risen_z: tuple[float, ...] = ()
    """How far each one's change lies from the median of all tokens, in standard deviations."""
    tokens: tuple[HeavyToken, ...] = ()
    """The heaviest first."""
    at_start: tuple[float, float] | None = None
    """Shares of its firings, and of all tokens, in the first sixteenth of a context."""
    on_outliers: float = 0.0
    """Share of its firings on tokens of enormous norm."""
    left_out: tuple[Exemplar, ...] = ()
    """Exemplars that a prompt does not show, because the model's context is too short for them."""

    def of(self, stratum: str) -> list[Exemplar]:
        """The exemplars of one stratum, or of all whose name begins so (`quantile`); of a feature that fires on nothing
        but tokens of enormous norm those on such tokens stand for its top and quantiles."""
        wanted = [one for one in self.exemplars if one.stratum == stratum or one.stratum.startswith(stratum + "_")]
        return self.of("outlier") if not wanted and stratum in ("top", "quantile") else wanted


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


class LexiconEntry(NamedTuple):
    """A token with the strength to expect on it."""

    token: str
    strength: int
    """From 1 to 10."""
    after: str = ""
    """The token that must stand right before it; empty: any."""


@dataclass(frozen=True)
class Draft:
    """What an LLM wrote about a feature, checked."""

    fires: str
    """When it fires."""
    promotes: str = ""
    """What it promotes; empty where it was not asked, or does not say."""
    triggers: Sequence[str] = field(default=())
    """Tokens that it expects to fire the feature."""
    lexicon: Sequence[LexiconEntry] = field(default=())
    """Tokens with the strength from 1 to 10 that it expects on each; a part of the label."""

    @property
    def text(self) -> str:
        """The label: the first answer and the lexicon, or the second answer where that is all there is."""
        label = " ".join(part for part in (self.fires, lexicon_text(self.lexicon)) if part)
        return label or f"Promotes {self.promotes}"


def lexicon_text(lexicon: Sequence[LexiconEntry]) -> str:
    """`Tokens by strength: 10: ` vetoed`, ` down` after ` turned`; 7: ` rejected`.`; nothing for no tokens."""
    by_strength: dict[int, list[str]] = {}
    for entry in sorted(lexicon, key=lambda entry: -entry.strength):
        shown = _quoted(entry.token) + (f" after {_quoted(entry.after)}" if entry.after else "")
        by_strength.setdefault(entry.strength, []).append(shown)
    listed = "; ".join(f"{strength}: {', '.join(tokens)}" for strength, tokens in by_strength.items())
    return f"Tokens by strength: {listed}." if listed else ""


def _quoted(token: str) -> str:
    quote = '"' if "`" in token else "`"  # a token must not look like the end of its own quotes
    return f"{quote}{spelled(token)}{quote}"
