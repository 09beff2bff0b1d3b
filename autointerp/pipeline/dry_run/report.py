"""`run --dry-run`: what a run would do, and what it would cost, after everything about it was checked."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass

from autointerp.config.effects import EffectsSection
from autointerp.config.run_file import RunConfig
from autointerp.extract.context_effects import most_texts
from autointerp.extract.sensitivity import ALONG, STEPS
from autointerp.extract.steered_texts import N_SELECT
from autointerp.llm.money.prices import Channel
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.pipeline.dry_run.expected_calls import Weigher, expected_calls, n_chosen, n_scored_of, render_expected
from autointerp.pipeline.dry_run.expected_time import render_time
from autointerp.pipeline.dry_run.rendered_sample import Sampler
from autointerp.pipeline.plan.prepare import Prepared, prepare
from autointerp.pipeline.plan.reask import Wish
from autointerp.pipeline.plan.store_diff import StoreDiff
from autointerp.pipeline.plan.work import Work
from autointerp.store.reader import open_reader
from autointerp.store.replies import ReplyReader
from autointerp.subject.tokenise import tokens_folder
from autointerp.subject.tokens import TokenFile
from autointerp.words import STAGES


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
    n_ablated: int = 0
    """Firings at which a feature is taken away, at most: each is four passes of a few tokens."""
    n_contexts: int = 0
    """Contexts from which a feature is taken away, at most: each is two passes and a half."""
    n_stepped: int = 0
    """Tokens at which steps are made, at most."""
    n_clamped: int = 0
    """Features that are clamped, dead ones among them, times contexts; each is two passes of a few tokens."""
    n_steered: int = 0
    """Features that the model writes texts with, dead ones among them."""
    strengths: str = ""
    """Where the KL is chosen of several: what that takes."""
    n_amplified: int = 0
    """Features that get an output score, dead ones among them."""
    n_placed: int = 0
    """Features whose directions are held against all others', dead ones among them."""
    n_geometry_tokens: int = 0
    """Tokens that are read for that, and for the similarity of dictionaries."""
    n_changed: int = 0
    """Texts with something changed before a feature, at most: each is read as far as the hook point."""


def plan_of(config: RunConfig, wish: Wish = Wish(), delivery: Delivery = Delivery()) -> Plan:
    """Checks everything that a run checks and writes nothing. `wish` is what to ask again,
    `delivery` how questions are sent."""
    prepared = prepare(config, wish)
    done: Counter[str] = Counter()
    changes: list[str] = []
    left = list(prepared.works)
    if prepared.store_path.exists():
        with open_reader(prepared.store_path) as reader:
            diff = StoreDiff(prepared, reader)
        diff.refuse_mixing()
        changes = [*prepared.redos.lines, *diff.describe()]
        done = Counter(work.stage for work in prepared.works if diff.done(work))
        left = [link for work in left for link in diff.links_left(work)]
    planned = Counter(work.stage for work in prepared.works)
    n_features = {entry.name: len(prepared.features[entry.name]) for entry in prepared.config.dictionary}
    llm = _asked(prepared, left, n_features, delivery)
    effects = prepared.config.effects
    n_read = _n_measured(effects, "context_effects", left, n_features)
    return Plan(
        name=config.name,
        store=str(prepared.store_path),
        done={stage: done[stage] for stage in STAGES},
        left={stage: planned[stage] - done[stage] for stage in STAGES},
        changes=changes,
        n_features=n_features,
        llm=llm,
        n_ablated=2 * effects.positions * _n_measured(effects, "ablate", left, n_features),
        n_contexts=effects.exemplars * n_read,
        n_stepped=effects.sensitivity_positions * _n_measured(effects, "sensitivity", left, n_features),
        n_clamped=2 * effects.change_contexts * _n_measured(effects, "token_changes", left, n_features),
        n_steered=_n_measured(effects, "steered_texts", left, n_features),
        strengths=_strengths(effects, n_features),
        n_amplified=sum(n_features[str(work.dictionary)] for work in left if work.stage == "output_scores"),
        n_placed=_n_placed(effects, left, n_features),
        n_geometry_tokens=effects.geometry_tokens * len({work.stage for work in left} & {"geometry", "similarity"}),
        n_changed=min(effects.context_exemplars, effects.exemplars) * most_texts(effects.context_before) * n_read,
    )


