"""The sentence of the embedded explainers: what a person reads instead of a lookup.

1. A label: the tokens that hold the feature's activation, heaviest first, each with its share and, where it matters,
   with what stands before it. Where many tokens follow one token, that one comes first; where many are of one kind,
   the kind does; where no token stands out, it says so.
2. What stands before, where that is not said yet and holds a share of the whole feature.
3. What the feature promotes; how often the named tokens really fire it.
A number is a share of the feature's activation, and no clause is written without a share that supports it.
The words are those of `prompts/lexical.md`, one clause a heading; this file decides which clause is used.
Tokens are shown in quotes and escaped, so that no token can end its quotes or break the line. Line breaks that differ
only in their indentation are one thing (a unit), and so are special tokens that stand before.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autointerp.errors import UserError
from autointerp.explain.lookup import entry_keys, rows_of
from autointerp.hashing import content_hash
from autointerp.records import ANY_TOKEN, RARE_BELOW, Bool, Float64, GramTable, Int32, Int64, LookupTable
from autointerp.resources import prompt_text

NAMED_SHARE = 0.8
"""Tokens are named until they hold this share of the activation ..."""
NAMED, LEAST_NAMED = 4, 0.04
"""... or until there are this many, each with at least this share."""
EXAMPLES, SPREAD_SHARE, SPREAD_ONE, MANY = 4, 0.2, 0.1, 20
"""No token stands out where those named hold less than this and each less than that, among MANY: EXAMPLES are given."""
SINGLE_SHARE = 0.9
"""One token with at least this share carries nearly all."""
KIND_SHARE, KIND_TOKENS, KIND_ADDS = 0.6, 4, 0.1
"""A kind of token is named where it holds this share, on at least so many tokens, this much more than those named."""
PREVIOUS_SHARE, PREVIOUS_TOKENS, PREVIOUS_ONE = 0.25, 3, 0.6
"""A token before is named for the whole feature from this share, before at least so many tokens, none too heavy ..."""
PREVIOUS_FIRST = 0.5
"""... and first of all from this share, or where no token stands out."""
LIFT = 1.25
"""A context is one only where the activation is so many times its token's mean."""
CONTEXTS, LEAST_CONTEXT, CONTEXT_SHARE = 3, 0.02, 0.05
"""Contexts of a token that are named: how many, the least share of each, the least share of all of them."""
MOSTLY, ALWAYS = 0.5, 0.8
"""Of the token's activation: contexts with less are a clause of their own; those with more replace the token."""
STRONGER_SHARE, STRONGER = 0.1, 2
"""Such clauses: the least share of the feature's activation, and how many."""
EFFECTS, STRONG_Z = 4, 4.0
"""Promoted and suppressed tokens named; where their z values are known, those from this one on."""
RATE = 0.95
"""How often the named tokens fire it is said below this."""
LONGEST = 40
"""Characters of a token shown."""

_CLAUSES = {
    "only": {"tokens"}, "almost_only": {"tokens"}, "fires": {"tokens"}, "mostly_kind": {"kind", "percent", "tokens"},
    "spread_kind": {"kind", "percent", "tokens"}, "spread": {"tokens"}, "right_after": {"where", "bound", "tokens"},
    "right_after_spread": {"where", "bound", "tokens"}, "exactly": {"percent"}, "at_least": {"percent"},
    "share": {"token", "percent"}, "share_first": {"token", "percent"}, "mostly": {"token", "percent", "where", "rest"},
    "mostly_first": {"token", "percent", "where", "rest"}, "place": {"token", "where"},
    "after": {"previous"}, "start": set(), "indentation": set(), "indentation_such_as": {"token"}, "others": set(),
    "many_others": set(), "kind": {"percent", "kind"}, "stronger": {"token", "where", "percent"},
    "stronger_one": {"where", "percent"}, "previous": {"bound", "where"},
    "promotes": {"tokens"}, "suppresses": {"tokens"}, "rate_one": {"percent"}, "rate_many": {"percent"},
    "rate_places": {"percent"}, "seen": {"n"}, "constant": set(), "generic": {"tokens"},
}  # fmt: skip
_INDENTATION = re.compile(r"\s*[\n\r][^\S\n\r]+")
_SPECIAL = re.compile(r"<\|.*\|>", re.DOTALL)
_KINDS = (
    ("line_break", re.compile(r"\s*[\n\r]\s*")),
    ("space", re.compile(r"\s+")),
    ("number", re.compile(r"\s*\d[\d.,]*")),
    ("underscore", re.compile(r"\s*_\w*")),
    ("bracket", re.compile(r"\s*[()\[\]{}<>]+")),
    ("quote", re.compile(r"\s*[\"'`“”‘’«»]+")),
    ("punctuation", re.compile(r"\s*[^\w\s]+\s*")),
    ("capitals", re.compile(r"\s*[A-Z][A-Z]+")),
    ("capitalised", re.compile(r"\s*[A-Z][a-z]+")),
)
"""The kinds of token that a sentence names; a token is of the first that fits it whole."""


