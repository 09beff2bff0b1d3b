"""The rows that a question to a store gets: Arrow inside, pandas on request, a table to look at."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from autointerp.errors import UserError
from autointerp.notebook.feature_html import feature_style
from autointerp.show.report.html import joined, table, tag
from autointerp.show.rows import short_value, write_table

SHOWN = 20
"""Rows that a notebook or a terminal shows."""


class ResultTable:
    """Rows by column, read once. Iterating gives each row as a dictionary.

    `arrow` is the Arrow table itself; anything that reads Arrow streams (polars, DuckDB, pandas) takes this object too.
    """

    def __init__(self, arrow: pa.Table) -> None:
        self.arrow = arrow

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return list(self.arrow.column_names)

    def pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`. Raises UserError where pandas is not installed."""
        if find_spec("pandas") is None:
            raise UserError("pandas() needs pandas, which this Python lacks; pip install pandas")
        return self.arrow.to_pandas()

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries by column name."""
        return list(self.arrow.to_pylist())

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def __getitem__(self, column: str) -> list[Any]:
        """The values of a column. Raises KeyError where there is none of that name."""
        return list(self.arrow.column(column).to_pylist())

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        stream: object = self.arrow.__arrow_c_stream__(requested_schema)  # type: ignore[no-untyped-call]
        return stream

    def __repr__(self) -> str:
        stream = io.StringIO()
        write_table(self.arrow.slice(0, SHOWN), stream)
        return stream.getvalue().rstrip("\n") + self._more()

    def _repr_html_(self) -> str:
        """A table for notebooks, escaped, of the first rows."""
        first = self.arrow.slice(0, SHOWN)
        kinds = [field.type for field in first.schema]
        numbers = [place for place, kind in enumerate(kinds) if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
        cells = [[short_value(value) for value in row.values()] for row in first.to_pylist()]
        shown = table(self.columns, cells, numbers=numbers)
        more = self._more().strip()
        return joined(
            [feature_style(), tag("div", shown, tag("p", more, class_="dim") if more else None, class_="autointerp")]
        )

    def _more(self) -> str:
        return f"\n{len(self) - SHOWN:,} more rows of {len(self):,}" if len(self) > SHOWN else ""
