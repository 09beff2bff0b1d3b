"""What the rows of all shapes of predictions share: columns of records, and records of columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from autointerp.records import Windows


def joined(parts: list[npt.NDArray[Any]], empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The parts one after the other; `empty` gives type and width where there are none."""
    return np.concatenate([*parts, empty])


def numbers(rows: pa.Table, name: str) -> npt.NDArray[Any]:
    """A column of numbers."""
    return np.asarray(rows[name].to_numpy())


def words(rows: pa.Table, name: str) -> list[str]:
    """A column of words."""
    return [str(word) for word in rows[name].to_pylist()]


def by_feature(rows: pa.Table) -> list[tuple[int, slice]]:
    """Each feature and its rows: they come in its order."""
    feature = numbers(rows, "feature").astype(np.int64)
    features, first = np.unique(feature, return_index=True)
    ends = [*first[1:].tolist(), len(feature)]
    return [(int(f), slice(int(a), int(b))) for f, a, b in zip(features, first, ends, strict=True)]


def windows_of(rows: pa.Table, scored: npt.NDArray[np.bool_]) -> Windows:
    """Where the windows are; their tokens are in the token file."""
    none = np.zeros(scored.shape, dtype=np.int32)
    return Windows(
        numbers(rows, "window_start"), numbers(rows, "context"), numbers(rows, "document_block"), none, none, scored
    )


def some_windows(windows: Windows, mine: slice) -> Windows:
    """Those of one feature."""
    return Windows(
        windows.window[mine],
        windows.context[mine],
        windows.block[mine],
        windows.tokens[mine],
        windows.previous[mine],
        windows.scored[mine],
    )
