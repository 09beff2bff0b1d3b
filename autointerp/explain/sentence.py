"""The sentence of the embedded explainers: what a person reads instead of a lookup.

1. The tokens that hold most of the feature's activation, heaviest first, each with its share.
2. How concentrated it is; how often those tokens really fire it; the kind of token where many are of one kind.
3. What stands before them, where a pair of the lookup holds more than its token's share.
4. What the feature promotes and suppresses.
The words are those of `prompts/lexical.md`, one clause a heading; this file decides which clause is used.
Tokens are shown in quotes and escaped, so that no token can end its quotes or break the line.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

import numpy as np

from autointerp.errors import UserError
from autointerp.explain.lookup import entry_keys, rows_of
from autointerp.hashing import content_hash
from autointerp.records import ANY_TOKEN, RARE_BELOW, Bool, Float64, GramTable, Int32, LookupTable
from autointerp.resources import prompt_text

NAMED_SHARE = 0.8
"""Tokens are named until they hold this share of the activation ..."""
NAMED = 8
"""... or until there are this many."""
SINGLE_SHARE = 0.9
"""One token with more than this share carries nearly all."""
KIND_SHARE, KIND_TOKENS = 0.6, 4
"""A kind of token is named where it holds this share, on at least so many different tokens."""
PREVIOUS_SHARE, PREVIOUS_TOKENS = 0.25, 3
"""A token before is named for the whole feature from this share, before at least so many different tokens."""
CONTEXTS = 3
"""Tokens whose context is described."""
EFFECTS = 5
"""Promoted and suppressed tokens named."""
LONGEST = 40
"""Characters of a token shown."""

_CLAUSES = {
    "fires": {"tokens"}, "share": {"token", "percent"}, "share_first": {"token", "percent"}, "single": set(),
    "spread": {"percent", "n"}, "spread_more": {"percent", "n"}, "rate": {"percent"}, "kind": {"percent", "kind", "n"},
    "mostly_after": {"token", "previous"}, "more_after": {"token", "previous"}, "previous": {"percent", "previous"},
    "promotes": {"tokens"}, "suppresses": {"tokens"}, "seen": {"n"}, "constant": set(), "generic": {"tokens"},
}  # fmt: skip
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


def _enough(weight: Float64, total: float) -> int:
    """How many of the heaviest entries hold NAMED_SHARE of the total."""
    return min(len(weight), 1 + int(np.searchsorted(np.cumsum(weight), NAMED_SHARE * total - 1e-12 * total)))


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
    ) -> None:
        self.words = Words()
        self.tokens, self.pairs = tokens, pairs
        self.promoted, self.suppressed, self.total_mass = promoted, suppressed, total_mass
        self.shown = [quote(text) for text in vocab]
        kinds = [kind_of(text) for text in vocab]
        self.kinds = [name for name, _ in _KINDS]
        self.kind = np.asarray([self.kinds.index(kind) if kind else -1 for kind in kinds], dtype=np.int64)
        self.matters = _in_lookup(pairs, lookup) if pairs is not None and lookup is not None else None

    def text(self, feature: int) -> str:
        """The sentence of one feature; empty where it never fired."""
        own = slice(int(self.tokens.start[feature]), int(self.tokens.start[feature + 1]))
        token, weight = self.tokens.token[own], np.abs(self.tokens.mass[own])
        n_firing = int(self.tokens.n_firing[own].sum())
        total = max(float(weight.sum()), 0.0 if self.total_mass is None else abs(float(self.total_mass[feature])))
        if n_firing == 0 or total == 0:
            return ""
        share = weight / total
        n_named = min(NAMED, _enough(weight, total))
        clauses = [
            self._fires(token[:n_named], share[:n_named]),
            *self._concentration(share, n_named),
            *self._rate(own, n_named),
            *self._kind(token, share),
            *self._contexts(feature, own, n_named, total),
            *self._effects(feature),
        ]
        if n_firing < RARE_BELOW:
            clauses.append(self.words("seen", n=str(n_firing)))
        return " ".join(clauses)

    def _fires(self, token: Int32, share: Float64) -> str:
        parts = [
            self.words("share" if i else "share_first", token=self.shown[t], percent=_percent(s))
            for i, (t, s) in enumerate(zip(token.tolist(), share.tolist(), strict=True))
        ]
        return self.words("fires", tokens=join(parts))

    def _concentration(self, share: Float64, n_named: int) -> list[str]:
        if share[0] >= SINGLE_SHARE:
            return [self.words("single")] if len(share) > 1 else []
        held, listed = float(share[:n_named].sum()), float(share.sum())
        if held >= NAMED_SHARE - 1e-9 or len(share) == n_named:
            return []
        clause = "spread" if listed > 1 - 1e-6 else "spread_more"  # more tokens than the table lists
        return [self.words(clause, percent=_percent(held), n=str(len(share) - n_named))]

    def _rate(self, own: slice, n_named: int) -> list[str]:
        n_seen = int(self.tokens.n_seen[own][:n_named].sum())
        rate = int(self.tokens.n_firing[own][:n_named].sum()) / max(n_seen, 1)
        return [self.words("rate", percent=_percent(rate))] if rate < 0.95 else []

    def _kind(self, token: Int32, share: Float64) -> list[str]:
        kind = self.kind[token]
        held = np.bincount(kind[kind >= 0], share[kind >= 0], minlength=len(self.kinds))
        best = int(held.argmax())
        n = int((kind == best).sum())
        if held[best] < KIND_SHARE or n < KIND_TOKENS:
            return []
        name = self.words(f"kind_{self.kinds[best]}")
        return [self.words("kind", percent=_percent(float(held[best])), kind=name, n=str(n))]

    def _contexts(self, feature: int, own: slice, n_named: int, total: float) -> list[str]:
        """Steps over the pairs of the lookup: a token before that matters everywhere, then named tokens one by one."""
        if self.pairs is None or self.matters is None:
            return []
        pair = slice(int(self.pairs.start[feature]), int(self.pairs.start[feature + 1]))
        listed = self.matters[pair]
        previous, token = self.pairs.previous[pair][listed], self.pairs.token[pair][listed]
        mass, n_seen = np.abs(self.pairs.mass[pair][listed]), self.pairs.n_seen[pair][listed]
        clauses = []

        before, which = np.unique(previous, return_inverse=True)
        if len(before):
            held = np.bincount(which, mass)
            best = int(held.argmax())
            if held[best] >= PREVIOUS_SHARE * total and (which == best).sum() >= PREVIOUS_TOKENS:
                percent = _percent(float(held[best]) / total)
                clauses.append(self.words("previous", percent=percent, previous=self.shown[before[best]]))

        for i in range(n_named):
            here = token == self.tokens.token[own][i]
            token_mass, token_seen = abs(float(self.tokens.mass[own][i])), int(self.tokens.n_seen[own][i])
            strong = here & (mass * token_seen > 1.25 * token_mass * n_seen)  # more than the token's mean
            order = np.flatnonzero(strong)[np.argsort(-mass[strong], kind="stable")][:3]
            if len(order) == 0 or len(clauses) == CONTEXTS:
                continue
            mostly = float(mass[order].sum()) >= 0.5 * token_mass
            clauses.append(self.words(
                "mostly_after" if mostly else "more_after",
                token=self.shown[self.tokens.token[own][i]],
                previous=join([self.shown[p] for p in previous[order].tolist()], "or"),
            ))  # fmt: skip
        return clauses

    def _effects(self, feature: int) -> list[str]:
        clauses = []
        for name, effects in (("promotes", self.promoted), ("suppresses", self.suppressed)):
            shown = [self.shown[token] for token in list(effects.get(feature, ()))[:EFFECTS]]
            if shown:
                clauses.append(self.words(name, tokens=join(shown)))
        return clauses


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
