"""Features that are planted on text, and labels of them that are right, claim too much or miss half.

    token     a set of tokens
    pair      a set of pairs: a token after a certain token
    context   a set of tokens, in one kind of context on their line (`line_contexts.py`)
    gaussian  tokens by a direction in a Gaussian embedding: no label here says anything of it

1. Of each kind, the grams whose counts add up to the wanted density are drawn by hash; none makes up more than 30 %.
2. The activation at a place is the gram's own level x noise of the place x an effect of the document, all lognormal:
   heavy tails, and a part that no label can know.
3. `true` is the rule with each gram's expected level. `extra` has other grams of the same kind beside it, which hold
   three times as many places as the feature fires at. `missing` lacks grams that hold half of those.
4. The feature promotes the 60 tokens of largest effect of a random direction, and suppresses the 60 of lowest. What is
   measured where it is clamped are the effects of another direction, which correlate with the direct ones at about .8;
   the 60 tokens that rise and the 60 that fall most are by that one. `true` names all 60, `extra` 180 others too,
   `missing` every second one by hash.
All choices are hashes of (seed, feature, gram or place).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from autointerp.explain.lookup import Entries, match
from autointerp.hashing import hash01, hash64, rng_for, stream_key
from autointerp.records import ANY_TOKEN, Bool, Float32, Float64, Int64
from autointerp.score.scorers.logit_effects import Truth, side_of
from autointerp.score.selftest.line_contexts import LINE_CONTEXTS
from autointerp.score.selftest.text import SelftestText

KINDS = ("token", "pair", "context")
"""Of planted features that have labels; they take turns."""
LABELS = ("true", "extra", "missing")
TRUTHS: tuple[Truth, ...] = get_args(Truth)
"""What may be asked about tokens."""
EXTRA, KEPT = 3.0, 0.5
"""False firings of `extra`, and firings of `missing` at most, both as shares of the feature's."""
LARGEST, SMALLEST = 0.3, 0.05
"""Share of a feature's firings at one gram; grams below the second are taken where there are no others."""
LEVELS, PLACES, DOCUMENTS = 0.7, 0.5, 0.3
"""Standard deviations of the logarithm of what an activation is made of."""
N_PROMOTED = 60
AS_DIRECT = 0.8
"""Cosine of the direction whose effects are measured with that of the direct ones, as of real features."""
GAUSSIAN_WIDTH, LEAST_HEIGHT = 64, 0.05
"""Of the embedding; and the activation of the lowest token that fires."""


@dataclass(frozen=True)
class Rule:
    """Where a label says that a feature fires, and how strongly."""

    entries: Entries
    """Tokens and pairs with their strengths; the probability of each is 1."""
    context: str | None = None
    """The kind of context that it is restricted to."""

    @cached_property
    def grams(self) -> tuple[str | None, frozenset[tuple[int, int]]]:
        """Where it fires, whatever the strength: equal for rules that say the same of it."""
        return self.context, frozenset(zip(self.entries.previous.tolist(), self.entries.token.tolist(), strict=True))

    def strengths(
        self, tokens: npt.NDArray[np.integer], previous: npt.NDArray[np.integer], states: Mapping[str, Bool]
    ) -> Float32:
        """At each token, 0 where silent: any shape -> the same shape. `states` by kind of context."""
        strength = np.append(self.entries.value, np.float32(0))[match(self.entries, tokens, previous)]
        return strength if self.context is None else np.asarray(strength * states[self.context], dtype=np.float32)

    def as_written(self, n_vocabulary: int) -> Entries:
        """Over the tokens of `SelftestText.as_written`."""
        if self.context is None:
            return self.entries
        e = self.entries
        return Entries(e.previous, (e.token + n_vocabulary).astype(np.int32), e.value, e.probability)


@dataclass(frozen=True)
class RuleLabel:
    """A label: a text with a name in it, and what it means."""

    key: str
    rule: Rule
    names: Mapping[Truth, Int64]
    """Tokens that it says the feature makes likelier, or less likely, by what is asked about them."""

    @property
    def text(self) -> str:
        """What a judge is shown."""
        return f"Fires as {self.key} says."


@dataclass(frozen=True)
class PlantedFeature:
    """A feature with its activations at all places, and its labels."""

    number: int
    kind: str
    density: float
    """As wanted; what came of it is len(place) / tokens."""
    place: Int64  # [E] context x P + position, rising
    value: Float32  # [E]
    effects: Mapping[Truth, Int64]  # [60] the tokens that it makes likelier, or less likely, the strongest first
    grams: Entries
    """Where it fires, contexts aside: what the lookup of a run would know of it."""
    labels: Mapping[str, RuleLabel]
    """By LABELS; none of a `gaussian` one."""

    @property
    def rule(self) -> Rule:
        """Where it fires, and how strongly but for the noise."""
        return self.labels["true"].rule if self.labels else Rule(self.grams)

    @cached_property
    def maximum(self) -> float:
        """The largest activation."""
        return float(self.value.max())


