"""The sentence of the embedded explainers: what a person reads instead of a lookup.

1. A label: the tokens that hold the feature's activation, heaviest first, each with its share and, where it matters,
   with what stands before it. Where many tokens follow one token, that one comes first; where many are of one kind,
   the kind does; where no token stands out, it says so.
2. What stands before, where that is not said yet and holds a share of the whole feature.
3. What the feature promotes; how often the named tokens really fire it.
A number is a share of the feature's activation, and no clause is written without a share that supports it.
What is counted is in `sentence_facts.py`, the words are those of `prompts/lexical.md`; this file decides which clause
is used. Line breaks that differ only in their indentation are one thing (a unit), and so are special tokens that stand
before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from autointerp.explain.clauses import Clauses, join, percent_of
from autointerp.explain.sentence_facts import (
    LEAST_NAMED,
    MOSTLY,
    NAMED_SHARE,
    FeatureFacts,
    FeaturePairs,
    FiringUnits,
    KindHeld,
    NamedUnit,
    UnitBefore,
    heaviest,
)
from autointerp.explain.token_text import quote
from autointerp.records import RARE_BELOW, Float64, GramTable, LookupTable

EXAMPLES, SPREAD_SHARE, SPREAD_ONE, MANY = 4, 0.2, 0.1, 20
"""No token stands out where those named hold less than this and each less than that, among MANY: EXAMPLES are given."""
SINGLE_SHARE = 0.9
"""One token with at least this share carries nearly all."""
PREVIOUS_FIRST = 0.5
"""A token before the whole feature comes first of all from this share, or where no token stands out."""
STRONGER_SHARE, STRONGER = 0.1, 2
"""Clauses of contexts by themselves: the least share of the feature's activation, and how many."""
EFFECTS, STRONG_Z = 4, 4.0
"""Promoted and suppressed tokens named; where their z values are known, those from this one on."""
RATE = 0.95
"""How often the named tokens fire it is said below this."""

_ByFeature = Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class EffectsToName:
    """The tokens that features promote and suppress, by feature, strongest first."""

    promoted: _ByFeature = field(default_factory=dict)
    suppressed: _ByFeature = field(default_factory=dict)
    promoted_z: Mapping[int, Sequence[float]] | None = None
    """Where it is given, only the tokens with a z of STRONG_Z or more in size are named."""
    suppressed_z: Mapping[int, Sequence[float]] | None = None
    name_suppressed: bool = False
    """Whether suppressed tokens are named at all."""

    def named(self) -> tuple[_ByFeature, _ByFeature]:
        """(promoted, suppressed): those that a sentence may name."""
        suppressed = _strong(self.suppressed, self.suppressed_z) if self.name_suppressed else {}
        return _strong(self.promoted, self.promoted_z), suppressed


NO_EFFECTS = EffectsToName()


def _strong(tokens: _ByFeature, z: Mapping[int, Sequence[float]] | None) -> _ByFeature:
    """The tokens whose z is STRONG_Z or more in size; all of them where it is not known."""
    if z is None:
        return tokens
    return {
        feature: [token for token, size in zip(own, z[feature], strict=True) if abs(size) >= STRONG_Z]
        for feature, own in tokens.items()
    }


