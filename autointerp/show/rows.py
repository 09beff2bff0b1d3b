"""The rows of a query, written as a table to look at, or whole as csv, json or parquet."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
from rich.console import Console

from autointerp.errors import UserError
from autointerp.show.layout import Column, sheet, total_width
from autointerp.show.text import escape_json, visible
from autointerp.streams import asked_columns

SHOWN = 200
"""Rows of a table to look at; the other formats hold all."""


def write_rows(rows: pa.Table, format_: str, output: Path | None) -> str | None:
    """Writes to `output`, or to stdout. Returns a line for stderr where not all was shown.

    Raises UserError where the file cannot be written, or where parquet would go to a terminal.
    """
    try:
        if format_ == "parquet":
            _write_parquet(rows, output)
        else:
            # Data keep what the output's encoding lacks, as an escape; a table to look at shows a look-alike.
            with _open(output, None if format_ == "table" else "backslashreplace") as stream:
                {"csv": _write_csv, "json": _write_json, "table": write_table}[format_](rows, stream)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f'"{output}" cannot be written: {error.strerror or error}') from error
    if format_ == "table" and len(rows) > SHOWN:
        return f"{len(rows) - SHOWN:,} more rows; --format csv (json, parquet) has all {len(rows):,}"
    return None


@contextlib.contextmanager
def _open(output: Path | None, errors: str | None) -> Iterator[TextIO]:
    """A file is UTF-8. `errors` says what becomes of characters that standard output cannot hold; None: as it is."""
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors=errors)
        yield sys.stdout
    else:
        with output.open("w", encoding="utf-8", newline="") as stream:
            yield stream


def _write_csv(rows: pa.Table, stream: TextIO) -> None:
    """Plain and complete; lists as JSON, no value as nothing. Only on a terminal are controls written out."""
    writer = csv.writer(stream, lineterminator="\n")
    show = visible if stream.isatty() else str
    writer.writerow([show(name) for name in rows.column_names])
    for row in _python_rows(rows):
        writer.writerow([show(_plain(value)) for value in row])


def _write_json(rows: pa.Table, stream: TextIO) -> None:
    """A list of objects, one a line. NaN and infinities, which JSON lacks, are null.

    Characters are written as they are, or, where the stream is not in Unicode, in JSON's own escapes.
    """
    in_ascii = not (stream.encoding or "utf-8").lower().startswith("utf")
    stream.write("[")
    for number, row in enumerate(_python_rows(rows)):
        record = dict(zip(rows.column_names, row, strict=True))
        stream.write(("," if number else "") + "\n" + json_text(record, in_ascii))
    stream.write("\n]\n")


def write_table(rows: pa.Table, stream: TextIO) -> None:
    """On a terminal columns that do not fit go under the others; the lines of a pipe or a file are whole rows."""
    cells = list(zip(*_python_rows(rows.slice(0, SHOWN)), strict=True)) or [()] * len(rows.schema)
    columns = []
    for field, values in zip(rows.schema, cells, strict=True):
        number = any(is_(field.type) for is_ in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))
        columns.append(Column(field.name, [short_value(value) for value in values], right=number))
    if columns[0].width <= _LONGEST_KEY:
        columns[0] = replace(columns[0], key=True)
    width = asked_columns() or (None if stream.isatty() else total_width(columns))
    Console(file=stream, width=width).print(sheet(None, columns))


_LONGEST_KEY = 30
"""The first column is repeated where others go under it, unless it is wider than this."""


def short_value(value: Any) -> str:
    """To look at, six figures are enough; the other formats have them all."""
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"  # no -0
    if isinstance(value, list):
        return json_text([float(f"{item:.6g}") if isinstance(item, float) else item for item in value])
    return _plain(value)


def _write_parquet(rows: pa.Table, output: Path | None) -> None:
    import pyarrow.parquet

    if output is None and sys.stdout.isatty():
        raise UserError("parquet is not for a terminal; give --output FILE")
    pyarrow.parquet.write_table(rows, str(output) if output else sys.stdout.buffer)


def _python_rows(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in rows.to_batches(max_chunksize=4096):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value) if isinstance(value, list | dict) else str(value)


def json_text(value: Any, in_ascii: bool = False) -> str:
    """Values of a store as JSON: what JSON lacks is null, a number or text."""
    return escape_json(json.dumps(_finite(value), ensure_ascii=in_ascii, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    """The value in JSON's types: DuckDB's sums of integers come as Decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    return value
