"""`run --dry-run`: what a run would do, and what it would cost, after everything about it was checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from autointerp.config import RunConfig
from autointerp.pipeline.again import Wish
from autointerp.pipeline.changes import Found
from autointerp.pipeline.llm_plan import expected_calls, n_scored_of, render_expected
from autointerp.pipeline.prepare import prepare
from autointerp.pipeline.work import STAGES
from autointerp.store.reader import open_reader


@dataclass(frozen=True)
class Plan:
    """What is left of a run."""

    name: str
    store: str
    done: dict[str, int]  # stage -> pieces of work that are done
    left: dict[str, int]  # stage -> pieces of work that are left
    changes: list[str]
    """What another configuration's store keeps, and what is new or done again; empty where nothing has changed."""
    n_features: dict[str, int]  # dictionary -> features that are extracted
    llm: list[str]
    """Calls, tokens and cost of what LLMs are asked, in lines."""


def plan_of(config: RunConfig, wish: Wish = Wish()) -> Plan:  # noqa: B008 - frozen
    """Checks everything that a run checks and writes nothing. `wish` is what to ask again."""
    prepared = prepare(config, wish)
    done: Counter[str] = Counter()
    changes: list[str] = []
    left = list(prepared.works)
    if prepared.store_path.exists():
        with open_reader(prepared.store_path) as reader:
            found = Found(prepared, reader)
        found.refuse_mixing()
        changes = [*prepared.redos.lines, *found.describe()]
        done = Counter(work.stage for work in prepared.works if found.done(work))
        left = [link for work in left for link in found.undone(work)]
    planned = Counter(work.stage for work in prepared.works)
    n_features = {entry.name: len(prepared.features[entry.name]) for entry in prepared.config.dictionary}
    expected = expected_calls(prepared.config, left, n_features, n_scored_of(prepared.config, n_features))
    return Plan(
        name=config.name,
        store=str(prepared.store_path),
        done={stage: done[stage] for stage in STAGES},
        left={stage: planned[stage] - done[stage] for stage in STAGES},
        changes=changes,
        n_features=n_features,
        llm=render_expected(prepared.config, expected, sum(n_features.values())),
    )


def render_plan(plan: Plan) -> str:
    """The plan in plain lines."""
    features = ", ".join(f"{name} {n:,}" for name, n in plan.n_features.items())
    stages = ", ".join(f"{stage} {plan.done[stage]}/{plan.done[stage] + plan.left[stage]}" for stage in plan.done)
    return (
        f"run {plan.name} into {plan.store}: everything that it names is there and fits\n"
        f"features: {features}\n"
        f"done: {stages}\n" + "".join(f"{line}\n" for line in plan.changes) + "\n".join(plan.llm)
    )
