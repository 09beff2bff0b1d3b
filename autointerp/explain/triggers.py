"""Which tokens an explanation names: what a cheap simulator of it fires on (class E of the sample)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import EMPTY, Entries, gram_key
from autointerp.explain.marking import unescape
from autointerp.records import ANY_TOKEN

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)+)"')


def tokens_by_text(vocab: Sequence[str]) -> dict[str, list[int]]:
    """Tokens by their text without space around it; a token of nothing but space by its text as it is."""
    tokens: dict[str, list[int]] = {}
    for token, text in enumerate(vocab):
        tokens.setdefault(text.strip() or text, []).append(token)
    return tokens


def named_in(text: str) -> tuple[str, ...]:
    """What a text quotes: the triggers of a person's label."""
    return tuple(dict.fromkeys(unescape(found) for found in _QUOTED.findall(text)))


def entries_of_triggers(triggers: Iterable[str], by_text: Mapping[str, Sequence[int]]) -> Entries:
    """A lookup that fires on every token of a trigger's text, with and without space around it."""
    return any_of(sorted({token for text in triggers for token in by_text.get(text.strip() or text, ())}))


def any_of(tokens: npt.ArrayLike) -> Entries:
    """A lookup that fires on these tokens, whatever stands before."""
    ids = np.asarray(tokens, dtype=np.int32)
    if ids.size == 0:
        return EMPTY
    ones = np.ones(ids.size, dtype=np.float32)
    return Entries(np.full(ids.size, ANY_TOKEN, dtype=np.int32), ids, ones, ones)


def either(first: Entries, second: Entries) -> Entries:
    """A lookup that fires where either does; where both have an entry, the first one's."""
    keys = gram_key(first.previous, first.token)
    new = ~np.isin(gram_key(second.previous, second.token), keys)
    parts = (
        (getattr(first, name), getattr(second, name)[new]) for name in ("previous", "token", "value", "probability")
    )
    return Entries(*(np.concatenate(part) for part in parts))
