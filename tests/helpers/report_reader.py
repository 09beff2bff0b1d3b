"""Reads a report back: its tables, its statements with their values, its marks, in the order in which they stand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Table:
    rows: list[list[str]] = field(default_factory=list)
    heading: str = ""

    @property
    def records(self) -> list[dict[str, str]]:
        return [dict(zip(self.rows[0], row, strict=True)) for row in self.rows[1:]]


@dataclass
class Statement:
    name: str
    sql: str
    parameters: dict[str, Any]


class ReportReader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[Table] = []
        self.statements: list[Statement] = []
        self.after: list[tuple[int, int]] = []
        """For each statement: how many tables and titles stood before it."""
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.titles: list[str] = []
        """Of marks in plots."""
        self.paragraphs: list[str] = []
        self._open: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []
        self._heading = ""
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        given = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in given.items()]
        if tag == "table":
            self.tables.append(Table(heading=self._heading))
        elif tag == "tr":
            self.tables[-1].rows.append([])
        self._open.append((tag, given))
        if tag in ("td", "th", "pre", "title", "p", "h1", "h2", "h3", "h4", "summary"):
            self._text = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        opened, given = self._open.pop()
        assert opened == tag, f"{opened} is closed by {tag}"
        said = "".join(self._text)
        if tag in ("td", "th"):
            self.tables[-1].rows[-1].append(said)
        elif tag == "pre" and given.get("class") == "sql":
            self.statements.append(Statement(given["data-question"], said, {}))
            self.after.append((len(self.tables), len(self.titles)))
        elif tag == "pre" and given.get("class") == "parameters":
            self.statements[-1].parameters = json.loads(said)
        elif tag == "title" and any(name == "svg" for name, _ in self._open):
            self.titles.append(said)
        elif tag in ("h2", "h3", "h4", "summary"):
            self._heading = self._heading if said.startswith("SQL: ") else said
        elif tag == "p":
            self.paragraphs.append(said)
