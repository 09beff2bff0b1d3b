"""What can be refused of a run's models, prompts and own classes before any call."""

from __future__ import annotations

from collections.abc import Iterable

from autointerp.config.explainers import LLMExplainer, PythonExplainer
from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError
from autointerp.explain.evidence import Evidence
from autointerp.explain.prompt import explain_ask
from autointerp.llm.asks import Ask
from autointerp.llm.session.client import Session
from autointerp.llm.wire.capabilities import capabilities_of, check_wishes
from autointerp.pipeline.asking.explaining import load_embedded, load_explainer, style_of
from autointerp.score.metric_registry import own_metric
from autointerp.score.scorers.registry import SCORERS, scorers_of


def check_llms(config: RunConfig) -> None:
    """Raises UserError, with the first thing that cannot work."""
    for embedded in config.explain.own_embedded:
        load_embedded(embedded.python)
    for entry in config.explain.asking:
        if isinstance(entry, PythonExplainer):
            load_explainer(entry.python)
        else:
            _check(entry, [explain_ask(style_of(entry), Evidence("", 0, 0.0, 0.0, ()))])
    for own in config.score.metrics:
        own_metric(own.python, own.name)
    scorers = scorers_of(config.score.scorers)
    judge = config.score.judge
    if judge is None:
        for name, scorer in scorers.items():
            if scorer.embedded is None:
                raise ConfigError(f'score.scorers: only an LLM can judge "{name}"; give score.judge, or leave it out')
    else:
        refines = any(isinstance(entry, LLMExplainer) and entry.refines for entry in config.explain.asking)
        asked = scorers | ({"detection": SCORERS["detection"]} if refines else {})
        for scorer in asked.values():
            _check(judge, scorer.examples(judge))


def _check(model: LLMModel, asks: Iterable[Ask]) -> None:
    Session.check(model)
    known = capabilities_of(model)
    for ask in asks:
        check_wishes(ask, model, known)
