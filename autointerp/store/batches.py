"""Which requests are in which batch, on disk: `llm_batches`, `llm_batch_requests`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from autointerp.calls import Batch
from autointerp.store.writer import StoreWriter


class StoreBatches:
    """`calls.BatchBook` over a store that is open for writing."""

    def __init__(self, store: StoreWriter) -> None:
        self._store = store

    def enter(self, batch: Batch, custom_ids: Sequence[str] = ()) -> None:
        """Commits what is now known of a batch; with its requests when it is entered first."""
        now = datetime.now(UTC).replace(tzinfo=None)
        with self._store.transaction() as transaction:
            transaction.append("llm_batches", asdict(batch) | {"since": now})
            if custom_ids:
                transaction.append("llm_batch_requests", {"file": batch.file, "custom_id": list(custom_ids)})

    def batches(self) -> list[Batch]:
        """The latest of each."""
        return [Batch(**row["latest"]) for row in self._store.rows(_LATEST)]

    def custom_ids(self, files: Sequence[str]) -> set[str]:
        """The requests in these batches."""
        sql = "SELECT custom_id FROM llm_batch_requests WHERE file IN (SELECT unnest($files))"
        return {row["custom_id"] for row in self._store.rows(sql, files=list(files))} if files else set()


_LATEST = "SELECT arg_max(llm_batches, since) AS latest FROM llm_batches GROUP BY file ORDER BY file"
