"""What the LLMs of a run will be asked and what that costs, before anything is sent.

Counts are exact where they are known: features to explain, features to judge, controls. Tokens a call are those
measured on the bundled dictionaries (characters / 4; `tests/pipeline/test_llm_run.py` holds them): evidence that is
not extracted yet cannot be rendered. Dead features are counted as if they were asked about, and no provider's caching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autointerp.config import FeatureSample, Judge, LLMExplainer, RunConfig
from autointerp.llm.models import LLMModel
from autointerp.llm.prices import Prices
from autointerp.pipeline.work import Work, is_control, servers_of
from autointerp.score.simulators import GROUPS

TOKENS = {
    "explain": (3000, 150), "simulate": (5500, 500), "detect": (1500, 60), "fuzz": (1600, 60), "logits": (2300, 250),
}  # fmt: skip
"""Tokens in and out of a call of each kind, at their defaults."""
WINDOWS, ITEMS = 60, 20
"""Windows simulated and items judged of a feature and explanation."""


@dataclass(frozen=True)
class Expected:
    """Calls of one kind, for one explainer of one dictionary or all of them."""

    stage: str
    kind: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


def expected_calls(
    config: RunConfig, left: list[Work], n_features: Mapping[str, int], n_scored: Mapping[str, int]
) -> list[Expected]:
    """What is left of the work of explaining and judging, by stage, kind and model."""
    sums: dict[tuple[str, str, str], list[float]] = {}
    for stage, kind, model, calls in _calls(config, left, n_features, n_scored):
        read, written = TOKENS[kind]
        if stage == "judge" and kind == "simulate" and config.score.judge is not None:
            share = _share_of_windows(config.score.judge.simulate, config.score.judge.windows_per_call)
            read, written = int(800 + (read - 800) * share), int(written * share)
        cost = calls * Prices(model).expected(read, written)
        row = sums.setdefault((stage, kind, model.model), [0, 0, 0, 0.0])
        row[:] = [a + b for a, b in zip(row, (calls, calls * read, calls * written, cost), strict=True)]
    return [Expected(*key, int(row[0]), int(row[1]), int(row[2]), row[3]) for key, row in sums.items()]


def _share_of_windows(simulate: str, group: int | None) -> float:
    return min(1.0, (group or GROUPS[simulate]) / WINDOWS)


def _calls(
    config: RunConfig, left: list[Work], n_features: Mapping[str, int], n_scored: Mapping[str, int]
) -> Iterator[tuple[str, str, LLMModel, int]]:
    entries = {entry.name: entry for entry in config.explain.asking}
    judge = config.score.judge
    for work in left:
        if work.dictionary is None or work.explainer is None:
            continue
        entry = entries.get(work.explainer)
        if work.stage == "explain" and isinstance(entry, LLMExplainer):
            n = n_features[work.dictionary] if work.redo is None else len(work.redo.explained)
            yield from _drafts(entry, judge, n)
        if work.stage != "judge" or judge is None:
            continue
        scored = n_scored[work.dictionary]
        if work.redo is not None:  # asked again: the others are carried over
            scored = min(scored, len(work.redo.judged))
        few = min(scored, judge.controls)
        n = few if is_control(work.explainer) else scored
        per_feature = {
            "simulation": ("simulate", -(-WINDOWS // (judge.windows_per_call or GROUPS[judge.simulate]))),
            "detection": ("detect", -(-ITEMS // (judge.items_per_call or ITEMS))),
            "fuzzing": ("fuzz", -(-ITEMS // (judge.items_per_call or ITEMS))),
            "logits": ("logits", 1),
        }
        for scorer in config.score.scorers:
            kind, calls = per_feature[scorer]
            yield "judge", kind, judge, n * calls
        if "logits" in config.score.scorers and not is_control(work.explainer):
            yield "judge", "logits", judge, few


def _drafts(entry: LLMExplainer, judge: Judge | None, n: int) -> Iterator[tuple[str, str, LLMModel, int]]:
    """At most, where drafts are chosen between and revised: what a draft gets right needs no revision."""
    yield "explain", "explain", entry, n * (entry.best_of + entry.revise)
    if entry.refines and judge is not None:  # a call for each draft, and one for each round's counterexamples
        yield "explain", "detect", judge, n * (entry.best_of + 2 * entry.revise)


def n_scored_of(config: RunConfig, n_features: Mapping[str, int]) -> dict[str, int]:
    """Features of the sample design by dictionary, at most."""
    chosen = config.score.features
    if isinstance(chosen, FeatureSample):
        return {name: min(n, chosen.sample) for name, n in n_features.items()}
    if isinstance(chosen, list):
        return {name: min(n, len(chosen)) for name, n in n_features.items()}
    if chosen == "all":
        return dict(n_features)
    first, last = (int(part) for part in chosen.split(":"))
    return {name: min(n, last - first) for name, n in n_features.items()}


def render_expected(config: RunConfig, expected: list[Expected], n_features: int) -> list[str]:
    """Lines for `run --dry-run`: by stage and kind, in all, and for 1,000 features."""
    if not expected:
        return ["cost: $0.00 (no LLM is called)"]
    lines = [
        f"{one.stage}, {one.kind} by {one.model}: {one.calls:,} calls, {one.input_tokens:,} tokens in, "
        f"{one.output_tokens:,} out, ${one.cost_usd:,.2f}"
        for one in expected
    ]
    total = sum(one.cost_usd for one in expected)
    calls = sum(one.calls for one in expected)
    each = 1000 * total / max(n_features, 1)
    lines.append(f"cost: about ${total:,.2f} in {calls:,} calls; ${each:,.2f} for 1,000 features")
    lines += [f"text of the corpus would be sent to {server}" for server in servers_of(config)]
    return lines
