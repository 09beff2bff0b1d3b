"""Markup that is escaped by construction: a string becomes text, and only what `tag` made stays markup."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autointerp.show.text import escape_json, visible


class Markup(str):
    """Escaped already."""

    __slots__ = ()


Child = str | Markup | None | Iterable["Child"]

_VOID = frozenset({"meta", "br", "line", "circle", "rect", "path", "polyline"})


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element. Strings are escaped, control characters written out; None is nothing. `class_` is class, and
    `data_x` is data-x; an attribute that is None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(visible(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Markup:
    """Children one after the other."""
    return Markup("".join(map(_text, children)))


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(visible(child), quote=False)
    return joined(child)


def lines(text: str) -> Markup:
    """Text of ours with its line breaks, for `pre`."""
    return Markup(html.escape(text, quote=False))


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Child]], numbers: Iterable[int] = (), texts: Iterable[int] = ()
) -> Markup:
    """A table without the columns that are empty; `numbers`: those that stand on the right, `texts`: those whose lines
    break."""
    given = [list(row) for row in rows]
    kept = [place for place in range(len(heads)) if not given or any(row[place] for row in given)]
    classes = dict.fromkeys(numbers, "n") | dict.fromkeys(texts, "label")

    def cells(kind: str, row: Sequence[Child]) -> Markup:
        return joined(tag(kind, row[place], class_=classes.get(place)) for place in kept)

    body = joined(tag("tr", cells("td", row)) for row in given)
    return tag("div", tag("table", tag("thead", tag("tr", cells("th", heads))), tag("tbody", body)), class_="wide")


def shown_on_demand(sql: str, parameters: Mapping[str, Any], name: str) -> Markup:
    """The statement behind what stands above, folded, with the values that are bound in it."""
    values = escape_json(json.dumps(dict(parameters), ensure_ascii=False, default=str))
    return tag(
        "details",
        tag("summary", f"SQL: {name.replace('_', ' ')}"),
        tag("pre", lines(sql.strip()), class_="sql", data_question=name),
        tag("pre", lines(values), class_="parameters") if parameters else None,
        class_="question",
    )