def template_hash() -> str:
    """Version of the sentence's words."""
    return content_hash(prompt_text("lexical.md"), tag="prompt")


def named_tokens(tokens: GramTable, feature: int) -> Int32:
    """The tokens that carry NAMED_SHARE of the listed activation of one feature, heaviest first."""
    own = slice(int(tokens.start[feature]), int(tokens.start[feature + 1]))
    weight = np.abs(tokens.mass[own])
    return tokens.token[own][: _enough(weight, float(weight.sum()))]


def quote(text: str) -> str:
    """A token in double quotes, on one line, whatever it holds: what is not printable is escaped."""
    shown = "".join(map(_visible, text[:LONGEST]))
    return f'"{shown}"' + ("..." if len(text) > LONGEST else "")


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _visible(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():  # not: control, format, private, unassigned, spaces other than " "
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def kind_of(text: str) -> str | None:
    """The kind of a token, one of those that the template names; none for most words."""
    return next((name for name, pattern in _KINDS if pattern.fullmatch(text)), None)


def strong_effects(
    tokens: Mapping[int, Sequence[int]], z: Mapping[int, Sequence[float]] | None
) -> Mapping[int, Sequence[int]]:
    """The tokens whose z is STRONG_Z or more in size; all of them where it is not known."""
    if z is None:
        return tokens
    return {
        feature: [token for token, size in zip(own, z[feature], strict=True) if abs(size) >= STRONG_Z]
        for feature, own in tokens.items()
    }


def _enough(weight: Float64, total: float) -> int:
    """How many of the heaviest entries hold NAMED_SHARE of the total."""
    return min(len(weight), 1 + int(np.searchsorted(np.cumsum(weight), NAMED_SHARE * total - 1e-12 * total)))


@dataclass(frozen=True)
class _Units:
    """What a feature fires on, heaviest first."""

    unit: Int64
    mass: Float64
    n_firing: Int64
    n_seen: Int64
    heaviest: Int64  # the token of each that holds most
    weight: Float64  # its mass
    n_tokens: Int64


@dataclass(frozen=True)
class _Pairs:
    """What stood before what, of one feature: starts of contexts without a token before are left out."""

    before: Int64  # unit of the token before
    unit: Int64
    previous: Int32
    mass: Float64
    n_firing: Int64
    n_seen: Int64
    strong: Bool  # in the lookup, and LIFT times the token's mean

    def take(self, index: Int64 | Bool) -> _Pairs:
        return _Pairs(
            self.before[index],
            self.unit[index],
            self.previous[index],
            self.mass[index],
            self.n_firing[index],
            self.n_seen[index],
            self.strong[index],
        )


@dataclass(frozen=True)
class _Item:
    """A named unit and its contexts."""

    share: float  # stated beside it
    n_firing: int
    n_seen: int
    contexts: str = ""  # "", "stronger", "mostly" (half or more), "always" (share and counts are theirs)
    where: str = ""
    part: float = 0.0  # share that the contexts hold
    before: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Before:
    """A unit that stands before many tokens, whose pairs hold a share of the feature's activation."""

    unit: int
    share: float
    pairs: _Pairs


class Sentences:
    """What all sentences of a dictionary share: the words, the vocabulary's display, which pairs matter.

    Without `pairs` and `lookup` there are no contexts; a feature without effects has no sentence about them.
    """

    def __init__(
        self,
        vocab: Sequence[str],
        tokens: GramTable,
        pairs: GramTable | None,
        lookup: LookupTable | None,
        total_mass: Float64 | None,
        promoted: Mapping[int, Sequence[int]],
        suppressed: Mapping[int, Sequence[int]],
        special: Collection[int] | None = None,
    ) -> None:
        self.words = Words()
        self.tokens, self.pairs = tokens, pairs
        self.promoted, self.suppressed, self.total_mass = promoted, suppressed, total_mass
        self.shown = [quote(text) for text in vocab]
        kinds = [kind_of(text) for text in vocab]
        self.kinds = [name for name, _ in _KINDS]
        self.kind = np.asarray([self.kinds.index(kind) if kind else -1 for kind in kinds], dtype=np.int64)
        self.matters = _in_lookup(pairs, lookup) if pairs is not None and lookup is not None else None
        # units: a token, or all indentations, or (before a token) all special tokens
        n = len(vocab)
        self.indentation, self.start = n, n + 1
        indented = np.asarray([_INDENTATION.fullmatch(text) is not None for text in vocab], dtype=np.bool_)
        self.unit = np.where(indented, self.indentation, np.arange(n)).astype(np.int64)
        if special is None:
            special = [token for token, text in enumerate(vocab) if _SPECIAL.fullmatch(text)]
        self.before = self.unit.copy()
        self.before[list(special)] = self.start
        self._mean = np.zeros(n + 2)

    def text(self, feature: int) -> str:
        """The sentence of one feature; empty where it never fired."""
        own = slice(int(self.tokens.start[feature]), int(self.tokens.start[feature + 1]))
        token, weight = self.tokens.token[own], np.abs(self.tokens.mass[own])
        n_firing = int(self.tokens.n_firing[own].sum())
        total = max(float(weight.sum()), 0.0 if self.total_mass is None else abs(float(self.total_mass[feature])))
        if n_firing == 0 or total == 0:
            return ""
        units = self._units(token, weight, own)
        pairs = self._pairs(feature, units)
        before = self._before(pairs, total)
        named = self._named(units, total)
        spread = float(units.mass[:named].sum()) < SPREAD_SHARE * total and units.mass[0] < SPREAD_ONE * total
        spread = spread and len(units.unit) >= MANY
        items = [] if spread else [self._item(units, i, pairs, total) for i in range(named)]
        after = before is not None and (spread or before.share >= PREVIOUS_FIRST)
        if before is not None and sum(before.unit in item.before for item in items) > 1:  # said once, for all of them
            items = [
                self._item(units, i, None, total) if before.unit in item.before else item
                for i, item in enumerate(items)
            ]
        items = [] if after else items
        kind = self._kind(token, weight / total, units, len(items))
        if before is not None and after:
            clauses = [self._right_after(before, pairs, total), *self._kind_clause(kind)]
        elif spread:
            clauses = [self._spread(units, total, kind)]
        else:
            clauses = [self._fires(units, items, kind, total)]
            clauses += self._stronger(units, items) + self._previous(before, items, pairs, total)
        clauses += self._effects(feature) + self._rate(units, items)
        if n_firing < RARE_BELOW:
            clauses.append(self.words("seen", n=str(n_firing)))
        return " ".join(clauses)

    # --- what is counted ----------------------------------------------------------------------------

    def _units(self, token: Int32, weight: Float64, own: slice) -> _Units:
        n_firing, n_seen, unit = self.tokens.n_firing[own], self.tokens.n_seen[own], self.unit[token]
        if int((unit == self.indentation).sum()) < 2:  # the table is in order
            return _Units(unit, weight, n_firing, n_seen, token.astype(np.int64), weight, np.ones_like(unit))
        ids, first, which = np.unique(unit, return_index=True, return_inverse=True)  # first: the heaviest
        mass: Float64 = np.bincount(which, weight).astype(np.float64)
        order = np.lexsort((first, -mass))
        n_firing = np.bincount(which, n_firing).astype(np.int64)
        n_seen = np.bincount(which, n_seen).astype(np.int64)
        heaviest = token[first].astype(np.int64)
        return _Units(
            ids[order],
            mass[order],
            n_firing[order],
            n_seen[order],
            heaviest[order],
            weight[first][order],
            np.bincount(which)[order],
        )

    def _pairs(self, feature: int, units: _Units) -> _Pairs | None:
        if self.pairs is None or self.matters is None:
            return None
        own = slice(int(self.pairs.start[feature]), int(self.pairs.start[feature + 1]))
        real = np.flatnonzero(self.pairs.previous[own] != ANY_TOKEN) + own.start
        previous, mass, n_seen = self.pairs.previous[real], np.abs(self.pairs.mass[real]), self.pairs.n_seen[real]
        unit = self.unit[self.pairs.token[real]]
        self._mean[units.unit] = units.mass / np.maximum(units.n_seen, 1)
        strong = self.matters[real] & (mass > LIFT * self._mean[unit] * n_seen)
        self._mean[units.unit] = 0
        return _Pairs(self.before[previous], unit, previous, mass, self.pairs.n_firing[real], n_seen, strong)

    def _named(self, units: _Units, total: float) -> int:
        """How many units are named: at least one."""
        large = int((units.mass >= LEAST_NAMED * total).sum())
        return max(1, min(NAMED, _enough(units.mass, total), large))

    def _kind(self, token: Int32, share: Float64, units: _Units, named: int) -> tuple[str, float] | None:
        """The kind of most tokens and what it holds, where that says more than the tokens named."""
        kind = self.kind[token]
        held = np.bincount(kind[kind >= 0], share[kind >= 0], minlength=len(self.kinds))
        best = int(held.argmax())
        of_best = kind == best
        said = float(share[of_best & _any_of(self.unit[token], units.unit[:named].tolist())].sum())
        if held[best] < KIND_SHARE or of_best.sum() < KIND_TOKENS or held[best] < said + KIND_ADDS:
            return None
        return self.words(f"kind_{self.kinds[best]}"), float(held[best])

    def _before(self, pairs: _Pairs | None, total: float) -> _Before | None:
        """The unit before that holds most, where it matters and no single token explains it."""
        if pairs is None or not pairs.strong.any():
            return None
        for unit, held in _heaviest(pairs.before, pairs.mass):
            if held < PREVIOUS_SHARE * total:
                break
            here = pairs.take(pairs.before == unit)
            if (
                float(here.mass[here.strong].sum()) >= MOSTLY * held
                and len(np.unique(here.unit[here.strong])) >= PREVIOUS_TOKENS
                and _heaviest(here.unit, here.mass)[0][1] <= PREVIOUS_ONE * held
            ):
                return _Before(unit, held / total, here)
        return None

    def _item(self, units: _Units, i: int, pairs: _Pairs | None, total: float) -> _Item:
        """A unit and the contexts that hold a share of its activation."""
        mass = float(units.mass[i])
        alone = _Item(mass / total, int(units.n_firing[i]), int(units.n_seen[i]))
        if pairs is None:
            return alone
        here = pairs.take(pairs.strong & (pairs.unit == units.unit[i]))
        held = dict(_heaviest(here.before, here.mass)[:CONTEXTS])
        best = [unit for unit, part in held.items() if part >= LEAST_CONTEXT * total]
        part = sum(held[unit] for unit in best)
        if not best or part < CONTEXT_SHARE * total:
            return alone
        here = here.take(_any_of(here.before, best))
        where, before = self._where(best, here), frozenset(best)
        if part >= ALWAYS * mass:
            share, n_firing, n_seen = part / total, int(here.n_firing.sum()), int(here.n_seen.sum())
            return _Item(share, n_firing, n_seen, "always", where, share, before)
        contexts = "mostly" if part >= MOSTLY * mass else "stronger"
        return replace(alone, contexts=contexts, where=where, part=part / total, before=before)

    # --- what is said -------------------------------------------------------------------------------

    def _name(self, units: _Units, i: int) -> str:
        if units.n_tokens[i] == 1:
            return self.shown[int(units.heaviest[i])]
        if units.weight[i] >= MOSTLY * units.mass[i]:
            return self.words("indentation_such_as", token=self.shown[int(units.heaviest[i])])
        return self.words("indentation")

    def _where(self, before: Sequence[int], pairs: _Pairs) -> str:
        """`after "a" or "b" or at the start of a context`."""
        names = []
        for unit in before:
            if unit != self.start:
                tokens = np.unique(pairs.previous[pairs.before == unit])
                names.append(self.shown[tokens[0]] if len(tokens) == 1 else self.words("indentation"))
        parts = [self.words("after", previous=join(names, "or"))] if names else []
        return join(parts + [self.words("start")] * (self.start in before), "or")

    def _shares(self, names: Sequence[str], shares: Sequence[float], first: str = "share_first") -> list[str]:
        pairs = enumerate(zip(names, shares, strict=True))
        return [self.words("share" if i else first, token=t, percent=_percent(s)) for i, (t, s) in pairs]

    def _fires(self, units: _Units, items: list[_Item], kind: tuple[str, float] | None, total: float) -> str:
        parts = []
        for i, item in enumerate(items):
            name, values = "share", {"token": self._name(units, i), "percent": _percent(item.share)}
            if item.contexts == "always":
                values["token"] = self.words("place", token=values["token"], where=item.where)
            elif item.contexts == "mostly":
                rest = _percent(item.share - item.part)
                name, values = "mostly", {**values, "percent": _percent(item.part), "where": item.where, "rest": rest}
            parts.append(self.words(name if i or kind else f"{name}_first", **values))
        if kind is not None:
            return self.words("mostly_kind", kind=kind[0], percent=_percent(kind[1]), tokens=join(parts))
        if items[0].share >= SINGLE_SHARE and items[0].contexts != "mostly":
            only = len(units.unit) == 1 and items[0].contexts != "always" and items[0].share > 1 - 1e-6
            return self.words("only" if only else "almost_only", tokens=join(parts))
        held = float(units.mass[: len(items)].sum()) / total
        if held < NAMED_SHARE - 1e-9:
            parts.append(self.words("many_others" if len(units.unit) - len(items) >= MANY else "others"))
        return self.words("fires", tokens=join(parts))

    def _spread(self, units: _Units, total: float, kind: tuple[str, float] | None) -> str:
        names = [self._name(units, i) for i in range(EXAMPLES)]
        shares = (units.mass[:EXAMPLES] / total).tolist()
        if kind is None:
            return self.words("spread", tokens=join(self._shares(names, shares)))
        tokens = join(self._shares(names, shares, "share"))
        return self.words("spread_kind", kind=kind[0], percent=_percent(kind[1]), tokens=tokens)

    def _right_after(self, before: _Before, pairs: _Pairs | None, total: float) -> str:
        units = [(unit, mass / total) for unit, mass in _heaviest(before.pairs.unit, before.pairs.mass)]
        large = [(unit, share) for unit, share in units[:EXAMPLES] if share >= LEAST_NAMED]
        names = [self._unit_name(unit) for unit, _ in (large if len(large) > 1 else units[:EXAMPLES])]
        values = {"where": self._where([before.unit], before.pairs), "bound": self._bound(before, pairs, total)}
        if len(large) < 2:
            return self.words("right_after_spread", tokens=join(names), **values)
        shares = [share for _, share in large]
        parts = self._shares(names, shares, "share")
        if sum(shares) < NAMED_SHARE * before.share:
            parts.append(self.words("others"))
        return self.words("right_after", tokens=join(parts), **values)

    def _unit_name(self, unit: int) -> str:
        return self.words("indentation") if unit == self.indentation else self.shown[unit]

    def _bound(self, before: _Before, pairs: _Pairs | None, total: float) -> str:
        """The share after a token; more than listed pairs hold may stand there."""
        whole = pairs is not None and float(pairs.mass.sum()) >= (1 - 1e-6) * total
        return self.words("exactly" if whole else "at_least", percent=_percent(before.share))

    def _previous(self, before: _Before | None, items: list[_Item], pairs: _Pairs | None, total: float) -> list[str]:
        if before is None or any(before.unit in item.before and item.contexts for item in items):
            return []
        where = self._where([before.unit], before.pairs)
        return [self.words("previous", bound=self._bound(before, pairs, total), where=where)]

    def _stronger(self, units: _Units, items: list[_Item]) -> list[str]:
        found = [(i, item) for i, item in enumerate(items) if item.contexts == "stronger"]
        found = [(i, item) for i, item in found if item.part >= STRONGER_SHARE][:STRONGER]
        if len(items) == 1:
            return [self.words("stronger_one", where=item.where, percent=_percent(item.part)) for _, item in found]
        names = [self._unit_name(int(units.unit[i])) for i, _ in found]
        return [
            self.words("stronger", token=name, where=item.where, percent=_percent(item.part))
            for name, (_, item) in zip(names, found, strict=True)
        ]

    def _kind_clause(self, kind: tuple[str, float] | None) -> list[str]:
        return [] if kind is None else [self.words("kind", kind=kind[0], percent=_percent(kind[1]))]

    def _effects(self, feature: int) -> list[str]:
        clauses = []
        for name, effects in (("promotes", self.promoted), ("suppresses", self.suppressed)):
            shown = list(effects.get(feature, ()))[:EFFECTS]
            unit = self.unit[np.asarray(shown, dtype=np.int64)].tolist()
            several = unit.count(self.indentation) > 1
            names = [self._unit_name(u) if several else self.shown[token] for u, token in zip(unit, shown, strict=True)]
            if names:
                clauses.append(self.words(name, tokens=join(list(dict.fromkeys(names)))))
        return clauses

    def _rate(self, units: _Units, items: list[_Item]) -> list[str]:
        """How often what is named fires it; nothing where only examples are given."""
        n_seen = sum(item.n_seen for item in items)
        rate = sum(item.n_firing for item in items) / max(n_seen, 1)
        if n_seen == 0 or rate >= RATE:
            return []
        name = "rate_one" if len(items) == 1 and units.n_tokens[0] == 1 else "rate_many"
        if any(item.contexts == "always" for item in items):
            name = "rate_places"
        return [self.words(name, percent=_percent(rate))]


def _any_of(ids: Int64, wanted: Sequence[int]) -> Bool:
    """np.isin for a few."""
    found = np.zeros(len(ids), dtype=np.bool_)
    for one in wanted:
        found |= ids == one
    return found


def _heaviest(unit: Int64, mass: Float64) -> list[tuple[int, float]]:
    """Units and the mass of each, heaviest first."""
    units, which = np.unique(unit, return_inverse=True)
    held = np.bincount(which, mass)
    order = np.argsort(-held, kind="stable")
    return list(zip(units[order].tolist(), held[order].tolist(), strict=True))


def _in_lookup(pairs: GramTable, lookup: LookupTable) -> Bool:
    """Which pairs have an entry of their own."""
    width = 1 + max(pairs.token.max(initial=0), pairs.previous.max(initial=0), lookup.token.max(initial=0))
    listed = entry_keys(rows_of(pairs.start), pairs.previous, pairs.token, int(width))
    entries = entry_keys(rows_of(lookup.start), lookup.previous, lookup.token, int(width))
    return np.asarray(np.isin(listed, entries) & (pairs.previous != ANY_TOKEN), dtype=np.bool_)


class Words:
    """The clauses of the template; a clause or a placeholder too many or too few is an error."""

    def __init__(self, template: str | None = None) -> None:
        parts = re.split(r"^## (\w+)$", template or prompt_text("lexical.md"), flags=re.MULTILINE)
        self.clause = {name: " ".join(text.split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
        wanted = {**_CLAUSES, **{f"kind_{name}": set() for name, _ in _KINDS}}
        if self.clause.keys() != wanted.keys():
            wrong = sorted(self.clause.keys() ^ wanted.keys())
            raise UserError(f"prompts/lexical.md: clauses {wrong} are too many or missing")
        for name, text in self.clause.items():
            found = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
            if found != wanted[name]:
                names = f"must hold {sorted(wanted[name])}, not {sorted(found)}"
                raise UserError(f'prompts/lexical.md: clause "{name}" {names}')

    def __call__(self, name: str, **values: str) -> str:
        return self.clause[name].format(**values)


def _percent(share: float) -> str:
    return "<1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")


def join(parts: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
