"""The LLM client of a run, with the store as its reply log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.delivery.batches import BatchCourier
from autointerp.llm.session.client import Session
from autointerp.llm.session.state import Progress
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.store.batches import StoreBatches
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter


class RunClient:
    """One session over the store's reply log; `max_usd` counts what earlier runs of this store have spent, too."""

    def __init__(
        self,
        store: StoreWriter,
        config: RunConfig,
        delivery: Delivery = Delivery(),
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._courier = courier = delivery.courier(store, config)
        self._log = StoreReplyLog(store)
        spent = sum(row.cost_usd for row in self._log.ledger())
        self._session = Session(
            self._log,
            max_usd=config.budget.max_usd,
            spent_usd=spent,
            out_usd=StoreBatches(store).out_usd(),
            refresh=delivery.refresh,
            courier=courier,
            on_progress=on_progress,
        )

    def answers(self, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
        """An answer for every ask, as they come."""
        return self._session.answers(asks, model)

    def settle(self, model: LLMModel, asks: Sequence[Ask]) -> int | None:
        """What the model's server can do is found out; the tokens of its context, where they are known."""
        return self._session.settle(model, asks)

    def close(self) -> None:
        """Closes connections; everything queued is committed."""
        self._session.close()
        self._log.close()
        if isinstance(self._courier, BatchCourier):
            self._courier.tidy()
