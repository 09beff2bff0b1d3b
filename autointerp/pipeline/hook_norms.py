"""The norms at the hooks of a run: once measured they are stored, with the evidence of the first dictionary there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from autointerp.pipeline.plan.prepare import Prepared
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.subject.norms import HookNorms, measure_norms
from autointerp.subject.outliers import OUTLIER_NORM
from autointerp.subject.tokens import TokenFile

_NORMS = "SELECT * EXCLUDE (multiple) FROM hook_norms"


def norms_at(prepared: Prepared, tokens: TokenFile, store: Queryable, hooks: Sequence[str]) -> dict[str, HookNorms]:
    """The norms at these hooks: as they are stored, else measured."""
    stored = {row["hook"]: HookNorms(**row) for row in store.rows(_NORMS)}
    missing = [hook for hook in hooks if hook not in stored]
    if missing:
        stored |= measure_norms(prepared.subject, tokens, missing, prepared.config.seed, prepared.work_folder)
    return {hook: stored[hook] for hook in hooks}


def write_norms(store: Queryable, transaction: Transaction, norms: dict[str, HookNorms]) -> None:
    """Rows of the hooks that the store has none of."""
    stored = {row["hook"] for row in store.rows("SELECT hook FROM hook_norms")}
    new = [asdict(measured) for hook, measured in norms.items() if hook not in stored]
    if new:
        columns: dict[str, Any] = {item.name: [row[item.name] for row in new] for item in fields(HookNorms)}
        transaction.append("hook_norms", columns | {"multiple": OUTLIER_NORM})
