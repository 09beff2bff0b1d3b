"""NumPy arrays, lists and Arrow arrays to the columns of a table; list columns back to CSR.

A record batch of the pipeline becomes one Arrow table that DuckDB reads in place: no Python object per
row. What a caller may give for a column:

    a NumPy array            NaN is "no value" in a nullable column, and refused in any other
    a 2-D NumPy array        a list column whose lists are all of one length
    a list                   one Python value a row (lists, arrays or None among them)
    an Arrow array           as it is; `csr_list` makes list columns without a copy
    one value                the same in every row
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from autointerp.records import Int64

Array = npt.NDArray[Any]
ArrowColumn: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"


@dataclass(frozen=True)
class TableColumn:
    """A column of a table as the schema defines it."""

    name: str
    type: pa.DataType
    nullable: bool


def warm_up() -> None:
    """Makes an array: at the first, pyarrow looks for pandas, and half a second goes by in which nothing is written."""
    pa.array([0])


def csr_list(
    start: Int64, values: Array, type: pa.DataType | None = None, missing: npt.NDArray[np.bool_] | None = None
) -> pa.LargeListArray[Any]:
    """A list column from CSR form, row i being `values[start[i] : start[i + 1]]`; none where it is `missing`.

    Copies nothing. (A LargeListArray, because its offsets are the 64-bit `start` itself.)
    """
    if len(start) == 0 or start[0] < 0 or start[-1] > len(values) or bool((np.diff(start) < 0).any()):
        raise ValueError(f"start must rise from 0 to at most {len(values)}, the number of values")
    offsets = pa.array(np.ascontiguousarray(start, dtype=np.int64), type=pa.int64())
    items: pa.Array[Any] = pa.array(np.ascontiguousarray(values), type=type)
    mask = None if missing is None else pa.array(missing, type=pa.bool_())
    return pa.LargeListArray.from_arrays(offsets, items, mask=mask)


def to_csr(column: ArrowColumn) -> tuple[Int64, Array]:
    """The inverse of `csr_list`: (start, values) of a list column."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], type=whole.type)
    if not isinstance(whole, pa.ListArray | pa.LargeListArray):
        raise TypeError(f"this reads a column of lists, not one of {whole.type}")
    lengths = whole.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    return start, whole.flatten().to_numpy(zero_copy_only=False)


def words_of(codes: npt.NDArray[np.integer], words: Sequence[str]) -> ArrowColumn:
    """A column of words from the number of each among `words`."""
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(words, type=pa.string()))


def to_table(table: str, schema: tuple[TableColumn, ...], given: Mapping[str, Any]) -> pa.Table:
    """The given columns as an Arrow table, in the schema's order and types.

    Raises ValueError, naming table and column, where a column is unknown, missing, of another length, or
    cannot be held without loss.
    """
    names = [column.name for column in schema]
    unknown = sorted(set(given) - set(names))
    missing = [name for name in names if name not in given]
    if unknown or missing:
        raise ValueError(f"{table}: columns that it does not have: {unknown}; columns not given: {missing}")
    lengths = {name: len(value) for name, value in given.items() if not _is_one_value(value)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{table}: columns of different lengths: {lengths}")
    n_rows = next(iter(lengths.values()), 1)
    return pa.table([_column(table, column, given[column.name], n_rows) for column in schema], names=names)


def _is_one_value(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool | np.generic | datetime.datetime)


def _column(table: str, column: TableColumn, value: Any, n_rows: int) -> ArrowColumn:
    try:
        array = _array(column, value, n_rows)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(f"{table}.{column.name}: {error}") from error
    if array.null_count and not column.nullable:
        raise ValueError(f"{table}.{column.name}: {array.null_count} rows have no value, and the column needs one")
    return array


def _array(column: TableColumn, value: Any, n_rows: int) -> ArrowColumn:
    if _is_one_value(value):
        value = value.item() if isinstance(value, np.generic) else value
        # Any, because pyarrow-stubs lists each kind of scalar that `repeat` takes, and not their common base.
        scalar: Any = pa.scalar(value, type=column.type, from_pandas=True)
        repeated: pa.Array[Any] = pa.repeat(scalar, n_rows)
        return repeated
    if isinstance(value, np.ndarray) and value.ndim == 2 and pa.types.is_list(column.type):
        start = np.arange(len(value) + 1, dtype=np.int64) * value.shape[1]
        value = csr_list(start, value.reshape(-1))
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return _cast(column.type, value)
    # from_pandas: NaN is read as "no value"; _column refuses it where the column needs one.
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype != object:
        return pa.array(value, from_pandas=value.dtype.kind == "f").cast(column.type)
    return pa.array(value, type=column.type, from_pandas=pa.types.is_floating(column.type))


def _cast(type: pa.DataType, value: ArrowColumn) -> ArrowColumn:
    """Casts, safely, what is not of the type already; keeps 64-bit offsets, which DuckDB reads as well."""
    if value.type == type:
        return value
    if pa.types.is_large_list(value.type) and pa.types.is_list(type):
        inner = type.value_type
        return value if value.type.value_type == inner else value.cast(pa.large_list(inner))
    return value.cast(type)
