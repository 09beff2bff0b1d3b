"""Which requests are in which batch, on disk: `llm_batches`, `llm_batch_requests`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from autointerp.reply_log import Batch
from autointerp.store.writer import StoreWriter


class StoreBatches:
    """`reply_log.BatchBook` over a store that is open for writing."""

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

    def read_through(self) -> set[str]:
        """Batches that have ended and whose replies are all in the reply log."""
        return {row["file"] for row in self._store.rows(_READ_THROUGH)}

    def out_usd(self) -> float:
        """What batches that are out may cost at most."""
        return sum(one.worst_usd for one in self.batches() if one.status in ("submitting", "submitted"))


# A custom id is REQUEST-SAMPLE-N: its reply was read once the request was filed, and logged, N times.
_READ_THROUGH = """
WITH ended AS (SELECT file FROM llm_batches GROUP BY file HAVING arg_max(status, since) = 'ended'),
asked AS (
    SELECT file, split_part(custom_id, '-', 1) AS request, split_part(custom_id, '-', 2)::INTEGER AS sample,
           split_part(custom_id, '-', 3)::BIGINT AS n
    FROM llm_batch_requests SEMI JOIN ended USING (file)
), filed AS (SELECT request, sample, count(*) AS n FROM llm_calls WHERE channel <> 'live' GROUP BY request, sample)
SELECT file FROM asked LEFT JOIN filed USING (request, sample)
GROUP BY file HAVING bool_and(coalesce(filed.n, 0) >= asked.n)
"""
_LATEST = "SELECT arg_max(llm_batches, since) AS latest FROM llm_batches GROUP BY file ORDER BY file"
