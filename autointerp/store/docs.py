"""The README's schema section, made from the database itself: what DuckDB holds is what is printed.

    python -m autointerp.store.docs README.md            replaces what stands between the marks
    python -m autointerp.store.docs README.md --check    exit status 1 where it is out of date

The section stands between `<!-- schema -->` and `<!-- /schema -->`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from autointerp.store.schema import schema_sql

BEGIN, END = "<!-- schema -->", "<!-- /schema -->"


def schema_markdown() -> str:
    """Table by table, in the order of `schema.sql`: columns with type and comment; then the views."""
    connection = duckdb.connect(":memory:")
    connection.execute(schema_sql())
    columns: dict[str, list[tuple[str, str, str]]] = {}
    for relation, *column in connection.execute(_COLUMNS).fetchall():
        columns.setdefault(relation, []).append((column[0], column[1], column[2]))
    parts = []
    for relation, comment, is_view in connection.execute(_RELATIONS).fetchall():
        lines = [f"### {'View ' if is_view else ''}`{relation}`", "", _cell(comment), ""]
        if is_view:
            lines.append(", ".join(f"`{name}`" for name, _, _ in columns[relation]))
        else:
            lines += ["| column | type | meaning |", "|---|---|---|"]
            lines += [f"| `{name}` | {_cell(kind)} | {_cell(text)} |" for name, kind, text in columns[relation]]
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


def replace_section(text: str) -> str:
    """The text with the section between the marks made anew. Raises ValueError where the marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text needs the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{schema_markdown()}\n\n{END}{after}"


def _cell(text: str) -> str:
    """Safe inside a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    if len(paths) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    text = paths[0].read_text(encoding="utf-8")
    try:
        made = replace_section(text)
    except ValueError as error:
        print(f"error: {paths[0]}: {error}", file=sys.stderr)
        return 2
    if "--check" in arguments:
        if made != text:
            print(f"{paths[0]}: the schema section is out of date; run `make readme`", file=sys.stderr)
        return int(made != text)
    paths[0].write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
