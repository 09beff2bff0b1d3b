"""What the LLMs of a run will be asked and what that costs, before anything is sent.

Where the store has the evidence, the questions about a hash sample of features are rendered (`rendered_sample.py`),
what the reply log answers already is taken off, and what is left is weighed. Elsewhere counts are exact, as far as they
are known, and tokens a call those measured on the bundled dictionaries (characters / 4;
`tests/pipeline/test_llm_run.py` holds them); dead features then count as if they were asked about. No provider's
caching is counted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autointerp.config.explainers import LLMExplainer
from autointerp.config.features import FeatureChoice, FeatureSample
from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel, Price
from autointerp.config.run_file import RunConfig
from autointerp.llm.money.estimate import estimate
from autointerp.llm.money.prices import Channel, Prices
from autointerp.pipeline.dry_run.rendered_sample import Sampled, Sampler
from autointerp.pipeline.plan.servers import servers_of
from autointerp.pipeline.plan.work import Work
from autointerp.score.scorers.fitting import fit_items
from autointerp.score.scorers.registry import measured_by, scorers_of
from autointerp.score.scorers.yes_no import ITEMS
from autointerp.store.replies import ReplyReader
from autointerp.words import is_control, of_control

EXPLAIN_TOKENS, DRAFT_TOKENS, PROBE_TOKENS = (3300, 600), (1500, 60), (600, 300)
"""Tokens in and out of a call that explains, of one that tries a draft, and of one that writes texts to try it on, at
their defaults; a scorer says what its own take (`Scorer.usual`)."""
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
        rows += [
            (*usual, False)
            for usual in _usual(config, work, n_features, n_scored, weigher)
            # of best-of-n and revision only the drafts are rendered
            if rendered is None or (work.stage == "explain" and usual[1] != "explain")
        ]
        for stage, kind, model, weights, is_rendered in rows:
            identity = f"{model.server} {model.model}"
            models.setdefault(identity, model)
            row = sums.setdefault((stage, kind, identity, is_rendered), [0.0] * 5)
            row[:] = [a + b for a, b in zip(row, weights, strict=True)]
    expected = []
    for (stage, kind, identity, is_rendered), (*counts, usd) in sums.items():
        calls, cached, read, written = (round(count) for count in counts)
        if calls or cached:
            expected.append(Expected(stage, kind, models[identity], is_rendered, calls, cached, read, written, usd))
    return expected


Weights = tuple[float, float, float, float, float]
"""Calls, those answered already, tokens in, tokens out, dollars."""


def _rendered(config: RunConfig, work: Work, weigher: Weigher) -> list[tuple[str, str, LLMModel, Weights]] | None:
    """None where it cannot be."""
    entry = next((one for one in config.explain.asking if one.name == work.explainer), None)
    model = entry if work.stage == "explain" else config.score.judge if work.stage == "judge" else None
    if not isinstance(model, LLMModel) or (sampled := weigher.sampled(work, model)) is None:
        return None
    rows: list[tuple[str, str, LLMModel, Weights]] = []
    drafts = 1
    if work.stage == "explain" and isinstance(entry, LLMExplainer):
        drafts = entry.best_of + entry.probe + entry.revise
    usual = _written(config)
    for by_kind in estimate(
        sampled.asks,
        weigher.priced(model),
        weigher.log,
        channel=weigher.channel,
        usual=usual,
        replays=not sampled.new and not weigher.refresh,
    ):
        times = sampled.each * drafts
        weights = by_kind.calls, by_kind.cached, by_kind.input_tokens, by_kind.output_tokens, by_kind.cost_usd
        calls, cached, read, written, usd = (times * value for value in weights)
        rows.append((work.stage, by_kind.kind, model, (calls, cached, read, written, usd)))
    return rows


def _written(config: RunConfig) -> dict[str, float]:
    """Tokens of a usual reply, by kind of question."""
    output_tokens: dict[str, float] = {"explain": EXPLAIN_TOKENS[1], "detect": DRAFT_TOKENS[1]}
    judge = config.score.judge
    for scorer in scorers_of(config.score.scorers).values() if judge is not None else ():
        assert judge is not None
        usual = scorer.usual(judge)
        output_tokens[usual.kind] = usual.output_tokens
    return output_tokens


def _usual(
    config: RunConfig, work: Work, n_features: Mapping[str, int], n_scored: Mapping[str, int], weigher: Weigher
) -> Iterator[tuple[str, str, LLMModel, Weights]]:
    for kind, model, calls, read, written in _calls(config, work, n_features, n_scored):
        usd = 0.0 if weigher.channel == "offline" else calls * Prices(model).expected(read, written, weigher.channel)
        yield work.stage, kind, model, (calls, 0, calls * read, calls * written, usd)


def _calls(
    config: RunConfig, work: Work, n_features: Mapping[str, int], n_scored: Mapping[str, int]
) -> Iterator[tuple[str, LLMModel, int, int, int]]:
    """Kind, model, calls, and tokens in and out of one."""
    judge = config.score.judge
    if work.dictionary is None or work.explainer is None:
        return
    entry = {entry.name: entry for entry in config.explain.asking}.get(work.explainer)
    if work.stage == "explain" and isinstance(entry, LLMExplainer):
        n = n_features[work.dictionary] if work.redo is None else len(work.redo.explained)
        n = min(n, _most_labelled(config, entry.name, n_features)[work.dictionary])
        yield from _drafts(entry, judge, n)
    if work.stage == "judge" and judge is not None and work.scorer is not None:
        scored = n_scored[work.dictionary]
        if work.redo is not None:  # asked again: the others are carried over
            scored = min(scored, len(work.redo.judged))
        scored = min(scored, _most_labelled(config, of_control(work.explainer), n_features)[work.dictionary])
        n = min(scored, judge.controls) if is_control(work.explainer) else scored
        scorer = scorers_of(config.score.scorers)[work.scorer]
        chosen = config.effects.features
        if measured_by(scorer) and chosen != "none":
            n = min(n, n_chosen(chosen, n_features)[work.dictionary])
        usual = scorer.usual(judge)
        yield usual.kind, judge, n * usual.calls, usual.input_tokens, usual.output_tokens


def _most_labelled(config: RunConfig, explainer: str, n_features: Mapping[str, int]) -> Mapping[str, int]:
    """Features of each dictionary that an explainer can label: those shown what was measured, the measured ones."""
    chosen = config.effects.features
    return (
        n_features
        if chosen == "none" or explainer not in config.explain.from_measured
        else n_chosen(chosen, n_features)
    )


def _drafts(entry: LLMExplainer, judge: Judge | None, n: int) -> Iterator[tuple[str, LLMModel, int, int, int]]:
    """At most, where drafts are chosen between and revised: what a draft gets right needs no revision."""
    yield "explain", entry, n * (entry.best_of + entry.probe + entry.revise), *EXPLAIN_TOKENS
    if entry.probe:
        yield "generate", entry, n * entry.probe, *PROBE_TOKENS
    if entry.chooses and judge is not None:  # a call for each draft, and one for each round's counterexamples
        questions = -(-ITEMS // (fit_items(judge) or ITEMS))
        asked = n * questions * (entry.best_of + entry.probe + 2 * entry.revise)
        yield "detect", judge, asked, DRAFT_TOKENS[0] // questions, DRAFT_TOKENS[1] // questions


def n_scored_of(config: RunConfig, n_features: Mapping[str, int]) -> dict[str, int]:
    """Features of the sample design by dictionary, at most."""
    return n_chosen(config.score.features, n_features)


def n_chosen(chosen: FeatureChoice, n_features: Mapping[str, int]) -> dict[str, int]:
    """Features that a choice takes of each dictionary, at most."""
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
    for row in expected:
        kept = f" ({row.cached:,} more are answered already)" if row.cached else ""
        how = "rendered" if row.rendered else "usual length"
        lines.append(
            f"{row.stage}, {row.kind} by {row.model.model}: {row.calls:,} calls{kept}, {row.input_tokens:,} tokens in, "
            f"{row.output_tokens:,} out, ${row.cost_usd:,.2f} [{how}]"
        )
    total = sum(row.cost_usd for row in expected)
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
