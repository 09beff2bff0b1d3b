"""Pass 1 in this process, with checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autointerp.config.engine import EngineSection
from autointerp.extract.engines.checkpoint import Checkpoint
from autointerp.extract.engines.job import TITLE, Job
from autointerp.extract.engines.pass_one import Summaries
from autointerp.extract.score_spool import ScoreSpool
from autointerp.extract.summary.kernel.library import asked_off, missing
from autointerp.progress import Reporter
from autointerp.records import SPLITS
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile


class LocalEngine:
    """Pass 1 in this process, with checkpoints."""

    def __init__(
        self,
        job: Job,
        subject: Subject,
        tokens: TokenFile,
        engine: EngineSection,
        work_keys: Sequence[str],
        report: Reporter,
    ) -> None:
        self._engine, self._report = engine, report
        self._checkpoint = Checkpoint(tokens.folder, [work_keys, "local", job.key()], report.say)
        widths = {name: plan.n_features for name, plan in job.plans.items()}
        self._kept = ScoreSpool(self._checkpoint.folder, widths, tokens.context_length, report.say)
        self._work = job.begin(subject, tokens, job.shards, self._checkpoint.folder, self._kept)
        self._n_tokens = sum(tokens.facts(split)["n_tokens"] for split in SPLITS)
        self.seconds, self._done = 0.0, 0
        self._device = subject.device

    def gather(self) -> None:
        self._resume()
        if self._device.type == "cpu" and missing() is not None and not asked_off():
            self._report.say(f"pass 1: without its kernel, which would take a third less time: {missing()}")
        begun = last = time.monotonic()
        with self._report.stage(TITLE, self._n_tokens, "tokens", self._done) as advance:
            for n in self._work.run(self._engine.batch_size):
                self._done += n
                advance(n)
                if 0 < self._engine.checkpoint_seconds <= time.monotonic() - last:
                    self._write(self.seconds + time.monotonic() - begun)
                    last = time.monotonic()

    def rounds(self) -> Iterator[Summaries]:
        return self._work.finished()

    def keep_score_events(self, paths: Mapping[str, Path]) -> None:
        self._kept.keep(paths)

    def discard_checkpoints(self) -> None:
        self._checkpoint.remove()

    def _resume(self) -> None:
        saved = self._checkpoint.read(self._device)
        if saved is not None:
            tensors, about = saved
            try:
                self._work.resume(about["state"], tensors)
                self.seconds, self._done = float(about["seconds"]), int(about["tokens"])
                self._report.say(f"pass 1: resumed at {self._done:,} of {self._n_tokens:,} tokens")
                return
            except (ValueError, KeyError, TypeError) as error:
                self._checkpoint.refuse(error)
        self._work.begin()

    def _write(self, seconds: float) -> None:
        state, tensors = self._work.state()
        about = {"state": state, "tokens": self._done, "of_tokens": self._n_tokens, "seconds": seconds}
        self._checkpoint.write(tensors, about)