@dataclass(frozen=True)
class _GramPlaces:
    """What features of one kind may consist of."""

    previous: Int64  # [G]
    token: Int64  # [G]
    count: Int64  # [G]
    start: Int64  # [G + 1] into `place`
    place: Int64

    def places(self, chosen: Int64) -> Int64:
        parts = [self.place[self.start[gram] : self.start[gram + 1]] for gram in chosen.tolist()]
        return np.sort(np.concatenate(parts))


class Planter:
    """Plants features on one text."""

    def __init__(self, text: SelftestText, seed: int) -> None:
        self.text, self.seed = text, seed
        self._readable = readable_tokens(text)
        self._grams: dict[str, _GramPlaces] = {}

    def features(self, density: float, n: int, first: int) -> list[PlantedFeature]:
        """`n` features of a density, their kinds in turn, numbered from `first`. Raises ValueError where the text has
        too few grams for it."""
        return [self._feature(first + i, KINDS[i % len(KINDS)], i // len(KINDS), density) for i in range(n)]

    def gaussian(self, density: float, n: int, first: int) -> list[PlantedFeature]:
        """`n` features that fire by a Gaussian embedding."""
        text = self.text
        embedding = rng_for(self.seed, "gaussian").standard_normal((text.n_vocabulary, GAUSSIAN_WIDTH))
        return [self._gaussian(first + i, density, embedding) for i in range(n)]

    def _feature(self, number: int, kind: str, turn: int, density: float) -> PlantedFeature:
        context = list(LINE_CONTEXTS)[turn % len(LINE_CONTEXTS)] if kind == "context" else None
        grams = self._of(context or kind)
        wanted = density * self.text.scored.sum()
        order = np.argsort(hash64(self._key("grams"), number, grams.token, grams.previous), kind="stable")
        mine = _fill(order, grams.count, wanted)
        rest = order[~np.isin(order, mine)]
        more = _fill(rest, grams.count, EXTRA * float(grams.count[mine].sum()))
        kept = _half(mine, grams.count)
        place = grams.places(mine)
        rules = {"true": mine, "extra": np.concatenate([mine, more]), "missing": kept}
        effects, named = self._affected(number)
        labels = {
            name: RuleLabel(
                f"rule-{number}-{name}",
                Rule(self._entries(number, grams, rules[name]), context),
                named[name],
            )
            for name in LABELS
        }
        rule = labels["true"].rule
        value = self._values(number, place, rule)
        return PlantedFeature(number, kind, density, place, value, effects, rule.entries, labels)

    def _values(self, number: int, place: Int64, rule: Rule) -> Float32:
        text = self.text
        flat = text.tokens.reshape(-1)[place], text.previous.reshape(-1)[place]
        states = {name: state.reshape(-1)[place] for name, state in text.states.items()}
        level = rule.strengths(*flat, states).astype(np.float64)
        assert np.all(level > 0)
        document = text.document[place // text.tokens.shape[1]]
        noise = PLACES * self._normal("place", number, place) + DOCUMENTS * self._normal("document", number, document)
        return (level * np.exp(noise)).astype(np.float32)

    def _gaussian(self, number: int, density: float, embedding: Float64) -> PlantedFeature:
        text, wanted = self.text, density * float(self.text.scored.sum())
        direction = ndtri(hash01(self._key("direction"), number, np.arange(GAUSSIAN_WIDTH)))
        height = embedding @ direction / np.sqrt(GAUSSIAN_WIDTH)
        grams = self._of("token")
        order = np.argsort(-height[grams.token], kind="stable")
        order = order[grams.count[order] <= wanted]
        mine = order[: max(1, int(np.searchsorted(np.cumsum(grams.count[order]), wanted)) + 1)]
        threshold = float(height[grams.token[mine]].min()) - LEAST_HEIGHT
        place = grams.places(mine)
        value = (height[text.tokens.reshape(-1)[place]] - threshold).astype(np.float32)
        token, ones = grams.token[mine].astype(np.int32), np.ones(len(mine), dtype=np.float32)
        level = (height[token] - threshold).astype(np.float32)
        lookup = Entries(np.full(len(mine), ANY_TOKEN, np.int32), token, level, ones)
        return PlantedFeature(number, "gaussian", density, place, value, self._affected(number)[0], lookup, {})

    def _of(self, name: str) -> _GramPlaces:
        """The grams of a kind, or of a kind of context."""
        if name not in self._grams:
            text = self.text
            usable = text.scored & self._readable[text.tokens]
            usable &= text.states[name] if name in LINE_CONTEXTS else True
            token = text.tokens.astype(np.int64)
            previous = np.full_like(token, ANY_TOKEN)
            if name == "pair":
                previous = text.previous.astype(np.int64)
                usable &= (previous >= 0) & self._readable[np.maximum(previous, 0)]
            place = np.flatnonzero(usable)
            keys = ((previous + 1) * text.n_vocabulary + token).reshape(-1)[place]
            unique, which, count = np.unique(keys, return_inverse=True, return_counts=True)
            self._grams[name] = _GramPlaces(
                unique // text.n_vocabulary - 1,
                unique % text.n_vocabulary,
                count.astype(np.int64),
                np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
                place[np.argsort(which, kind="stable")],
            )
        return self._grams[name]

    def _entries(self, number: int, grams: _GramPlaces, chosen: Int64) -> Entries:
        level = np.exp(LEVELS * self._normal("level", number, grams.token[chosen], grams.previous[chosen]))
        return Entries(
            grams.previous[chosen].astype(np.int32),
            grams.token[chosen].astype(np.int32),
            level.astype(np.float32),
            np.ones(len(chosen), dtype=np.float32),
        )

    def _affected(self, number: int) -> tuple[dict[Truth, Int64], dict[str, dict[Truth, Int64]]]:
        """The tokens that a feature makes likelier or less likely, and by label those that it names."""
        usable = np.flatnonzero((self.text.counts > 0) & self._readable)
        table = self.text.unembedding[usable].astype(np.float64)
        table -= table.mean(axis=0)
        affected: dict[Truth, Int64] = {}
        named: dict[str, dict[Truth, Int64]] = {name: {} for name in LABELS}
        for truth in TRUTHS:
            sign = -1.0 if side_of(truth) else 1.0
            mine, other = (
                usable[np.argsort(-sign * (table @ direction))]
                for direction in (
                    effect_direction(self.seed, number, table.shape[1], truth),
                    _drawn_direction(self.seed, number, table.shape[1], "other effects"),
                )
            )
            most = mine[:N_PROMOTED]
            others = other[~np.isin(other, most)][: int(EXTRA * N_PROMOTED)]
            half = most[np.argsort(hash64(self._key("half"), number, most))][: int(KEPT * N_PROMOTED)]
            affected[truth] = most
            for name, tokens in zip(LABELS, (most, np.concatenate([most, others]), half), strict=True):
                named[name][truth] = tokens
        return affected, named

    def _normal(self, name: str, *parts: npt.ArrayLike) -> Float64:
        return np.asarray(ndtri(np.clip(hash01(self._key(name), *parts), 1e-12, 1 - 1e-12)), dtype=np.float64)

    def _key(self, name: str) -> int:
        return stream_key(self.seed, "selftest", name)


def effect_direction(seed: int, number: int, width: int, truth: Truth) -> Float64:
    """What a feature writes to the residual stream, or what comes of it where it is clamped, [width]."""
    direct = _drawn_direction(seed, number, width, "effects")
    if truth.startswith("direct"):
        return direct
    own = _drawn_direction(seed, number, width, "measured effects")
    return np.asarray(AS_DIRECT * direct + np.sqrt(1 - AS_DIRECT**2) * own, dtype=np.float64)


def _drawn_direction(seed: int, number: int, width: int, name: str) -> Float64:
    key = stream_key(seed, "selftest", name)
    return np.asarray(ndtri(hash01(key, number, np.arange(width))), dtype=np.float64)


def readable_tokens(text: SelftestText) -> Bool:
    """Tokens that can be told by their text, [V]."""
    _, which, count = np.unique(np.array(text.texts, dtype=object).astype(str), return_inverse=True, return_counts=True)
    readable = count[which] == 1
    readable[sorted(text.special)] = False
    return np.asarray(readable, dtype=np.bool_)


def _fill(order: Int64, count: Int64, wanted: float) -> Int64:
    """Grams in this order whose counts add up to about `wanted`, none of them above LARGEST of it."""
    fits = count[order] <= LARGEST * wanted
    large = count[order] >= SMALLEST * wanted
    chosen: list[int] = []
    total = 0
    for gram in (*order[fits & large].tolist(), *order[fits & ~large].tolist()):
        if total + count[gram] <= 1.05 * wanted:
            chosen.append(gram)
            total += int(count[gram])
        if total >= 0.95 * wanted:
            return np.array(chosen, dtype=np.int64)
    raise ValueError(f"the text has too few tokens for features of {wanted:.0f} firings; give more text")


def _half(chosen: Int64, count: Int64) -> Int64:
    """Some of the grams, which hold half of the firings and no more; the rarest one where each holds more."""
    kept: list[int] = []
    total, limit = 0, KEPT * float(count[chosen].sum())
    for gram in chosen.tolist():
        if total + count[gram] <= limit:
            kept.append(gram)
            total += int(count[gram])
    return np.array(kept or [int(chosen[np.argmin(count[chosen])])], dtype=np.int64)


def concatenated(parts: Sequence[Int64]) -> Int64:
    """Integer arrays one after the other; none: empty."""
    return np.concatenate([np.zeros(0, np.int64), *parts])
