"""Is what the store says true? Every invariant that the numbers rest on, checked on the stored rows.

A check is one SQL statement in `checks/NAME.sql`, whose first line is the sentence that it checks. It
returns one row: n_checked, n_wrong, and an example of what is wrong. A new file is a new check.
A store whose run was cut short is not wrong: what is not there yet is not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autointerp.records import RARE_BELOW
from autointerp.store.evidence import window_length
from autointerp.store.query import Queryable

CHECKS = Path(__file__).parent / "checks"


@dataclass(frozen=True)
class Check:
    """What came of one check."""

    name: str
    ok: bool
    detail: str
    """The sentence that was checked, and where it is wrong how often and an example."""
    n_checked: int


def verify(store: Queryable) -> list[Check]:
    """Runs all checks. Raises StoreError only where the store cannot be read."""
    return [run_check(store, name) for name in check_names()]


def check_names() -> list[str]:
    """All checks there are."""
    return sorted(path.stem for path in CHECKS.glob("*.sql"))


def run_check(store: Queryable, name: str) -> Check:
    """Runs one check."""
    sql = (CHECKS / f"{name}.sql").read_text(encoding="utf-8")
    sentence = sql.partition("\n")[0].removeprefix("-- ")
    parameters = {parameter: read(store) for parameter, read in _PARAMETERS.items() if f"${parameter}" in sql}
    [result] = store.rows(sql, **parameters)
    n_checked, n_wrong = int(result["n_checked"]), int(result["n_wrong"])
    if n_wrong:
        detail = f"NOT TRUE: {sentence} Wrong: {n_wrong:,} of {n_checked:,}, e.g. {result['example']}"
    else:
        detail = sentence if n_checked else f"{sentence} (nothing to check yet)"
    return Check(name, n_wrong == 0, detail, n_checked)


def _window(store: Queryable) -> int:
    """The window length; any will do where there is no run yet, and so nothing to check."""
    return window_length(store) if store.rows("SELECT 1 FROM runs LIMIT 1") else 1


_PARAMETERS: dict[str, Callable[[Queryable], int]] = {"window": _window, "rare_below": lambda _: RARE_BELOW}
