"""Real text as tokens: what planted features are functions of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp.records import N_BLOCKS, BlockCounts, Bool, Float32, Int32, Int64, Windows
from autointerp.score.selftest.line_contexts import LINE_CONTEXTS, states_of


@dataclass(frozen=True)
class SelftestText:
    """C contexts of P places, cut into windows of L tokens; a vocabulary of V tokens."""

    tokens: Int32  # [C, P]
    scored: Bool  # [C, P] False at special tokens and padding
    valid: Bool  # [C, P] False at padding
    document: Int32  # [C]
    block: Int32  # [C] document block
    texts: Sequence[str]  # [V] of every token
    special: frozenset[int]
    unembedding: Float32  # [V, D]
    window: int

    @property
    def n_vocabulary(self) -> int:
        return len(self.texts)

    @property
    def windows_per_context(self) -> int:
        return -(-int(self.tokens.shape[1]) // self.window)

    @cached_property
    def previous(self) -> Int32:
        """The token before each place, -1 at the first, [C, P]."""
        first = np.full((len(self.tokens), 1), -1, dtype=np.int32)
        return np.concatenate([first, self.tokens[:, :-1]], axis=1)

    @cached_property
    def states(self) -> dict[str, Bool]:
        """Which places stand in each kind of context, [C, P]."""
        return {name: states_of(context, self.texts, self.tokens) for name, context in LINE_CONTEXTS.items()}

    @cached_property
    def counts(self) -> Int64:
        """Scored occurrences of each token, [V]."""
        return np.bincount(self.tokens[self.scored], minlength=self.n_vocabulary).astype(np.int64)

    @cached_property
    def scored_windows(self) -> Int64:
        """Numbers of the windows with a scored token, rising."""
        context, position = np.nonzero(self.scored)
        return np.unique(context * self.windows_per_context + position // self.window)

    def window_of(self, place: Int64) -> Int64:
        """The number of the window that each place (context x P + position) is in."""
        context, position = np.divmod(place, self.tokens.shape[1])
        return np.asarray(context * self.windows_per_context + position // self.window, dtype=np.int64)

    def windows(self, numbers: Int64) -> Windows:
        """The windows of these numbers; short ones padded with token 0."""
        context, place, inside = self._places(numbers)
        return Windows(
            window=numbers,
            context=context,
            block=self.block[context],
            tokens=np.where(inside, self.tokens[context[:, None], place], 0).astype(np.int32),
            previous=np.where(inside, self.previous[context[:, None], place], -1).astype(np.int32),
            scored=np.asarray(inside & self.scored[context[:, None], place]),
        )

    def state_in(self, name: str, windows: Windows) -> Bool:
        """Which tokens of some windows stand in a kind of context, [W, L]."""
        context, place, inside = self._places(windows.window)
        return np.asarray(inside & self.states[name][context[:, None], place])

    def before(self, number: int, n_before: int) -> list[int]:
        """Up to so many tokens in front of a window, those of the text itself."""
        context, index = divmod(number, self.windows_per_context)
        places = slice(max(0, index * self.window - n_before), index * self.window)
        row = self.tokens[context, places][self.valid[context, places]]
        return [token for token in row.tolist() if token not in self.special]

    def _places(self, numbers: Int64) -> tuple[Int64, Int64, Bool]:
        context, index = np.divmod(np.asarray(numbers, dtype=np.int64), self.windows_per_context)
        place = (index * self.window)[:, None] + np.arange(self.window)
        inside = place < self.tokens.shape[1]
        return context, np.minimum(place, self.tokens.shape[1] - 1), inside

    def as_written(self, name: str | None) -> tuple[Int32, Int32]:
        """Token and previous token of each place [C, P], a token in context `name` written as one of its own (id + V):
        so the census, which knows tokens and pairs only, can be told of contexts."""
        if name is None:
            return self.tokens, self.previous
        return (self.tokens + self.n_vocabulary * self.states[name]).astype(np.int32), self.previous

    def block_counts(self, name: str | None) -> BlockCounts:
        """How often tokens and pairs of `as_written` stand in each document block."""
        token, previous = (part[self.scored].astype(np.int64) for part in self.as_written(name))
        block = np.broadcast_to(self.block[:, None], self.scored.shape)[self.scored].astype(np.int64)
        n = self.n_vocabulary * (1 if name is None else 2)
        tokens = np.bincount(block * n + token, minlength=N_BLOCKS * n).reshape(N_BLOCKS, n)
        keys, count = np.unique((block * (n + 1) + previous + 1) * n + token, return_counts=True)
        return BlockCounts(
            tokens=tokens.astype(np.int64),
            pair_block=(keys // n // (n + 1)).astype(np.int32),
            pair_previous=(keys // n % (n + 1) - 1).astype(np.int32),
            pair_token=(keys % n).astype(np.int32),
            pair_count=count.astype(np.int64),
        )
