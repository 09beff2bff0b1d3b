"""Texts of tokens, and which of them are variants of each other."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from autointerp.explain.token_text import is_fragment
from autointerp.hashing import hash64, stream_key


class Vocabulary:
    """Texts of tokens, and which are variants of each other."""

    def __init__(self, texts: Sequence[str], usable: npt.ArrayLike) -> None:
        self.texts = list(texts)
        self.usable = np.flatnonzero(np.asarray(usable, dtype=np.bool_))  # stand in the corpus, are not special
        names: dict[str, int] = {}
        self.variant = np.array([names.setdefault(plain_text(text), len(names)) for text in self.texts], dtype=np.int64)

    @cached_property
    def family(self) -> npt.NDArray[np.int64]:
        """[V] the same number for variants of one word: case, space, signs around it and endings aside."""
        names: dict[str, int] = {}
        return np.array([names.setdefault(family, len(names)) for family in self.shown_families], dtype=np.int64)

    @cached_property
    def shown_families(self) -> list[str]:
        """[V] the word family of each text."""
        return [word_family(text) for text in self.texts]

    @cached_property
    def fragments(self) -> list[bool]:
        """[V] whether a text is not whole characters."""
        return [is_fragment(text) for text in self.texts]

    def with_texts(self, texts: Sequence[str]) -> Vocabulary:
        """The same tokens under other texts; variants of each other are as before."""
        other = copy(self)
        other.texts = list(texts)
        for of_texts in ("shown_families", "fragments"):
            other.__dict__.pop(of_texts, None)
        other.__dict__["family"] = self.family
        return other

    def permuted(self, seed: int) -> list[str]:
        """Every usable token with the text of another: the control."""
        order = self.usable[np.argsort(hash64(stream_key(seed, "vocabulary"), self.usable), kind="stable")]
        texts = list(self.texts)
        for token, other in zip(order.tolist(), np.roll(order, 1).tolist(), strict=True):
            texts[token] = self.texts[other]
        return texts


def plain_text(text: str) -> str:
    """Without case and space; a token of nothing but space is itself."""
    return text.strip().casefold() or text


_ENDINGS = ("ing", "ed", "es", "s", "e")
_SHORTEST = 3
"""Letters that are left of a word, at least."""


@lru_cache(maxsize=1 << 16)
def word_family(text: str) -> str:
    """What variants of one word have in common (" kind", "Kind", "kinds,"): without case, space, signs and endings.

    It takes some different words for one ("string", "str"): of two tokens of a family one too many is left out.
    """
    plain = plain_text(text)
    core = "".join(character for character in plain if character.isalnum())
    if not core:
        return plain
    while ending := next((e for e in _ENDINGS if core.endswith(e) and len(core) - len(e) >= _SHORTEST), None):
        core = core[: -len(ending)]
    return core