class Sentences:
    """What all sentences of a dictionary share: the words, the vocabulary's display, what is counted.

    Without `pairs` and `lookup` there are no contexts; a feature without effects has no sentence about them.
    """

    def __init__(
        self,
        vocab: Sequence[str],
        tokens: GramTable,
        pairs: GramTable | None,
        lookup: LookupTable | None,
        total_mass: Float64 | None,
        effects: EffectsToName = NO_EFFECTS,
        special: Collection[int] | None = None,
    ) -> None:
        self.clauses = Clauses()
        self.tokens, self.total_mass = tokens, total_mass
        self.facts = FeatureFacts(vocab, tokens, pairs, lookup, special)
        self.promoted, self.suppressed = effects.named()
        self.shown = [quote(text) for text in vocab]

    def text(self, feature: int) -> str:
        """The sentence of one feature; empty where it never fired."""
        own = slice(int(self.tokens.start[feature]), int(self.tokens.start[feature + 1]))
        token, weight = self.tokens.token[own], np.abs(self.tokens.mass[own])
        n_firing = int(self.tokens.n_firing[own].sum())
        total = max(float(weight.sum()), 0.0 if self.total_mass is None else abs(float(self.total_mass[feature])))
        if n_firing == 0 or total == 0:
            return ""
        facts = self.facts
        units = facts.units(token, weight, own)
        pairs = facts.pairs(feature, units)
        before = facts.before(pairs, total)
        named = facts.named(units, total)
        spread = float(units.mass[:named].sum()) < SPREAD_SHARE * total and units.mass[0] < SPREAD_ONE * total
        spread = spread and len(units.unit) >= MANY
        items = [] if spread else [facts.item(units, i, pairs, total) for i in range(named)]
        after = before is not None and (spread or before.share >= PREVIOUS_FIRST)
        if before is not None and sum(before.unit in item.before for item in items) > 1:  # said once, for all of them
            items = [
                facts.item(units, i, None, total) if before.unit in item.before else item
                for i, item in enumerate(items)
            ]
        items = [] if after else items
        kind = facts.kind(token, weight / total, units, len(items))
        if before is not None and after:
            clauses = [self._right_after(before, pairs, total), *self._kind_clause(kind)]
        elif spread:
            clauses = [self._spread(units, total, kind)]
        else:
            clauses = [self._fires(units, items, kind, total)]
            clauses += self._stronger(units, items) + self._previous(before, items, pairs, total)
        clauses += self._effects(feature) + self._rate(units, items)
        if n_firing < RARE_BELOW:
            clauses.append(self.clauses("seen", n=str(n_firing)))
        return " ".join(clauses)

    def _name(self, units: FiringUnits, i: int) -> str:
        if units.n_tokens[i] == 1:
            return self.shown[int(units.heaviest[i])]
        if units.weight[i] >= MOSTLY * units.mass[i]:
            return self.clauses("indentation_such_as", token=self.shown[int(units.heaviest[i])])
        return self.clauses("indentation")

    def _where_of(self, item: NamedUnit) -> str:
        return "" if item.pairs is None else self._where(item.before, item.pairs)

    def _where(self, before: Sequence[int], pairs: FeaturePairs) -> str:
        """`after "a" or "b" or at the start of a context`."""
        names = []
        for unit in before:
            if unit != self.facts.start:
                tokens = np.unique(pairs.previous[pairs.before == unit])
                names.append(self.shown[tokens[0]] if len(tokens) == 1 else self.clauses("indentation"))
        parts = [self.clauses("after", previous=join(names, "or"))] if names else []
        return join(parts + [self.clauses("start")] * (self.facts.start in before), "or")

    def _shares(self, names: Sequence[str], shares: Sequence[float], first: str = "share_first") -> list[str]:
        pairs = enumerate(zip(names, shares, strict=True))
        return [self.clauses("share" if i else first, token=t, percent=percent_of(s)) for i, (t, s) in pairs]

    def _fires(self, units: FiringUnits, items: list[NamedUnit], kind: KindHeld | None, total: float) -> str:
        parts = []
        for i, item in enumerate(items):
            name, values = "share", {"token": self._name(units, i), "percent": percent_of(item.share)}
            if item.contexts == "always":
                values["token"] = self.clauses("place", token=values["token"], where=self._where_of(item))
            elif item.contexts == "mostly":
                rest = percent_of(item.share - item.part)
                name, values = (
                    "mostly",
                    {**values, "percent": percent_of(item.part), "where": self._where_of(item), "rest": rest},
                )
            parts.append(self.clauses(name if i or kind else f"{name}_first", **values))
        if kind is not None:
            return self.clauses(
                "mostly_kind",
                kind=self.clauses(f"kind_{kind.name}"),
                percent=percent_of(kind.share),
                tokens=join(parts),
            )
        if items[0].share >= SINGLE_SHARE and items[0].contexts != "mostly":
            only = len(units.unit) == 1 and items[0].contexts != "always" and items[0].share > 1 - 1e-6
            return self.clauses("only" if only else "almost_only", tokens=join(parts))
        held = float(units.mass[: len(items)].sum()) / total
        if held < NAMED_SHARE - 1e-9:
            parts.append(self.clauses("many_others" if len(units.unit) - len(items) >= MANY else "others"))
        return self.clauses("fires", tokens=join(parts))

    def _spread(self, units: FiringUnits, total: float, kind: KindHeld | None) -> str:
        names = [self._name(units, i) for i in range(EXAMPLES)]
        shares = (units.mass[:EXAMPLES] / total).tolist()
        if kind is None:
            return self.clauses("spread", tokens=join(self._shares(names, shares)))
        tokens = join(self._shares(names, shares, "share"))
        return self.clauses(
            "spread_kind", kind=self.clauses(f"kind_{kind.name}"), percent=percent_of(kind.share), tokens=tokens
        )

    def _right_after(self, before: UnitBefore, pairs: FeaturePairs | None, total: float) -> str:
        units = [(unit, mass / total) for unit, mass in heaviest(before.pairs.unit, before.pairs.mass)]
        large = [(unit, share) for unit, share in units[:EXAMPLES] if share >= LEAST_NAMED]
        names = [self._unit_name(unit) for unit, _ in (large if len(large) > 1 else units[:EXAMPLES])]
        values = {"where": self._where([before.unit], before.pairs), "bound": self._bound(before, pairs, total)}
        if len(large) < 2:
            return self.clauses("right_after_spread", tokens=join(names), **values)
        shares = [share for _, share in large]
        parts = self._shares(names, shares, "share")
        if sum(shares) < NAMED_SHARE * before.share:
            parts.append(self.clauses("others"))
        return self.clauses("right_after", tokens=join(parts), **values)

    def _unit_name(self, unit: int) -> str:
        return self.clauses("indentation") if unit == self.facts.indentation else self.shown[unit]

    def _bound(self, before: UnitBefore, pairs: FeaturePairs | None, total: float) -> str:
        """The share after a token; more than listed pairs hold may stand there."""
        whole = pairs is not None and float(pairs.mass.sum()) >= (1 - 1e-6) * total
        return self.clauses("exactly" if whole else "at_least", percent=percent_of(before.share))

    def _previous(
        self, before: UnitBefore | None, items: list[NamedUnit], pairs: FeaturePairs | None, total: float
    ) -> list[str]:
        if before is None or any(before.unit in item.before and item.contexts for item in items):
            return []
        where = self._where([before.unit], before.pairs)
        return [self.clauses("previous", bound=self._bound(before, pairs, total), where=where)]

    def _stronger(self, units: FiringUnits, items: list[NamedUnit]) -> list[str]:
        stronger = [(i, item) for i, item in enumerate(items) if item.contexts == "stronger"]
        stronger = [(i, item) for i, item in stronger if item.part >= STRONGER_SHARE][:STRONGER]
        if len(items) == 1:
            return [
                self.clauses("stronger_one", where=self._where_of(item), percent=percent_of(item.part))
                for _, item in stronger
            ]
        names = [self._unit_name(int(units.unit[i])) for i, _ in stronger]
        return [
            self.clauses("stronger", token=name, where=self._where_of(item), percent=percent_of(item.part))
            for name, (_, item) in zip(names, stronger, strict=True)
        ]

    def _kind_clause(self, kind: KindHeld | None) -> list[str]:
        return (
            []
            if kind is None
            else [self.clauses("kind", kind=self.clauses(f"kind_{kind.name}"), percent=percent_of(kind.share))]
        )

    def _effects(self, feature: int) -> list[str]:
        clauses = []
        for name, effects in (("promotes", self.promoted), ("suppresses", self.suppressed)):
            shown = list(effects.get(feature, ()))[:EFFECTS]
            unit = self.facts.unit[np.asarray(shown, dtype=np.int64)].tolist()
            several = unit.count(self.facts.indentation) > 1
            names = [self._unit_name(u) if several else self.shown[token] for u, token in zip(unit, shown, strict=True)]
            if names:
                clauses.append(self.clauses(name, tokens=join(list(dict.fromkeys(names)))))
        return clauses

    def _rate(self, units: FiringUnits, items: list[NamedUnit]) -> list[str]:
        """How often what is named fires it; nothing where only examples are given."""
        n_seen = sum(item.n_seen for item in items)
        rate = sum(item.n_firing for item in items) / max(n_seen, 1)
        if n_seen == 0 or rate >= RATE:
            return []
        name = "rate_one" if len(items) == 1 and units.n_tokens[0] == 1 else "rate_many"
        if any(item.contexts == "always" for item in items):
            name = "rate_places"
        return [self.clauses(name, percent=percent_of(rate))]
