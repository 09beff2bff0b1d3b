"""Pass 1 as a run does it: by an engine, with checkpoints, its rounds handed on one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from autointerp.config import Engine as EngineConfig
from autointerp.config import Evidence, RunConfig
from autointerp.extract.pass_one import PassOne, Summaries
from autointerp.extract.passes import Selected, on_device
from autointerp.extract.shards import Piece, Shard, cut_rounds, cut_shards
from autointerp.extract.summary import SummaryPlan
from autointerp.pipeline.checkpoint import Checkpoint
from autointerp.progress import Reporter
from autointerp.records import SPLITS
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

TITLE = "pass 1: activations"


@dataclass(frozen=True)
class Job:
    """What pass 1 has to do: everything but the subject, which every process loads for itself."""

    tokens_folder: Path
    dictionaries: Mapping[str, Selected]
    plans: Mapping[str, SummaryPlan]
    shards: list[Shard]
    rounds: list[list[Piece]]

    def begin(self, subject: Subject, tokens: TokenFile, shards: list[Shard], spool_folder: Path) -> PassOne:
        """The pass over some of the shards, nothing gathered yet."""
        placed = on_device(self.dictionaries, subject.device)
        return PassOne(subject, tokens, placed, self.plans, shards, self.rounds, spool_folder)

    def key(self) -> list[Any]:
        """What decides where its files may be used, beside the key of the work."""
        plans = {name: asdict(plan) for name, plan in self.plans.items()}
        return [
            plans,
            [asdict(shard) for shard in self.shards],
            [[asdict(one) for one in some] for some in self.rounds],
        ]


def make_job(
    subject: Subject, tokens: TokenFile, dictionaries: Mapping[str, Selected], evidence: Evidence, engine: EngineConfig,
    seed: int,
) -> Job:  # fmt: skip
    widths = {name: chosen.dictionary.n_features for name, chosen in dictionaries.items()}
    plans = {
        name: SummaryPlan(
            n, subject.d_vocab, seed, evidence.top, evidence.score_windows, evidence.random, evidence.select_windows,
            tokens.window, evidence.left_of(tokens.window),
        )
        for name, n in widths.items()
    }  # fmt: skip
    shards = cut_shards(tokens.n_contexts, tokens.context_length)
    return Job(tokens.folder, dictionaries, plans, shards, cut_rounds(widths, engine.features_at_once))


class Engine(Protocol):
    """Does all shards of a job; what was done before it was killed is not done again."""

    seconds: float
    """What earlier processes took for that, as far as it is known."""

    def gather(self) -> None:
        """The pass over what is left of the contexts."""
        ...

    def rounds(self) -> Iterator[Summaries]:
        """The summaries of all pieces, a round at a time: use them up before the next is asked for."""
        ...

    def done(self) -> None:
        """Everything is stored: nothing has to be taken up again."""
        ...


def make_engine(job: Job, subject: Subject, tokens: TokenFile, config: RunConfig, key: Any, report: Reporter) -> Engine:
    """The engine that the run file asks for."""
    if config.engine.kind == "ray":
        from autointerp.pipeline.ray_engine import RayEngine

        return RayEngine(job, subject, config, tokens, key, report)
    return LocalEngine(job, subject, tokens, config.engine, key, report)


class LocalEngine:
    """Pass 1 in this process, with checkpoints."""

    def __init__(
        self, job: Job, subject: Subject, tokens: TokenFile, engine: EngineConfig, key: Any, report: Reporter
    ) -> None:
        self._engine, self._report = engine, report
        self._checkpoint = Checkpoint(tokens.folder, [key, "local", job.key()], report.say)
        self._work = job.begin(subject, tokens, job.shards, self._checkpoint.folder)
        self._n_tokens = sum(tokens.facts(split)["n_tokens"] for split in SPLITS)
        self.seconds, self._done = 0.0, 0
        self._device = subject.device

    def gather(self) -> None:
        self._resume()
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

    def done(self) -> None:
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
