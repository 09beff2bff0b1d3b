"""What can be refused of a run's models, prompts and own classes before any call."""

from __future__ import annotations

from collections.abc import Iterable

from autointerp.config.explainers import LLMExplainer, PythonExplainer
from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError
from autointerp.explain.evidence import Evidence
from autointerp.explain.prompt import explain_ask
from autointerp.llm.asks import Ask
from autointerp.llm.lengths import room_for
from autointerp.llm.session.client import Session
from autointerp.llm.wire.capabilities import capabilities_of, check_wishes
from autointerp.pipeline.asking.explaining import load_embedded, load_explainer, style_of
from autointerp.score.metric_registry import own_metric
from autointerp.score.scorers.generation import generation_ask
from autointerp.score.scorers.registry import SCORERS, scorers_of


def check_llms(config: RunConfig) -> None:
    """Raises UserError, with the first thing that cannot work."""
    for embedded in config.explain.own_embedded:
        load_embedded(embedded.python)
    for entry in config.explain.asking:
        if isinstance(entry, PythonExplainer):
            load_explainer(entry.python)
        else:
            _check(entry, explainer_examples(entry))
    for own in config.score.metrics:
        own_metric(own.python, own.name)
    judge = config.score.judge
    if judge is None:
        for name, scorer in scorers_of(config.score.scorers).items():
            if scorer.embedded is None:
                raise ConfigError(f'score.scorers: only an LLM can judge "{name}"; give score.judge, or leave it out')
    else:
        _check(judge, judge_examples(config, judge))


def explainer_examples(entry: LLMExplainer) -> list[Ask]:
    """Questions about nothing, of the kinds that this explainer is asked."""
    probing = [generation_ask("x")] if entry.probe else []
    return [explain_ask(style_of(entry), Evidence("", 0, 0.0, 0.0, ())), *probing]


def judge_examples(config: RunConfig, judge: Judge) -> list[Ask]:
    """Questions about nothing, of the kinds that the judge is asked."""
    chooses = any(isinstance(entry, LLMExplainer) and entry.chooses for entry in config.explain.asking)
    asked = scorers_of(config.score.scorers) | ({"detection": SCORERS["detection"]} if chooses else {})
    return [ask for scorer in asked.values() for ask in scorer.examples(judge)]


def check_room(model: LLMModel, asks: Iterable[Ask], context: int | None) -> None:
    """Raises ConfigError where the context is too short for a question about nothing."""
    if context is None:
        return
    for ask in asks:
        if ask.form != "decisions" and (needed := room_for(ask, model.max_tokens)) > context:
            raise ConfigError(
                f'{model.server} with "{model.model}" has a context of {context:,} tokens, and a question of kind '
                f'"{ask.kind}" with its reply takes {needed:,} or more: start the server with a longer context'
            )


def _check(model: LLMModel, asks: Iterable[Ask]) -> None:
    Session.check(model)
    known = capabilities_of(model)
    asks = list(asks)
    for ask in asks:
        check_wishes(ask, model, known)
    check_room(model, asks, model.context_tokens)
