"""One reading statement, or one condition, in a process of its own, which whoever asked ends when it takes too long:
DuckDB looks for an interruption between its steps, and a single step can be made to last for days.

Standard input: `{"store", "sql", "most_rows", "most_bytes"}`; for a condition in place of `sql` `{"condition",
"dictionary", "explainer"}`, and the answer is the features for which it holds. Standard output: `{"columns", "types",
"rows", "more"}`, or `{"error"}` in one line.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pyarrow as pa

from autointerp.errors import AutointerpError
from autointerp.show.rows import json_text
from autointerp.store.reader import StoreReader, open_reader

SPILLED = "1GiB"
"""What a statement may write to temporary files."""


def answer(asked: dict[str, Any]) -> str:
    """The rows as JSON, or why there are none."""
    try:
        with open_reader(asked["store"], SPILLED) as store:
            table = (
                _features(store, asked)
                if "condition" in asked
                else store.first_rows(asked["sql"], asked["most_rows"] + 1)
            )
    except AutointerpError as error:
        return json_text({"error": str(error)})
    if table.nbytes > asked["most_bytes"]:
        return json_text({"error": _too_large(table.nbytes, asked["most_bytes"])})
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    told = json_text(
        {
            "columns": table.column_names,
            "types": [str(field.type) for field in table.schema],
            "rows": rows[: asked["most_rows"]],
            "more": len(rows) > asked["most_rows"],
        }
    )
    size = len(told)
    return told if size <= asked["most_bytes"] else json_text({"error": _too_large(size, asked["most_bytes"])})


def _features(store: StoreReader, asked: dict[str, Any]) -> pa.Table:
    only = {name: asked[name] for name in ("dictionary", "explainer")}
    return store.filtered("explained_features", asked["condition"], "where", only, ("feature",))


def _too_large(size: int, most: int) -> str:
    return f"SQL: the answer has {size / 1e6:,.0f} MB, more than {most / 1e6:,.0f}; ask for fewer rows or columns"


if __name__ == "__main__":
    sys.stdout.write(answer(json.loads(sys.stdin.read())))
