"""The LLM client of a run, with the store as its reply log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from autointerp.config import Judge, LLMExplainer, PythonExplainer, RunConfig
from autointerp.explain.evidence import Evidence
from autointerp.explain.prompt import explain_ask
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.batch import BatchCourier
from autointerp.llm.capabilities import capabilities_of, check_wishes
from autointerp.llm.client import Session
from autointerp.llm.models import LLMModel
from autointerp.llm.shared import Progress
from autointerp.pipeline.llm_explain_stage import load_explainer, style_of
from autointerp.pipeline.travel import Travel
from autointerp.records import Windows
from autointerp.score.items import Items
from autointerp.score.judges import judge_asks
from autointerp.score.logits import TokenItems, logit_ask
from autointerp.score.shown import ShownWindow
from autointerp.score.simulators import simulator_named
from autointerp.store.batches import StoreBatches
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter


class RunClient:
    """One session over the store's reply log; `max_usd` counts what earlier runs of this store have spent, too."""

    def __init__(
        self,
        store: StoreWriter,
        config: RunConfig,
        travel: Travel = Travel(),  # noqa: B008 - frozen
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._courier = courier = travel.courier(store, config)
        self._log = StoreReplyLog(store)
        spent = sum(row.cost_usd for row in self._log.ledger())
        self._session = Session(
            self._log, max_usd=config.budget.max_usd, spent_usd=spent, out_usd=StoreBatches(store).out_usd(),
            refresh=travel.refresh, courier=courier, on_progress=on_progress,
        )  # fmt: skip

    def answers(self, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
        """An answer for every ask, as they come."""
        return self._session.answers(asks, model)

    def close(self) -> None:
        """Closes connections; everything queued is committed."""
        self._session.close()
        self._log.close()
        if isinstance(self._courier, BatchCourier):
            self._courier.tidy()


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
