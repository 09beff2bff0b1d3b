"""Pass 1 by several processes, on one machine or many: a thin adapter of shard and merge to Ray.

A worker loads the subject itself, gets the dictionaries from Ray's object store, does shards, and writes
what it found into the work folder, one file for each round of features; only counts are sent. The driver
merges the files in the order of the shards, one at a time: it holds the summaries of one round and those
of one shard. A shard whose worker was lost is done again by another; a driver that was killed finds the
shards that were finished.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autointerp.config.run_file import RunConfig
from autointerp.errors import AutointerpError
from autointerp.extract.engines.checkpoint import Checkpoint
from autointerp.extract.engines.job import TITLE, Job
from autointerp.extract.engines.pass_one import Summaries
from autointerp.extract.engines.shards import Shard
from autointerp.extract.engines.tensor_file import DamagedFile, read_tensors, write_tensors
from autointerp.extract.summary.smallest_keys import Keeper
from autointerp.extract.summary.state import put_back, take
from autointerp.progress import Reporter
from autointerp.subject.model import Subject
from autointerp.subject.opening import open_subject
from autointerp.subject.tokens import TokenFile

LOST_AT_MOST = 3
"""Workers that one shard may lose."""
LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Task:
    """What every worker is told once."""

    job: Job
    config: RunConfig
    checksum: str  # of the subject as the driver loaded it
    folder: Path  # where the files go: workers and driver must see it
    threads: int

    def path(self, shard: Shard, number: int) -> Path:
        return self.folder / f"shard-{shard.number:04d}-round-{number}.safetensors"

    def is_done(self, shard: Shard) -> bool:
        return all(self.path(shard, number).exists() for number in range(len(self.job.rounds)))


class Worker:
    """Does shards, one after the other, in a process of its own."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._subject = open_subject(task.config)
        if self._subject.checksum != task.checksum:
            raise AutointerpError(f'a worker loaded another "{self._subject.name}" than the driver; check its files')
        self._tokens = TokenFile(task.job.tokens_folder)
        self._limits: list[torch.Tensor] = []
        self._done = 0

    def do(self, shard: Shard) -> None:
        """Writes the files of a shard: each whole or not there."""
        torch.set_float32_matmul_precision("highest")
        torch.set_num_threads(self._task.threads)
        job, self._done = self._task.job, 0
        with tempfile.TemporaryDirectory(dir=self._task.folder, prefix="spool-") as spool:
            work = job.begin(self._subject, self._tokens, [shard], Path(spool))
            mine = _keepers(work.summaries)
            # What finished shards of this worker have better ones of cannot come among the best of all.
            for keeper, limit in zip(mine, self._limits, strict=False):
                keeper.limit = limit
            for n in work.run(self._task.config.engine.batch_size):
                self._done += n
            for number, summaries in enumerate(work.finished()):
                for keeper in _keepers(summaries):
                    keeper.kept()
                description, tensors = take(list(summaries.values()))
                write_tensors(self._task.path(shard, number), tensors, description)
            self._limits = [keeper.limit for keeper in mine]

    def done(self) -> int:
        """Scored tokens of the shard under way. Answered while `do` goes on."""
        return self._done


def _keepers(summaries: Summaries) -> list[Keeper]:
    return [part for summary in summaries.values() for part in vars(summary).values() if isinstance(part, Keeper)]


