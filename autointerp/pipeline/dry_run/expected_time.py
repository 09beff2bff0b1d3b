"""How long a run will take: what work of each kind took in this store, and how fast the LLMs answered."""

from __future__ import annotations

from collections import Counter

from autointerp.config.llm_model import LLMModel
from autointerp.llm.money.prices import Channel
from autointerp.pipeline.dry_run.expected_calls import Expected
from autointerp.pipeline.plan.work import Work
from autointerp.store.query import Queryable
from autointerp.store.replies import ReplyReader

ASSUMED_S = 2.0
"""Seconds a reply takes, where none was timed."""

_TOOK = "SELECT stage, avg(seconds) AS seconds FROM stages GROUP BY stage"


def render_time(left: list[Work], expected: list[Expected], store: Queryable | None, channel: Channel) -> list[str]:
    """Lines for `run --dry-run`, each with what it rests on."""
    asked = {"judge"} | ({"explain"} if any(one.stage == "explain" for one in expected) else set())
    todo = Counter(work.stage for work in left if work.stage not in asked)
    took = {row["stage"]: row["seconds"] for row in store.rows(_TOOK)} if store is not None else {}
    known = sum(n * took[stage] for stage, n in todo.items() if stage in took)
    lines = []
    if any(stage in took for stage in todo):
        lines.append(f"time: about {_spoken(known)} beside the LLMs, as such work took in this store")
    if unknown := [stage for stage in todo if stage not in took]:
        lines.append(f"time: not known for {', '.join(unknown)}: none of it has been done in this store")
    return lines + _asking(expected, store, channel)


def _asking(expected: list[Expected], store: Queryable | None, channel: Channel) -> list[str]:
    calls: Counter[str] = Counter()
    models: dict[str, LLMModel] = {}
    for row in expected:
        calls[f"{row.model.server} {row.model.model}"] += row.calls
        models[f"{row.model.server} {row.model.model}"] = row.model
    if not calls.total() or channel == "offline":
        return []
    if channel == "batch":
        rounds = len({one.stage for one in expected if one.calls})
        return [f"time: {rounds} round{'s' * (rounds > 1)} of batches, each up to 24 h (run again to collect)"]
    lines = []
    for name, n in calls.items():
        model = models[name]
        timed = ReplyReader(store).latency_s(model.server, model.model) if store is not None else None
        seconds = n * (ASSUMED_S if timed is None else timed) / model.concurrency
        source = f"{ASSUMED_S:g} s a reply assumed" if timed is None else f"{timed:.2g} s a reply as measured here"
        lines.append(
            f"time: about {_spoken(seconds)} for {n:,} calls of {model.model} ({model.concurrency} at once, {source}; "
            "the provider's rate limits not counted)"
        )
    return lines


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
