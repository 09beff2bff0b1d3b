"""Stage tokens: what the store is about, in the store: the run and its work, the subject, the vocabulary, the pool."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autointerp.pipeline.plan.reask import asked_rows
from autointerp.pipeline.plan.store_diff import StoreDiff
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows import evidence_rows
from autointerp.pipeline.stages.context import StageContext, now
from autointerp.version import __version__

PACKAGES = ("torch", "transformer-lens", "transformers", "duckdb", "numpy", "scipy")
"""Whose versions the manifest names, beside Python's and our own."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """Enters the run, also where the rows are there already."""
    begun = time.monotonic()
    prepared, store, tokens = context.prepared, context.store, context.tokens
    if not works and StoreDiff(prepared, store).goes_on and not prepared.redos.new:
        return
    with store.transaction() as transaction:
        n = transaction.append("runs", _run_row(context))
        n += transaction.append("again", asked_rows(prepared.redos.new, now()))
        if not store.rows("SELECT 1 FROM works WHERE run = $run LIMIT 1", run=prepared.run):
            n += transaction.append("works", _work_rows(context))
        for work in works:
            n += transaction.append("subjects", evidence_rows.subject_rows(prepared.subject))
            n += transaction.append("vocab", evidence_rows.vocab_rows(prepared.subject, tokens))
            n += transaction.append("token_splits", evidence_rows.split_rows(tokens))
            contexts: set[int] = set()
            for rows, seen in evidence_rows.pool_rows(tokens, context.config.seed):
                n += transaction.append("pool", rows)
                contexts |= seen
            n += transaction.append("contexts", evidence_rows.context_rows(tokens, contexts))
            context.mark_done(transaction, work, n, time.monotonic() - begun)


def _work_rows(context: StageContext) -> dict[str, Any]:
    works = context.prepared.works
    return {
        "run": context.prepared.run,
        "stage": [work.stage for work in works],
        "dictionary": [work.dictionary for work in works],
        "explainer": [work.explainer for work in works],
        "scorer": [work.scorer for work in works],
        "work": [work.key for work in works],
        "decided_by": [json.dumps(work.decided_by, sort_keys=True, default=str) for work in works],
    }


def _run_row(context: StageContext) -> dict[str, Any]:
    versions = {"python": platform.python_version(), "autointerp": __version__}
    versions |= {name: _version(name) for name in PACKAGES}
    config, tokens = context.config, context.tokens
    resolved = config.model_dump(mode="json")
    resolved["tokens"]["window"] = tokens.window
    resolved["tokens"]["context_length"] = tokens.context_length
    resolved["evidence"]["left"] = config.evidence.left_of(tokens.window)
    resolved["tokens"] |= {"commit": context.prepared.tokens.commit, "left_out": tokens.left_out}
    # "The latest run" is the one started last: a clock that was set back must not change which.
    [latest] = context.store.rows("SELECT max(started_at) AS at FROM runs")
    started = now()
    return {
        "run": [context.prepared.run],
        "name": [config.name],
        "seed": [config.seed],
        "config": [json.dumps(resolved, sort_keys=True)],
        "versions": [json.dumps(versions, sort_keys=True)],
        "started_at": [started if latest["at"] is None else max(started, latest["at"] + datetime.resolution)],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
