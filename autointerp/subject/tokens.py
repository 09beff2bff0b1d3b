"""The token file: what every later pass reads. Memory-mapped, read only.

Special tokens are known by their ids, never by position; a token is *scored* when it is neither padding
nor special nor in a dropped window. `tokenise.py` writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autointerp.errors import InputError
from autointerp.records import N_BLOCKS, SPLITS, BlockCounts, Bool, Int32, Int64, Split, Windows

PAIRS_AT_ONCE = 1_024
"""Contexts whose pairs are counted together."""
VALID, SPECIAL, DROPPED = 1, 2, 4
"""Marks of a place: it holds a token; a special token; a token of a dropped window."""


def is_whole(folder: Path, n_contexts: int, context_length: int) -> bool:
    """Whether the files in `folder` are as long as they are said to be: a map of a shorter one cannot be read."""
    places = n_contexts * context_length
    sizes = {"tokens": 4 * places, "marks": places, "document": 4 * n_contexts, "offset": 8 * n_contexts}
    files = {folder / f"{column}.bin": size for column, size in sizes.items()}
    return all(file.is_file() and file.stat().st_size == size for file, size in files.items())


class TokenFile:
    """The contexts of a run, read only. C contexts of L places, `n_windows` windows a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        facts = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
        self.n_contexts: int = facts["n_contexts"]
        self.context_length: int = facts["context_length"]
        self.window: int = facts["window"]
        self.left_out: dict[str, int] = facts["left_out"]
        """Rows of the source that became no document, by reason."""
        self.remarks: list[str] = facts["remarks"]
        """What a user should be told of how the source was found."""
        shape = (self.n_contexts, self.context_length)
        if not is_whole(folder, *shape):
            raise InputError(f'the token file "{folder}" is damaged; remove this folder, and `run` makes it again')
        self.tokens: Int32 = np.memmap(folder / "tokens.bin", np.int32, "r", shape=shape)
        self.marks: npt.NDArray[np.uint8] = np.memmap(folder / "marks.bin", np.uint8, "r", shape=shape)
        self.document: Int32 = np.fromfile(folder / "document.bin", np.int32)
        self.offset: Int64 = np.fromfile(folder / "offset.bin", np.int64)
        names = json.loads((folder / "documents.json").read_text(encoding="utf-8"))
        self.document_name: list[str] = names["name"]
        self.document_hash: list[str] = names["hash"]
        self.document_split: npt.NDArray[np.int8] = np.array(names["split"], dtype=np.int8)
        self.document_block: Int32 = np.array(names["block"], dtype=np.int32)

    @property
    def windows_per_context(self) -> int:
        return -(-self.context_length // self.window)

    @cached_property
    def split(self) -> npt.NDArray[np.int8]:
        """Index into SPLITS of each context, [C]."""
        return np.asarray(self.document_split[self.document])

    @cached_property
    def block(self) -> Int32:
        """Document block of each context, [C]."""
        return np.asarray(self.document_block[self.document])

    @property
    def n_valid(self) -> Int32:
        """Tokens of each context, [C]; padding comes after them."""
        return self._lengths[0]

    @property
    def has_dropped(self) -> Bool:
        """Whether a context holds a dropped window, [C]."""
        return self._lengths[1]

    @cached_property
    def _lengths(self) -> tuple[Int32, Bool]:
        n_valid = np.zeros(self.n_contexts, dtype=np.int32)
        has_dropped = np.zeros(self.n_contexts, dtype=np.bool_)
        for first in range(0, self.n_contexts, 8192):
            portion = slice(first, first + 8192)
            n_valid[portion] = ((self.marks[portion] & VALID) > 0).sum(axis=1)
            has_dropped[portion] = ((self.marks[portion] & DROPPED) > 0).any(axis=1)
        return n_valid, has_dropped

    def contexts_of(self, split: Split) -> Int64:
        """Context numbers of a split, rising."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def scored(self, contexts: npt.ArrayLike) -> Bool:
        """True where a token counts: neither padding nor special nor dropped. [n, L]"""
        return np.asarray(self.marks[np.asarray(contexts)] == VALID)

    def scored_windows(self, split: Split) -> Int64:
        """Numbers of the windows of a split with at least one scored token, rising."""
        return self._scored_windows[split]

    @cached_property
    def _scored_windows(self) -> dict[Split, Int64]:
        windows: dict[Split, list[Int64]] = {split: [] for split in SPLITS}
        for first in range(0, self.n_contexts, 8192):
            contexts = np.arange(first, min(first + 8192, self.n_contexts))
            any_scored = by_window(self.scored(contexts), self.window).any(axis=2)
            number = contexts[:, None] * self.windows_per_context + np.arange(self.windows_per_context)
            for index, split in enumerate(SPLITS):
                windows[split].append(number[any_scored & (self.split[contexts] == index)[:, None]])
        return {split: np.concatenate([*parts, np.zeros(0, np.int64)]) for split, parts in windows.items()}

    def previous(self, contexts: npt.ArrayLike) -> Int32:
        """The token before each place, -1 at position 0. [n, L]"""
        tokens = np.asarray(self.tokens[np.asarray(contexts)])
        return np.concatenate([np.full((len(tokens), 1), -1, np.int32), tokens[:, :-1]], axis=1)

    def window_start(self, windows: Windows) -> Int64:
        """Position in its context of each window's first token, [W]."""
        return np.asarray((windows.window - windows.context * self.windows_per_context) * self.window)

    def windows(self, numbers: Int64) -> Windows:
        """The windows of these numbers, with tokens; short ones padded with token 0."""
        contexts = numbers // self.windows_per_context
        start = (numbers % self.windows_per_context) * self.window
        place = start[:, None] + np.arange(self.window)
        inside = place < self.context_length
        place = np.minimum(place, self.context_length - 1)
        before = np.maximum(place - 1, 0)
        return Windows(
            window=numbers,
            context=contexts,
            block=self.block[contexts],
            tokens=np.where(inside, self.tokens[contexts[:, None], place], 0).astype(np.int32),
            previous=np.where(place > 0, self.tokens[contexts[:, None], before], -1).astype(np.int32),
            scored=np.asarray(inside & (self.marks[contexts[:, None], place] == VALID)),
        )

    def shown_runs(self, contexts: npt.ArrayLike) -> tuple[Int64, Int64]:
        """First place and end of the stretch around each place that may be shown to an explainer. [n, L] each

        It holds neither padding nor a dropped window, whose tokens stand in another split too. A place that is not
        to be shown has an empty stretch.
        """
        marks = np.asarray(self.marks[np.asarray(contexts)])
        dropped = by_window((marks & DROPPED) > 0, self.window).any(axis=2)
        hidden = np.repeat(dropped, self.window, axis=1)[:, : self.context_length] | ((marks & VALID) == 0)
        place = np.arange(self.context_length)
        first = np.maximum.accumulate(np.where(hidden, place + 1, 0), axis=1)
        stop = np.minimum.accumulate(np.where(hidden, place, self.context_length)[:, ::-1], axis=1)[:, ::-1]
        return first, np.maximum(stop, first)

    def position_counts(self, split: Split, bins: int) -> Int64:
        """Scored tokens of a split by place in the context, in `bins` bins of (nearly) equal width. [bins]"""
        counts = np.zeros(self.context_length, dtype=np.int64)
        contexts = self.contexts_of(split)
        for first in range(0, len(contexts), 8192):
            counts += self.scored(contexts[first : first + 8192]).sum(axis=0)
        place = np.arange(self.context_length) * bins // self.context_length
        return np.bincount(place, counts, bins).astype(np.int64)

    def block_counts(self, split: Split, d_vocab: int) -> BlockCounts:
        """Tokens and pairs of one split, counted by document block."""
        tokens = np.zeros((N_BLOCKS, d_vocab), dtype=np.int64)
        keys: Int64 = np.zeros(0, np.int64)
        counts: Int64 = np.zeros(0, np.int64)
        pairs = (d_vocab + 1) * d_vocab
        contexts = self.contexts_of(split)
        for first in range(0, len(contexts), 8192):
            chunk = contexts[first : first + 8192]
            scored = self.scored(chunk)
            token = self.tokens[chunk][scored].astype(np.int64)
            before = self.previous(chunk)[scored].astype(np.int64)
            block = np.broadcast_to(self.block[chunk][:, None], scored.shape)[scored].astype(np.int64)
            tokens += np.bincount(block * d_vocab + token, minlength=tokens.size).reshape(tokens.shape)
            more, n_more = np.unique(block * pairs + (before + 1) * d_vocab + token, return_counts=True)
            joined, where = np.unique(np.concatenate([keys, more]), return_inverse=True)
            counts = np.bincount(where, np.concatenate([counts, n_more]), len(joined)).astype(np.int64)
            keys = joined
        return BlockCounts(
            tokens=tokens,
            pair_block=(keys // pairs).astype(np.int32),
            pair_previous=(keys % pairs // d_vocab - 1).astype(np.int32),
            pair_token=(keys % d_vocab).astype(np.int32),
            pair_count=counts,
        )

    def count_pairs(
        self, split: Split, pairs: Int64, d_vocab: int, among: Callable[[Int64], Bool] | None = None
    ) -> Int64:
        """Occurrences of these pairs, (previous + 1) * d_vocab + token, in a split. [len(pairs)]

        `among`: contexts [n] -> the places that count [n, L], where not all do.
        """
        wanted, where = np.unique(pairs, return_inverse=True)
        counts = np.zeros(len(wanted) + 1, dtype=np.int64)
        contexts = self.contexts_of(split)
        for first in range(0, len(contexts) if len(wanted) else 0, PAIRS_AT_ONCE):
            chunk = contexts[first : first + PAIRS_AT_ONCE]
            scored = self.scored(chunk) if among is None else self.scored(chunk) & among(chunk)
            token = self.tokens[chunk][scored].astype(np.int64)
            pair = (self.previous(chunk)[scored].astype(np.int64) + 1) * d_vocab + token
            place = np.minimum(np.searchsorted(wanted, pair), len(wanted) - 1)
            counts += np.bincount(np.where(wanted[place] == pair, place, len(wanted)), minlength=len(counts))
        return np.asarray(counts[where])

    def count_tokens(self, split: Split, d_vocab: int) -> Int64:
        """Occurrences of each token among the scored ones of a split. [V]"""
        counts = np.zeros(d_vocab, dtype=np.int64)
        contexts = self.contexts_of(split)
        for first in range(0, len(contexts), 8192):
            chunk = contexts[first : first + 8192]
            counts += np.bincount(self.tokens[chunk][self.scored(chunk)], minlength=d_vocab)
        return counts

    def facts(self, split: Split) -> dict[str, int]:
        """What was really processed of a split: the columns of `token_splits`."""
        contexts = self.contexts_of(split)
        dropped = (self.marks[contexts] & DROPPED) > 0
        return {
            "n_documents": int((self.document_split == SPLITS.index(split)).sum()),
            "n_contexts": len(contexts),
            "n_tokens": int(self.scored(contexts).sum()),
            "n_windows": len(self.scored_windows(split)),
            "n_windows_dropped": int(by_window(dropped, self.window).any(axis=2).sum()),
            "n_tokens_dropped": int((self.marks[contexts] == VALID | DROPPED).sum()),
        }


def by_window(places: npt.NDArray[np.generic], window: int) -> npt.NDArray[np.generic]:
    """[n, L] -> [n, windows, window], padded with zeros."""
    n, length = places.shape
    n_windows = -(-length // window)
    padded = np.zeros((n, n_windows * window), dtype=places.dtype)
    padded[:, :length] = places
    return padded.reshape(n, n_windows, window)