def _n_measured(effects: EffectsSection, stage: str, left: list[Work], n_features: dict[str, int]) -> int:
    """Features of the dictionaries of which this stage is left."""
    names = {work.dictionary for work in left if work.stage == stage}
    if effects.features == "none":
        return 0
    return sum(n_chosen(effects.features, {name: n for name, n in n_features.items() if name in names}).values())


def _strengths(effects: EffectsSection, n_features: dict[str, int]) -> str:
    """What is written to choose one of several strengths."""
    if effects.features == "none" or len(effects.strengths) == 1:
        return ""
    n = len(effects.strengths)
    n_texts = n * N_SELECT * sum(n_chosen(effects.features, n_features).values())
    return (
        f"; before, to choose one of {n} strengths, {n_texts:,} texts of all dictionaries at most, "
        f"{effects.steered_tokens} tokens each"
    )


def _n_placed(effects: EffectsSection, left: list[Work], n_features: dict[str, int]) -> int:
    """Features of the dictionaries whose geometry is left."""
    names = {work.dictionary for work in left if work.stage == "geometry"}
    if effects.geometry_features == "none":
        return 0
    some = {name: n for name, n in n_features.items() if name in names}
    return sum(n_chosen(effects.geometry_features, some).values())


def _asked(prepared: Prepared, left: list[Work], n_features: dict[str, int], delivery: Delivery) -> list[str]:
    """What LLMs would be asked, what it costs and how long it takes, in lines."""
    channel: Channel = "batch" if delivery.batch else "live" if delivery.sends else "offline"
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_reader(prepared.store_path)) if prepared.store_path.exists() else None
        weigher = Weigher(channel=channel)
        if store is not None:
            tokens = tokens_folder(prepared.work_folder, prepared.tokens)
            undone = {work.what for work in left}
            sampler = Sampler(prepared, store, TokenFile(tokens) if tokens.is_dir() else None, undone)
            weigher = Weigher(sampler, ReplyReader(store), channel, delivery.refresh)
        config = prepared.config
        expected = expected_calls(config, left, n_features, n_scored_of(config, n_features), weigher)
        lines = render_expected(config, expected, sum(n_features.values()), channel)
        return lines + render_time(left, expected, store, channel)


def render_plan(plan: Plan) -> str:
    """The plan in plain lines."""
    features = ", ".join(f"{name} {n:,}" for name, n in plan.n_features.items())
    stages = ", ".join(f"{stage} {plan.done[stage]}/{plan.done[stage] + plan.left[stage]}" for stage in plan.done)
    return (
        f"run {plan.name} into {plan.store}: everything that it names is there and fits\n"
        f"features: {features}\n"
        f"done: {stages}\n"
        + (f"ablation: {plan.n_ablated:,} firings at most, four passes of a few tokens each\n" * bool(plan.n_ablated))
        + (
            f"contexts: {plan.n_contexts:,} without a feature, {plan.n_changed:,} changed before it, at most\n"
            * bool(plan.n_contexts)
        )
        + (
            f"sensitivity: {plan.n_stepped:,} tokens at most, {len(ALONG) * STEPS} passes of one token each\n"
            * bool(plan.n_stepped)
        )
        + (
            f"token changes: {plan.n_clamped:,} clampings in a context at most, two passes of a few tokens each\n"
            * bool(plan.n_clamped)
        )
        + (
            f"steered texts: {plan.n_steered:,} features at most, their lengths found and then texts written"
            f"{plan.strengths}\n" * bool(plan.n_steered)
        )
        + (f"output scores: {plan.n_amplified:,} features, a pass of one token each\n" * bool(plan.n_amplified))
        + (
            f"geometry: {plan.n_placed:,} features at most, each beside two random directions; "
            f"{plan.n_geometry_tokens:,} tokens read\n" * bool(plan.n_geometry_tokens)
        )
        + "".join(f"{line}\n" for line in plan.changes)
        + "\n".join(plan.llm)
    )
