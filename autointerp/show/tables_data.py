"""What the status, summary and comparison tables show: frozen records, read from a store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from autointerp.store.query import Queryable

STAGES = ("tokens", "dictionary", "extract", "effects", "explain", "score")
"""In the order in which they run."""


@dataclass(frozen=True)
class StageStatus:
    """How far a stage is."""

    stage: str
    n_done: int
    """Pieces of work committed."""
    waiting: tuple[str, ...]
    """Dictionaries of the run file that it has not been done for."""
    n_failed: int
    """Rows of `failures`: what could not be done, with a reason."""
    n_rows: int
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
class CallStatus:
    """LLM calls of one model and status, and what they cost."""

    model: str
    status: str
    n_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True)
class StatusPage:
    """How far a store is, and what it took."""

    path: Path
    size_bytes: int
    """Of the file and its log."""
    runs: tuple[str, ...]
    stages: tuple[StageStatus, ...]
    splits: tuple[SplitTokens, ...]
    calls: tuple[CallStatus, ...]


@dataclass(frozen=True)
class SummaryRow:
    """A dictionary, explainer and metric: a row of `dictionary_summary`."""

    store: str
    dictionary: str
    kind: str
    explainer: str
    scorer: str
    metric: str
    design: str
    n_features: int
    n_scored: int
    n_failed: int
    n_dead: int
    n_rare: int
    mean: float | None
    mean_all: float | None
    ci_low: float | None
    ci_high: float | None
    floor: float | None
    excess: float | None
    median: float | None
    residual_alarm_rate: float | None
    residual_alarm_high: float | None


@dataclass(frozen=True)
class ComparisonRow:
    """A pair of dictionaries: the latest row of `comparisons`."""

    store: str
    a: str
    b: str
    explainer: str
    scorer: str
    metric: str
    design: str
    paired: bool
    n_a: int
    n_b: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_holm: float | None
    detectable: float | None
    margin: float
    verdict: str


def load_status(store: Queryable, path: Path) -> StatusPage:
    """Reads how far the store is. `path` is only measured, never opened."""
    runs = store.rows("SELECT name, config FROM runs ORDER BY started_at")
    planned = [one["name"] for one in json.loads(runs[-1]["config"])["dictionary"]] if runs else []
    done: dict[str, list[dict[str, object]]] = {}
    for row in store.rows("SELECT stage, dictionary, n_rows, seconds FROM stages"):
        done.setdefault(str(row["stage"]), []).append(row)
    failed = {row["stage"]: row["n"] for row in store.rows("SELECT stage, count(*) AS n FROM failures GROUP BY stage")}
    stages = []
    for stage in dict.fromkeys([*STAGES, *done, *failed]):
        rows = done.get(stage, [])
        finished = {row["dictionary"] for row in rows}
        # A row without a dictionary is about all of them; so is the stage of the tokens.
        about_all = None in finished or stage == "tokens"
        stages.append(
            StageStatus(
                stage=stage,
                n_done=len(rows),
                waiting=() if about_all else tuple(name for name in planned if name not in finished),
                n_failed=failed.get(stage, 0),
                n_rows=sum(int(str(row["n_rows"])) for row in rows),
                seconds=sum(float(str(row["seconds"])) for row in rows),
            )
        )
    files = [path, Path(f"{path}.wal")]
    return StatusPage(
        path=path,
        size_bytes=sum(file.stat().st_size for file in files if file.exists()),
        runs=tuple(row["name"] for row in runs),
        stages=tuple(stages),
        splits=tuple(SplitTokens(**row) for row in store.rows(_SPLITS)),
        calls=tuple(CallStatus(**row) for row in store.rows(_CALLS)),
    )


_SPLITS = "SELECT split, n_documents, n_contexts, n_tokens, n_windows, n_windows_dropped FROM token_splits"

_CALLS = """
SELECT model, status, count(*) AS n_calls, coalesce(sum(input_tokens), 0)::BIGINT AS input_tokens,
       coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens, coalesce(sum(cost_usd), 0) AS cost_usd
FROM llm_calls GROUP BY model, status ORDER BY model, status
"""


def load_summary(store: Queryable, name: str) -> list[SummaryRow]:
    """The rows of `dictionary_summary`, best first within each scorer, metric and design."""
    return [SummaryRow(store=name, **row) for row in store.rows(_SUMMARY)]


_SUMMARY = """
SELECT dictionary, kind, explainer, scorer, metric, design, n_features, n_scored, n_failed, n_dead, n_rare,
       mean, mean_all, ci_low, ci_high, floor, excess, median, residual_alarm_rate, residual_alarm_high
FROM dictionary_summary
ORDER BY design, scorer, metric, mean DESC NULLS LAST, dictionary, explainer
"""


def load_comparisons(store: Queryable, name: str) -> list[ComparisonRow]:
    """The latest comparison of each pair, largest difference first within each explainer and metric."""
    return [ComparisonRow(store=name, **row) for row in store.rows(_COMPARISONS)]


_COMPARISONS = """
WITH finished AS (SELECT work AS run, max(finished_at) AS finished_at FROM stages GROUP BY work)
SELECT a, b, explainer, scorer, metric, design, paired, n_a, n_b, difference, ci_low, ci_high, p_holm, detectable,
       margin, verdict
FROM comparisons LEFT JOIN finished USING (run)
QUALIFY row_number() OVER (
    PARTITION BY a, b, explainer, scorer, metric, design ORDER BY finished_at DESC NULLS LAST) = 1
ORDER BY design, scorer, metric, explainer, difference DESC NULLS LAST, a, b
"""
