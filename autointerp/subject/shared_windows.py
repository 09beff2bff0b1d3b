"""Windows that stand in two splits, token for token, such as licence headers: the earlier split does without them.

Scores are estimated on the score split. Text that an explainer has seen there would not be held out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autointerp.hashing import hash64, stream_key
from autointerp.records import Int64, Split
from autointerp.subject.tokens import DROPPED, VALID, TokenFile, by_window

CONTEXTS_AT_ONCE = 8192
"""Contexts of which the windows are hashed at once."""


def drop_shared_windows(token_file: TokenFile) -> None:
    """Marks the windows of the explain split that stand, token for token, in select or score too.

    And those of select that stand in score: a revised explanation has seen windows of select.
    """
    elsewhere = _hashes_of(token_file, "score")
    later: tuple[Split, ...] = ("select", "explain")
    with (token_file.folder / "marks.bin").open("r+b") as file:  # not mapped: a full disk is an error here
        for split in later:
            own = _hashes_of(token_file, split) if split == "select" else elsewhere[:0]
            mine = token_file.contexts_of(split)
            for first in range(0, len(mine), CONTEXTS_AT_ONCE):
                contexts = mine[first : first + CONTEXTS_AT_ONCE]  # they stand together
                assert contexts[-1] - contexts[0] == len(contexts) - 1
                shared = np.isin(_window_hashes(token_file, contexts), elsewhere)
                places = np.repeat(shared, token_file.window, axis=1)[:, : token_file.context_length]
                marks = token_file.marks[contexts]
                file.seek(int(contexts[0]) * token_file.context_length)
                file.write(np.where(places & (marks == VALID), VALID | DROPPED, marks).astype(np.uint8).tobytes())
            file.flush()
            elsewhere = np.union1d(elsewhere, own)


def _hashes_of(token_file: TokenFile, split: Split) -> npt.NDArray[np.uint64]:
    """The hashes of all windows of a split, each once, rising."""
    contexts = token_file.contexts_of(split)
    some = (contexts[first : first + CONTEXTS_AT_ONCE] for first in range(0, len(contexts), CONTEXTS_AT_ONCE))
    parts = [np.unique(_window_hashes(token_file, part)) for part in some]
    return np.unique(np.concatenate([*parts, np.zeros(0, np.uint64)]))


def _window_hashes(token_file: TokenFile, contexts: Int64) -> npt.NDArray[np.uint64]:
    """A hash of the scored tokens of each window, [n, windows]."""
    scored = token_file.scored(contexts)
    tokens = np.where(scored, token_file.tokens[contexts], -1)
    cut = by_window(tokens + 1, token_file.window) - 1
    state = np.full(cut.shape[:2], stream_key(0, "window") >> 1, dtype=np.int64)
    for place in range(cut.shape[2]):
        column = cut[:, :, place].astype(np.int64)
        state = np.where(column >= 0, hash64(0, state, column).astype(np.int64), state)
    return state.astype(np.uint64)
