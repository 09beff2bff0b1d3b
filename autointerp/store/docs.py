"""The page `docs/SCHEMA.md`, made from the database itself: what DuckDB holds is what is printed.

python -m autointerp.store.docs docs/SCHEMA.md            writes the page
python -m autointerp.store.docs docs/SCHEMA.md --check    exit status 1 where it is out of date
"""

from __future__ import annotations

import sys

import duckdb

from autointerp.generated import NOTE, cell, write_or_check
from autointerp.store.schema import schema_sql


def schema_markdown() -> str:
    """Table by table, in the order of `schema.sql`: columns with type and comment; then the views."""
    connection = duckdb.connect(":memory:")
    connection.execute(schema_sql())
    columns: dict[str, list[tuple[str, str, str]]] = {}
    for relation, *column in connection.execute(_COLUMNS).fetchall():
        columns.setdefault(relation, []).append((column[0], column[1], column[2]))
    parts = []
    for relation, comment, is_view in connection.execute(_RELATIONS).fetchall():
        lines = [f"## {'View ' if is_view else ''}`{relation}`", "", cell(comment), ""]
        if is_view:
            lines.append(", ".join(f"`{name}`" for name, _, _ in columns[relation]))
        else:
            lines += ["| column | type | meaning |", "|---|---|---|"]
            lines += [f"| `{name}` | {cell(kind)} | {cell(text)} |" for name, kind, text in columns[relation]]
        parts.append("\n".join(lines))
    connection.close()
    return "\n\n".join(parts)


_RELATIONS = """
SELECT name, comment, is_view FROM (
    SELECT table_name AS name, comment, false AS is_view, table_oid AS oid FROM duckdb_tables()
    UNION ALL SELECT view_name, comment, true, view_oid FROM duckdb_views() WHERE NOT internal
)
ORDER BY is_view, oid
"""

_COLUMNS = """
SELECT table_name, column_name, data_type || if(is_nullable, '', ' not null'), coalesce(comment, '')
FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index
"""


def schema_page(_: str = "") -> str:
    """The whole page."""
    return f"{NOTE.format(source='`autointerp/store/schema.sql`')}\n\n{_INTRODUCTION}\n{schema_markdown()}\n"


_INTRODUCTION = """# The store

A store is one DuckDB file. Ask it with `autointerp sql STORE "select ..."` or with any DuckDB client. Rows are
only ever added: where something was computed twice, a view shows the latest. The tables come first, then the views. For
most questions the views `feature_cards`, `score_table`, `dictionary_summary` and `comparison_table` are enough.

Ready questions lie in `analysis/`, one SQL file each: `autointerp sql STORE --file best_explained`.
"""


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], schema_page, __doc__))
