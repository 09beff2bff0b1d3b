"""What the LLMs of a run will be asked and what that costs, before anything is sent.

Where the store has the evidence, the questions about a hash sample of features are rendered (`llm_sample`), what the
reply log answers already is taken off, and what is left is weighed. Elsewhere counts are exact, as far as they are
known, and tokens a call those measured on the bundled dictionaries (characters / 4; `tests/pipeline/test_llm_run.py`
holds them); dead features then count as if they were asked about. No provider's caching is counted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autointerp.config.features import FeatureSample
from autointerp.config.llm_model import LLMModel, Price
from autointerp.config.run_file import Judge, LLMExplainer, RunConfig
from autointerp.llm.money.estimate import estimate
from autointerp.llm.money.prices import Channel, Prices
from autointerp.pipeline.dry_run.rendered_sample import Sampled, Sampler
from autointerp.pipeline.plan.servers import servers_of
from autointerp.pipeline.plan.work import Work
from autointerp.score.scorers.llm_simulators import GROUPS
from autointerp.store.replies import ReplyReader
from autointerp.words import is_control

TOKENS = {
    "explain": (3000, 150), "simulate": (5500, 500), "detect": (1500, 60), "fuzz": (1600, 60), "logits": (2300, 250),
}  # fmt: skip
"""Tokens in and out of a call of each kind, at their defaults."""
WINDOWS, ITEMS = 60, 20
"""Windows simulated and items judged of a feature and explanation."""
SAMPLE, SAMPLE_OF_LOGGED = 20, 200
"""Features rendered of a dictionary and explainer; more where replies are there already, to see how many."""


@dataclass(frozen=True)
class Expected:
    """Calls of one kind by one model."""

    stage: str
    kind: str
    model: LLMModel
    rendered: bool
    """Whether the questions were rendered from the store; else they are of usual length."""
    calls: int
    cached: int
    """Beside them, those that the reply log answers."""
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Weigher:
    """How questions are weighed: which evidence there is, which replies, how they will travel."""

    sampler: Sampler | None = None
    log: ReplyReader | None = None
    channel: Channel = "live"
    refresh: bool = False
    """Whether all is asked anew."""

    def sampled(self, work: Work, model: LLMModel) -> Sampled | None:
        """Questions of a piece of work, where they can be rendered."""
        if self.sampler is None:
            return None
        logged = self.log is not None and self.log.n_good(model.server, model.model) > 0
        return self.sampler.of(work, SAMPLE_OF_LOGGED if logged else SAMPLE)

    def priced(self, model: LLMModel) -> LLMModel:
        """With somebody else's answers nobody is paid here."""
        return model.model_copy(update={"price": Price(input=0, output=0)}) if self.channel == "offline" else model


def expected_calls(
    config: RunConfig,
    left: list[Work],
    n_features: Mapping[str, int],
    n_scored: Mapping[str, int],
    weigher: Weigher = Weigher(),
) -> list[Expected]:
    """What is left of the work of explaining and judging, by stage, kind and model."""
    sums: dict[tuple[str, str, str, bool], list[float]] = {}
    models: dict[str, LLMModel] = {}
    for work in left:
        rendered = _rendered(config, work, weigher)
        rows = [(*one, True) for one in rendered or ()]
        for usual in _usual(config, work, n_features, n_scored, weigher):
            # of best-of-n and revision only the drafts are rendered
            if rendered is None or (work.stage == "explain" and usual[1] != "explain"):
                rows.append((*usual, False))
        for stage, kind, model, weights, is_rendered in rows:
            identity = f"{model.server} {model.model}"
            models.setdefault(identity, model)
            row = sums.setdefault((stage, kind, identity, is_rendered), [0.0] * 5)
            row[:] = [a + b for a, b in zip(row, weights, strict=True)]
    found = []
    for (stage, kind, identity, is_rendered), (*counts, usd) in sums.items():
        calls, cached, read, written = (round(count) for count in counts)
        if calls or cached:
            found.append(Expected(stage, kind, models[identity], is_rendered, calls, cached, read, written, usd))
    return found


