"""What can be refused of a run's models, prompts and own explainers before any call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from autointerp.config.explainers import LLMExplainer, PythonExplainer
from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.explain.evidence import Evidence
from autointerp.explain.prompt import explain_ask
from autointerp.llm.asks import Ask
from autointerp.llm.session.client import Session
from autointerp.llm.wire.capabilities import capabilities_of, check_wishes
from autointerp.pipeline.asking.explaining import load_explainer, style_of
from autointerp.records import Windows
from autointerp.score.scorers.detection import judge_asks
from autointerp.score.scorers.items import Items
from autointerp.score.scorers.llm_simulators import simulator_named
from autointerp.score.scorers.logit_effects import TokenItems, logit_ask
from autointerp.score.scorers.shown import ShownWindow


def check_llms(config: RunConfig) -> None:
    """What can be refused of the run's models, prompts and own explainers before any call. Raises UserError."""
    for entry in config.explain.asking:
        if isinstance(entry, PythonExplainer):
            load_explainer(entry.python)
        else:
            _check(entry, [explain_ask(style_of(entry), Evidence("", 0, 0.0, 0.0, ()))])
    judge = config.score.judge
    if judge is not None:
        refines = any(isinstance(entry, LLMExplainer) and entry.refines for entry in config.explain.asking)
        _check(judge, _samples(judge, [*config.score.scorers, *(["detection"] if refines else [])]))


def _check(model: LLMModel, asks: Iterable[Ask]) -> None:
    Session.check(model)
    known = capabilities_of(model)
    for ask in asks:
        check_wishes(ask, model, known)


def _samples(judge: Judge, scorers: Iterable[str]) -> Iterator[Ask]:
    """A question of each kind that the judge will be asked."""
    one = np.zeros((1, 1), np.int32)
    windows = Windows(one[0], one[0], one[0], one, one, np.ones((1, 1), bool))
    items = Items(0, windows, np.ones(1, bool), np.zeros((1, 1), bool), (1,))
    if "simulation" in scorers:
        yield from simulator_named(judge.simulate, judge.logprobs).asks("x", [ShownWindow(("x",), (True,))])
    if "detection" in scorers or "fuzzing" in scorers:
        yield from judge_asks("detection", "x", items, ["x"], form=judge.judgements, logprobs=judge.logprobs)
    if "logits" in scorers:
        tokens = TokenItems(0, np.zeros(1, np.int64), np.ones(1, bool), np.zeros(0, np.int64))
        yield logit_ask("x", tokens, ["x"], judge.logprobs)