class RayEngine:
    """Pass 1 over Ray."""

    seconds = 0.0
    """What earlier processes took for finished shards is not known."""

    def __init__(
        self,
        job: Job,
        subject: Subject,
        config: RunConfig,
        tokens: TokenFile,
        work_keys: Sequence[str],
        report: Reporter,
    ) -> None:
        self._checkpoint = Checkpoint(tokens.folder, [work_keys, "ray", job.key()], report.say)
        for left in self._checkpoint.folder.glob("spool-*"):
            shutil.rmtree(left)
        self._report, self._job, self._device = report, job, subject.device
        threads = config.engine.threads or max(1, (os.cpu_count() or 1) // config.engine.workers)
        self._task = Task(job, config, subject.checksum, self._checkpoint.folder, threads)
        self._empty = job.begin(subject, tokens, job.shards, self._checkpoint.folder).empty
        self._sizes = {s.number: int(tokens.scored(np.arange(s.first, s.last)).sum()) for s in job.shards}
        self._progress: dict[int, int] = {}

    def gather(self) -> None:
        """Has every shard done that is not there yet."""
        todo = [shard for shard in self._job.shards if not self._task.is_done(shard)]
        if len(todo) < len(self._job.shards):
            n = len(self._job.shards)
            self._report.say(f"pass 1: resumed with {n - len(todo)} of {n} shards done")
        total, left = sum(self._sizes.values()), sum(self._sizes[shard.number] for shard in todo)
        with self._report.stage(TITLE, total, "tokens", total - left) as advance:
            if not todo:
                return
            with _cluster(self._task.config.engine.workers) as ray:
                for n in self._distribute(ray, todo):
                    advance(n)

    def _distribute(self, ray: Any, todo: list[Shard]) -> Iterator[int]:
        """Gives shards to workers as they come free; yields scored tokens as they are done."""
        told: Counter[int] = Counter()
        lost: Counter[int] = Counter()
        task = ray.put(self._task)
        gpus = {"num_gpus": 1} if self._device.type == "cuda" else {}
        kind = ray.remote(num_cpus=self._task.threads, max_concurrency=2, **gpus)(Worker)
        running: dict[Any, tuple[Any, Shard]] = {}
        waiting, free = todo[::-1], [kind.remote(task) for _ in range(min(len(todo), self._task.config.engine.workers))]
        while waiting or running:
            while waiting and free:
                worker, shard = free.pop(), waiting.pop()
                running[worker.do.remote(shard)] = (worker, shard)
            for ended in ray.wait(list(running), timeout=LOOK_EVERY_S)[0]:
                worker, shard = running.pop(ended)
                try:
                    ray.get(ended)
                    free.append(worker)
                    yield self._sizes[shard.number] - told[shard.number]
                except ray.exceptions.RayTaskError as error:
                    raise AutointerpError(f"pass 1, shard {shard.number}: {_last_line(error)}") from error
                except ray.exceptions.RayActorError as error:
                    if error.actor_init_failed:
                        raise AutointerpError(f"pass 1: a worker cannot start: {_last_line(error)}") from error
                    lost[shard.number] += 1
                    if lost[shard.number] == LOST_AT_MOST:
                        raise AutointerpError(
                            f"pass 1: shard {shard.number} lost its worker {LOST_AT_MOST} times; if memory ran out "
                            "give fewer [engine] workers or features_at_once; run again: finished shards are kept"
                        ) from error
                    self._report.say(f"pass 1: the worker of shard {shard.number} was lost; the shard is done again")
                    waiting.append(shard)
                    free.append(kind.remote(task))
            for worker, shard in running.values():
                with contextlib.suppress(ray.exceptions.RayError):
                    now = ray.get(worker.done.remote(), timeout=LOOK_EVERY_S)
                    if now > told[shard.number]:  # a shard that is done again is counted once
                        yield now - told[shard.number]
                        told[shard.number] = now

    def rounds(self) -> Iterator[Summaries]:
        """The summaries of all pieces, a round at a time: use them up before the next is asked for."""
        for number in range(len(self._job.rounds)):
            merged = self._empty(number)
            for shard in self._job.shards:
                self._merge(merged, self._task.path(shard, number), number)
            yield merged
            merged.clear()

    def _merge(self, merged: Summaries, path: Path, number: int) -> None:
        theirs = self._empty(number)
        try:
            tensors, description = read_tensors(path, self._device)
            put_back(list(theirs.values()), description, tensors)
        except (DamagedFile, ValueError, KeyError, TypeError) as error:
            self._checkpoint.remove()  # the other shards' files may build on this one
            raise AutointerpError(f'"{path}" is damaged ({error}); run again: pass 1 is done anew') from error
        for piece, summary in merged.items():
            summary.merge(theirs.pop(piece))

    def keep_score_events(self, paths: Mapping[str, Path]) -> None:
        """Workers keep none, on disks that may be others': the census runs the model."""

    def discard_checkpoints(self) -> None:
        self._checkpoint.remove()


def _last_line(error: Exception) -> str:
    """Of a traceback that comes as text: what was wrong."""
    return str(error).strip().splitlines()[-1]


@contextlib.contextmanager
def _cluster(workers: int) -> Iterator[Any]:
    """Ray, connected: to the cluster of RAY_ADDRESS, or to one of this machine's own, which ends with the pass."""
    import ray

    ours = not ray.is_initialized()
    if ours and os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level="ERROR")
    elif ours:
        cpus = max(workers, os.cpu_count() or 1)
        ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()
