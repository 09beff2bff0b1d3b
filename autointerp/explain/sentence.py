"""The texts of the embedded explainers, in the words of `prompts/lexical.md`.

A label names what fires the feature, by strength: `Fires on "a", "b" after "c" or "d" (strength 10); "e" (4).` Each
name is of one token, quoted and escaped, so that no token can end its quotes; where another token looks the same, or
the text is cut, its number stands behind it: `"a"#412`. So a label can be read back into its entries without a doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from autointerp.explain.clauses import Clauses, join
from autointerp.explain.lookup import Entries
from autointerp.explain.token_text import LONGEST, quote
from autointerp.records import ANY_TOKEN

HEAVIEST = 4
"""Entries of a table that its text names."""


def token_names(vocabulary: Sequence[str]) -> list[str]:
    """What each token is called, [V]: no two alike."""
    shown = [quote(text) for text in vocabulary]
    n_of = Counter(shown)
    return [
        f"{name}#{token}" if n_of[name] > 1 or len(text) > LONGEST else name
        for token, (name, text) in enumerate(zip(shown, vocabulary, strict=True))
    ]


def label_text(
    entries: Entries,
    strengths: Sequence[int],
    names: Sequence[str],
    *,
    promoted: Sequence[int] = (),
    seen: int | None = None,
) -> str:
    """A label: the entries by falling strength, then what the feature promotes, then how seldom it was seen to fire."""
    clauses = _words()
    text = clauses("fires", groups=strength_groups(entries, strengths, names)) if strengths else clauses("spread")
    parts = [text]
    if promoted:
        parts.append(clauses("promotes", tokens=join([names[token] for token in promoted])))
    if seen is not None:
        parts.append(clauses("seen", n=str(seen)))
    return " ".join(parts)


def strength_groups(entries: Entries, strengths: Sequence[int], names: Sequence[str]) -> str:
    """`"a", "b" after "c" (strength 10); "d" (4)`: the strongest first, within a strength the most explaining."""
    groups: dict[int, dict[int, list[int]]] = {}
    for previous, token, strength in zip(entries.previous.tolist(), entries.token.tolist(), strengths, strict=True):
        groups.setdefault(strength, {}).setdefault(token, []).append(previous)
    clauses = _words()
    said: list[str] = []
    for strength in sorted(groups, key=lambda s: (-abs(s), -s)):
        listed = ", ".join(
            place for token, before in groups[strength].items() for place in _places(token, before, names)
        )
        said.append(clauses("strength" if said else "strength_first", tokens=listed, strength=str(strength)))
    return "; ".join(said)


def table_text(clause: str, entries: Entries, names: Sequence[str]) -> str:
    """What a table is, in words; `clause` says which one."""
    pairs = zip(entries.previous[:HEAVIEST].tolist(), entries.token[:HEAVIEST].tolist(), strict=True)
    heaviest = join([place for previous, token in pairs for place in _places(token, [previous], names)])
    return _words()(clause, n=f"{len(entries):,}", tokens=heaviest)


def _places(token: int, before: Sequence[int], names: Sequence[str]) -> list[str]:
    """`"a"`, and `"a" after "b" or "c"`."""
    named = [names[previous] for previous in before if previous != ANY_TOKEN]
    after = [_words()("after", token=names[token], previous=" or ".join(named))] if named else []
    return [names[token]] * (len(named) < len(before)) + after


@cache
def _words() -> Clauses:
    return Clauses()