Weights = tuple[float, float, float, float, float]
"""Calls, those answered already, tokens in, tokens out, dollars."""


def _rendered(config: RunConfig, work: Work, weigher: Weigher) -> list[tuple[str, str, LLMModel, Weights]] | None:
    """None where it cannot be."""
    entry = next((one for one in config.explain.asking if one.name == work.explainer), None)
    model = entry if work.stage == "explain" else config.score.judge if work.stage == "judge" else None
    if not isinstance(model, LLMModel) or (sampled := weigher.sampled(work, model)) is None:
        return None
    found: list[tuple[str, str, LLMModel, Weights]] = []
    drafts = entry.best_of + entry.revise if work.stage == "explain" and isinstance(entry, LLMExplainer) else 1
    usual = {kind: _tokens(config, kind)[1] for kind in TOKENS}
    for one in estimate(
        sampled.asks,
        weigher.priced(model),
        weigher.log,
        channel=weigher.channel,
        usual=usual,
        replays=not sampled.new and not weigher.refresh,
    ):
        times = sampled.each * drafts * (1 + sampled.permuted if one.kind == "logits" else 1)
        weights = one.calls, one.cached, one.input_tokens, one.output_tokens, one.cost_usd
        calls, cached, read, written, usd = (times * value for value in weights)
        found.append((work.stage, one.kind, model, (calls, cached, read, written, usd)))
    return found


def _usual(
    config: RunConfig, work: Work, n_features: Mapping[str, int], n_scored: Mapping[str, int], weigher: Weigher
) -> Iterator[tuple[str, str, LLMModel, Weights]]:
    for stage, kind, model, calls in _calls(config, [work], n_features, n_scored):
        read, written = _tokens(config, kind)
        usd = 0.0 if weigher.channel == "offline" else calls * Prices(model).expected(read, written, weigher.channel)
        yield stage, kind, model, (calls, 0, calls * read, calls * written, usd)


def _tokens(config: RunConfig, kind: str) -> tuple[int, int]:
    read, written = TOKENS[kind]
    if kind == "simulate" and config.score.judge is not None:
        share = _share_of_windows(config.score.judge.simulate, config.score.judge.windows_per_call)
        return int(800 + (read - 800) * share), int(written * share)
    return read, written


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


def render_expected(config: RunConfig, expected: list[Expected], n_features: int, channel: Channel) -> list[str]:
    """Lines for `run --dry-run`: by stage and kind, in all, and for 1,000 features."""
    if not expected:
        return ["cost: $0.00 (no LLM is called)"]
    lines = []
    for one in expected:
        kept = f" ({one.cached:,} more are answered already)" if one.cached else ""
        how = "rendered" if one.rendered else "usual length"
        lines.append(
            f"{one.stage}, {one.kind} by {one.model.model}: {one.calls:,} calls{kept}, {one.input_tokens:,} tokens in, "
            f"{one.output_tokens:,} out, ${one.cost_usd:,.2f} [{how}]"
        )
    total = sum(one.cost_usd for one in expected)
    calls = sum(one.calls for one in expected)
    each = 1000 * total / max(n_features, 1)
    where = {"batch": " at batch prices", "offline": " (whoever answers the files pays)"}.get(channel, "")
    lines.append(f"cost: about ${total:,.2f} in {calls:,} calls{where}; ${each:,.2f} for 1,000 features")
    explained = {
        True: f"rendered: questions about {SAMPLE} to {SAMPLE_OF_LOGGED} features of each dictionary and explainer, "
        "from the evidence in the store",
        False: "usual length: as measured on the bundled dictionaries; there is no evidence to render yet",
    }
    lines += [explained[kind] for kind in (True, False) if any(one.rendered == kind for one in expected)]
    if channel != "offline":
        lines += [f"text of the corpus would be sent to {server}" for server in servers_of(config)]
    return lines
