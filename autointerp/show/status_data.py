"""What the status page shows: frozen records, read from a store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from autointerp.store.query import Queryable
from autointerp.words import STAGES


@dataclass(frozen=True)
class StageStatus:
    """How far a stage is."""

    stage: str
    n_done: int
    """Dictionaries of the latest run that it has been done for, with all explainers; or 1."""
    n_all: int
    """Dictionaries of the latest run; 1 where it is about all of them."""
    waiting: tuple[str, ...]
    """Dictionaries of the latest run that it has not been done for."""
    n_failed: int
    """Rows of `current_failures`: what could not be done, with a reason."""
    n_rows: int
    """Of all runs, as are the seconds."""
    seconds: float


@dataclass(frozen=True)
class SplitTokens:
    """What was processed of a split."""

    split: str
    n_documents: int
    n_contexts: int
    n_tokens: int
    n_windows: int
    n_windows_dropped: int


@dataclass(frozen=True)
class HookStatus:
    """The tokens of enormous norm at a hook: a row of `hook_norms`."""

    hook: str
    multiple: float
    n_tokens: int
    median: float
    largest: float
    n_outliers: int
    variance_share: float
    participation: float
    participation_all: float


@dataclass(frozen=True)
class DictionaryStatus:
    """A dictionary and its features by status."""

    dictionary: str
    kind: str
    hook: str
    n_features: int
    """Extracted."""
    n_rare: int
    n_dead: int
    density: float | None
    """Median over the features that fire."""


@dataclass(frozen=True)
class CallStatus:
    """LLM calls of one kind, model and channel, and what they cost."""

    kind: str
    """explain | simulate | detect | fuzz | logits"""
    model: str
    channel: str
    """live | batch | offline"""
    n_calls: int
    """Attempts, those that failed among them."""
    n_failed: int
    input_tokens: int
    cached_tokens: int
    """Of the input tokens, those read from the provider's cache."""
    output_tokens: int
    cost_usd: float
    n_unknown: int
    """Calls whose cost is not known."""


@dataclass(frozen=True)
class BatchStatus:
    """A batch whose replies are not there yet."""

    provider: str
    model: str
    batch: str
    """The provider's id; empty where it is not known whether it was sent."""
    n_requests: int
    since: datetime
    """UTC."""


@dataclass(frozen=True)
class AgainStatus:
    """A request to ask about features again that is not finished."""

    number: int
    said: str
    """The options of the command."""


@dataclass(frozen=True)
class StatusPage:
    """How far a store is, and what it took."""

    path: Path
    size_bytes: int
    """Of the file and its log."""
    runs: tuple[str, ...]
    stages: tuple[StageStatus, ...]
    splits: tuple[SplitTokens, ...]
    dictionaries: tuple[DictionaryStatus, ...]
    hooks: tuple[HookStatus, ...]
    calls: tuple[CallStatus, ...]
    batches: tuple[BatchStatus, ...]
    again: tuple[AgainStatus, ...]
    pass_one: tuple[int, int] | None
    """Tokens done at the checkpoint of an unfinished pass 1, of how many; None where there is no checkpoint."""


