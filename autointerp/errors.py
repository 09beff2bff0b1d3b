"""The exceptions a user can meet.

    AutointerpError            the work failed                       exit status 1
    ├── ProviderError          an LLM's server ended the run: bad key, no credit, a wrong request, an outage
    ├── OverBudget             max_usd is reached; everything is kept
    ├── Waiting                replies are on their way; no error    exit status 0
    └── UserError              wrong use or bad input                exit status 2
        ├── ConfigError        the run file
        ├── InputError         a text, a token array, a model, a dictionary
        └── StoreError         the store: newer schema, held by another process, damaged

Every message is one line: what, which value, what to do next. A model's misbehaviour is never an
exception but a status on a record.
"""

from __future__ import annotations

from collections.abc import Iterable


class AutointerpError(Exception):
    """The work failed; the message says what to do next."""

    exit_status = 1


class ProviderError(AutointerpError):
    """An LLM's server cannot be used any further; what was answered is kept."""


class OverBudget(AutointerpError):
    """The next call could pass max_usd; what was answered is kept."""


class Waiting(AutointerpError):
    """What is left of a run needs replies that are not there yet; the message says where they are waited for."""

    exit_status = 0


class UserError(AutointerpError):
    """Wrong use or bad input; nothing was written."""

    exit_status = 2


class ConfigError(UserError):
    """The run file is wrong."""


class InputError(UserError):
    """A text, a token array, a model or a dictionary cannot be used."""


class StoreError(UserError):
    """The store cannot be opened or does not hold what was asked for."""


def nearest(name: str, known: Iterable[str], *, listed: str = "") -> str:
    """`'; the nearest is "x"'` for the known name that was probably meant.

    Where none is near: an empty string, or, with `listed` ("its columns are"), the first of the known names.
    """
    names = list(known)
    near = _nearest(name, names)
    if near is not None:
        return f'; the nearest is "{_shown(near)}"'
    if not listed or not names:
        return ""
    return f"; {listed} {', '.join(map(_shown, names[:LISTED]))}{', ...' if len(names) > LISTED else ''}"


LISTED = 12


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """By changes of a letter (insert, drop, replace, swap), a third of the name at most; else by a common part."""
    asked = _plain(name)
    limit = (len(asked) + 2) // 3
    costs: list[tuple[float, int, str]] = []
    for place, candidate in enumerate(known):
        other = _plain(candidate)
        edits = n_edits(asked, other)
        if edits <= limit and edits < max(len(asked), len(other)):
            costs.append((edits, place, candidate))
        elif min(len(asked), len(other)) >= 3:
            begins = n_edits(asked, other[: len(asked)])
            if asked in other or other in asked or begins <= len(asked) // 3:
                costs.append((limit + min(begins, 1) + edits / 100, place, candidate))
    return min(costs)[2] if costs else None


def n_edits(a: str, b: str) -> int:
    """Letters to insert, drop, replace, or swap with the next one, to make `b` of `a` (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        before, last, row = row, before, [i + 1]
        for j, y in enumerate(b):
            best = min(row[j] + 1, before[j + 1] + 1, before[j] + (x != y))
            if i and j and x == b[j - 1] and a[i - 1] == y:
                best = min(best, last[j - 1] + 1)
            row.append(best)
    return row[-1]


def _plain(name: str) -> str:
    return name.casefold().translate(_JOINTS)


_JOINTS = str.maketrans("", "", "-_ ")


def _shown(name: str) -> str:
    """A name out of somebody's file, harmless in a line."""
    return (name if name.isprintable() else name.encode("unicode_escape").decode())[:80]
