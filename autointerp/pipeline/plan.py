"""`run --dry-run`: what a run would do, and what it would cost, after everything about it was checked."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.config import RunConfig
from autointerp.pipeline.prepare import prepare
from autointerp.pipeline.stages import PER_DICTIONARY, STAGES, refuse_other_work
from autointerp.store.reader import open_reader


@dataclass(frozen=True)
class Plan:
    """What is left of a run."""

    name: str
    store: str
    done: dict[str, int]  # stage -> pieces of work that are done
    left: dict[str, int]  # stage -> pieces of work that are left
    n_features: dict[str, int]  # dictionary -> features that are extracted
    cost_usd: float


def plan_of(config: RunConfig) -> Plan:
    """Checks everything that a run checks and writes nothing."""
    prepared = prepare(config)
    keys = {
        stage: [prepared.key(stage, entry.name) for entry in config.dictionary]
        if stage in PER_DICTIONARY
        else [prepared.key(stage)]
        for stage in STAGES
    }
    done = dict.fromkeys(STAGES, 0)
    if prepared.store_path.exists():
        with open_reader(prepared.store_path) as reader:
            refuse_other_work(reader, prepared)
            marks = {(row["stage"], row["work"]) for row in reader.rows("SELECT stage, work FROM stages")}
        done = {stage: sum((stage, work) in marks for work in works) for stage, works in keys.items()}
    return Plan(
        name=config.name,
        store=str(prepared.store_path),
        done=done,
        left={stage: len(works) - done[stage] for stage, works in keys.items()},
        n_features={entry.name: len(prepared.features[entry.name]) for entry in config.dictionary},
        cost_usd=0.0,
    )


def render_plan(plan: Plan) -> str:
    """The plan in plain lines."""
    features = ", ".join(f"{name} {n:,}" for name, n in plan.n_features.items())
    stages = ", ".join(f"{stage} {plan.done[stage]}/{plan.done[stage] + plan.left[stage]}" for stage in plan.done)
    return (
        f"run {plan.name} into {plan.store}: everything that it names is there and fits\n"
        f"features: {features}\n"
        f"done: {stages}\n"
        f"cost: ${plan.cost_usd:.2f} (the embedded explainers and simulators call no LLM)"
    )