def load_status(store: Queryable, path: Path) -> StatusPage:
    """Reads how far the store is. `path` is only measured, never opened."""
    runs = store.rows("SELECT name FROM runs ORDER BY started_at")
    planned: dict[str, dict[str | None, bool]] = {}
    for row in store.rows(_PLANNED):
        planned.setdefault(row["stage"], {})[row["dictionary"]] = row["done"]
    done = {row.pop("stage"): row for row in store.rows(_DONE)}
    failed = {row["stage"]: row["n"] for row in store.rows(_FAILED)}
    stages = []
    for stage in dict.fromkeys([*STAGES, *done, *failed]):
        if stage == "judge" and not {"judge"} & {*planned, *done, *failed}:
            continue  # there is none in the run file
        mine = planned.get(stage, {None: False})
        stages.append(
            StageStatus(
                stage=stage,
                n_done=sum(mine.values()),
                n_all=len(mine),
                waiting=tuple(name for name, finished in mine.items() if name is not None and not finished),
                n_failed=failed.get(stage, 0),
                n_rows=done.get(stage, {}).get("n_rows", 0),
                seconds=done.get(stage, {}).get("seconds", 0.0),
            )
        )
    files = [path, Path(f"{path}.wal")]
    return StatusPage(
        path=path,
        size_bytes=sum(file.stat().st_size for file in files if file.exists()),
        runs=tuple(dict.fromkeys(row["name"] for row in runs)),
        stages=tuple(stages),
        splits=tuple(SplitTokens(**row) for row in store.rows(_SPLITS)),
        dictionaries=tuple(DictionaryStatus(**row) for row in store.rows(_DICTIONARIES)),
        hooks=tuple(HookStatus(**row) for row in store.rows(_HOOKS)),
        calls=tuple(CallStatus(**row) for row in store.rows(_CALLS)),
        batches=tuple(BatchStatus(**row) for row in store.rows(_BATCHES)),
        again=tuple(AgainStatus(**row) for row in store.rows(_UNFINISHED)),
        pass_one=_checkpoint(Path(f"{path}.work")),
    )


def _checkpoint(work_folder: Path) -> tuple[int, int] | None:
    """Only the head of the file is read: a length, and JSON."""
    for path in work_folder.glob("*/pass1-*/checkpoint.safetensors"):
        try:
            with path.open("rb") as file:
                head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            about = json.loads(head["__metadata__"]["about"])
            return int(about["tokens"]), int(about["of_tokens"])
        except (OSError, OverflowError, MemoryError, ValueError, KeyError, TypeError):
            continue  # a run says so when it takes it up
    return None


_PLANNED = """
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs)
SELECT w.stage, w.dictionary, bool_and(s.work IS NOT NULL) AS done
FROM works w SEMI JOIN latest USING (run) LEFT JOIN stages s ON s.stage = w.stage AND s.work = w.work
GROUP BY w.stage, w.dictionary ORDER BY min(w.rowid)
"""

_FAILED = "SELECT stage, count(*) AS n FROM current_failures GROUP BY stage"

_DONE = "SELECT stage, sum(n_rows)::BIGINT AS n_rows, sum(seconds) AS seconds FROM stages GROUP BY stage"

_UNFINISHED = """
SELECT DISTINCT number, said FROM again
WHERE number NOT IN (SELECT number FROM again WHERE event = 'finished') ORDER BY number
"""

_SPLITS = "SELECT split, n_documents, n_contexts, n_tokens, n_windows, n_windows_dropped FROM token_splits"

_DICTIONARIES = """
WITH counted AS (
    SELECT dictionary, count(*) AS n_features, count(*) FILTER (status = 'rare') AS n_rare,
           count(*) FILTER (status = 'dead') AS n_dead, median(density) FILTER (density > 0) AS density
    FROM features GROUP BY dictionary
)
SELECT d.dictionary, d.kind, d.hook, coalesce(c.n_features, 0) AS n_features, coalesce(c.n_rare, 0) AS n_rare,
       coalesce(c.n_dead, 0) AS n_dead, c.density
FROM dictionaries d LEFT JOIN counted c USING (dictionary) ORDER BY d.rowid
"""

_HOOKS = "SELECT * EXCLUDE (norm_limit) FROM hook_norms ORDER BY hook"

_CALLS = """
SELECT kind, model, channel, attempts AS n_calls, attempts - ok AS n_failed, input_tokens,
       cache_read_tokens AS cached_tokens, output_tokens, cost_usd,
       CASE channel WHEN 'offline' THEN 0 ELSE cost_unknown END AS n_unknown
FROM llm_costs
"""

_BATCHES = """
WITH latest AS (SELECT file, arg_max(llm_batches, since) AS b, min(since) AS since FROM llm_batches GROUP BY file)
SELECT b.provider, b.model, b.batch, b.n_requests, since FROM latest
WHERE b.status IN ('submitting', 'submitted') ORDER BY since, file
"""
