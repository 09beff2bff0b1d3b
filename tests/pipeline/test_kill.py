"""kill -9 at any moment: the same command again ends with the rows of an undisturbed run.

Importing torch and TransformerLens takes longer than the whole run over the tiny model. So one process imports them
once, and what the first run imports besides, and forks a child for each run; it is the children that are killed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp.show.status_data import load_status
from autointerp.store.reader import open_reader
from autointerp.store.verify import verify

FORKING = """
import contextlib, importlib, io, json, os, signal, sys
import torch, transformer_lens, transformers
import autointerp.pipeline
from autointerp.cli import main
from transformer_lens.model_bridge import TransformerBridge

def end_after(cpu_seconds):
    # The kernel ends it in the middle of whatever it does: no handler, nothing is tidied up.
    if cpu_seconds == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)

class Watched(io.TextIOWrapper):
    # Standard error that ends its process some CPU seconds after it has had a line so many times.
    def __init__(self, line, times, cpu_seconds):
        super().__init__(open(2, "wb", buffering=0, closefd=False), encoding="utf-8", write_through=True)
        self.line, self.times, self.cpu_seconds, self.said = line, times, cpu_seconds, ""
    def write(self, text):
        self.said += text
        n = super().write(text)
        if self.line and self.said.count(self.line) >= self.times:
            self.line = None
            end_after(self.cpu_seconds)
        return n

loaded = False
for command in sys.stdin:
    run_file, log, line, times, cpu_seconds = json.loads(command)
    pid = os.fork()
    if pid == 0:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if line:
            sys.stderr = Watched(line, times, cpu_seconds)
        elif cpu_seconds:
            end_after(cpu_seconds)
        main(["run", run_file])
        sys.stdout.flush()
        with open(run_file + ".modules", "w") as modules:
            json.dump(list(sys.modules), modules)
        os._exit(0)
    _, status, used = os.wait4(pid, 0)
    if not loaded and status == 0:  # what a run imports as it goes, the later ones find
        with open(run_file + ".modules") as modules:
            for name in json.load(modules):
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        loaded = True
    print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), flush=True)
"""
KILLED = {-signal.SIGKILL, -signal.SIGPROF}
"""How the kernel ended it: at once, or when its CPU time was over. Neither can be caught here."""


class Runs:
    """Runs in processes of their own. Each kills itself, by its own CPU time: a busy machine changes no moment."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.commands, self.replies = process.stdin, process.stdout

    def run(
        self, run_file: Path, line: str | None = None, times: int = 1, cpu_seconds: float = 0.0
    ) -> tuple[int, float, str]:
        """Exit status, CPU seconds and log of a run.

        With a `line` it is killed `cpu_seconds` after its log has had that line so many times; with `cpu_seconds`
        alone, so long after its start.
        """
        log = run_file.with_suffix(".log")
        self.commands.write(json.dumps([str(run_file), str(log), line, times, cpu_seconds]) + "\n")
        self.commands.flush()
        status, used = json.loads(self.replies.readline())
        return status, used, log.read_text()

    def whole(self, run_file: Path) -> float:
        """Runs to the end; the CPU seconds it took."""
        status, used, log = self.run(run_file)
        assert status == 0, log
        return used

    def killed_at(self, run_file: Path, line: str, times: int = 1, cpu_seconds: float = 0.0) -> str:
        """Runs and is killed some CPU seconds after a line of its log; the log."""
        status, _, log = self.run(run_file, line, times, cpu_seconds)
        assert status in KILLED, f"ended with {status}, not killed after {line!r}: {log}"
        return log


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Runs(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def prepared(
    tiny_model: Path, tokens_npy: Path, sae_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """The same run under another name: a run file, its store beside it. `more` dictionaries change the run."""
    folder = tmp_path_factory.mktemp("kill")

    def make(name: str, engine: str = "", more: str = "", margin: float = 0.02) -> Path:
        file = folder / f"{name}.toml"
        file.write_text(f"""
            name = "kill"
            store = "{folder / name}.duckdb"
            subject = {{ model = "{tiny_model}", device = "cpu" }}
            tokens = {{ source = "npy:{tokens_npy}", window = 7 }}
            score = {{ features = {{ sample = 12 }}, margin = {margin} }}
            effects = {{ features = {{ sample = 3 }}, positions = 2, after = 4, exemplars = 2, context_before = 3 }}
            engine = {{ {engine} }}
            dictionary = [
                {{ name = "sae", path = "{sae_folder}" }},
                {{ name = "neurons", kind = "neurons", match = "sae", n_features = 16 }},
                {{ name = "random", kind = "random_covariance", match = "sae", n_features = 16 }},
                {more.format(sae=sae_folder)}
            ]
        """)
        return file

    return make


@pytest.fixture(scope="module")
def undisturbed(
    runs: Runs, prepared: Callable[[str], Path], rows_of: Callable[[Path], Any]
) -> tuple[dict[str, list[Any]], float]:
    """Rows of a run that nobody disturbed, and the CPU seconds that one takes once everything is imported."""
    file = prepared("undisturbed")
    runs.whole(file)
    return rows_of(file.with_suffix(".duckdb")), runs.whole(prepared("timed"))


def check(store: Path) -> None:
    """What is in the store so far is true and there once; with no store yet there is nothing to check."""
    if store.exists():
        with open_reader(store) as reader:
            assert not [one.detail for one in verify(reader) if not one.ok]


def finish(runs: Runs, file: Path, expected: dict[str, list[Any]], rows_of: Callable[[Path], Any]) -> None:
    runs.whole(file)
    store = file.with_suffix(".duckdb")
    check(store)
    found = rows_of(store)
    for table, rows in expected.items():
        assert found[table] == rows, table
    beside = {path.name for path in file.parent.glob(f"*{store.name}*")}
    assert beside == {store.name, f"{store.name}.work"}
    work = store.with_name(f"{store.name}.work")
    assert not [*work.rglob("*.part"), *work.rglob("*.events")]
    assert len(list(work.iterdir())) == 1, "the token file; nothing that a killed process left half-written"


MOMENTS = [
    ("subject and dictionaries", 0.0),
    ("baselines: fitting", 0.01),
    ("pass 1: activations", 0.02),
    ("logit effects", 0.05),
    ("diagnostics", 0.05),
    ("pass 2: census", 0.05),
]


def test_killed_after_each_stage_in_turn(
    runs: Runs, prepared: Callable[[str], Path], undisturbed: Any, rows_of: Callable[[Path], Any]
) -> None:
    expected, _ = undisturbed
    file = prepared("stages")
    kill_at(MOMENTS, runs, file)
    finish(runs, file, expected, rows_of)


MORE = """
    {{ name = "twin", path = "{sae}" }},
    {{ name = "of-twin", kind = "neurons", match = "twin", n_features = 20 }},
"""


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.slow
def test_killed_while_a_second_configuration_is_added(
    runs: Runs, prepared: Callable[..., Path], rows_of: Callable[[Path], Any]
) -> None:
    files = []
    for name in ("second", "second-killed"):
        first = prepared("undisturbed")
        files.append(prepared(name, more=MORE, margin=0.03))
        shutil.copy(first.with_suffix(".duckdb"), files[-1].with_suffix(".duckdb"))
        shutil.copytree(first.with_suffix(".duckdb.work"), files[-1].with_suffix(".duckdb.work"))
    runs.whole(files[0])
    expected = rows_of(files[0].with_suffix(".duckdb"))
    assert len(expected["runs"]) == 2
    kill_at(MOMENTS[1:], runs, files[1])
    finish(runs, files[1], expected, rows_of)


def kill_at(moments: list[tuple[str, float]], runs: Runs, file: Path) -> None:
    """Runs and kills once for each moment: some CPU seconds after a line of its log."""
    for line, cpu_seconds in moments:
        runs.killed_at(file, line, cpu_seconds=cpu_seconds)
        check(file.with_suffix(".duckdb"))


@pytest.mark.parametrize("attempts", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_killed_at_random_times(
    attempts: int, runs: Runs, prepared: Callable[[str], Path], undisturbed: Any, rows_of: Callable[[Path], Any]
) -> None:
    expected, seconds = undisturbed
    rng = np.random.default_rng(attempts)  # the machine's own timing is what makes them random
    n_killed = 0
    for attempt in range(attempts):
        file = prepared(f"random-{attempts}-{attempt}")
        for share in np.sort(rng.uniform(0.1, 0.9, size=3)):
            status, _, log = runs.run(file, cpu_seconds=float(share) * seconds)
            assert status == 0 or status in KILLED, log
            n_killed += status in KILLED
            check(file.with_suffix(".duckdb"))
        finish(runs, file, expected, rows_of)
    assert n_killed >= attempts


def tokens_said(log: str, line: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(rf"{line} ([\d,]+) of", log)]


def resumed_at(log: str, reached: int) -> int:
    """The token that a run went on from: not before the last checkpoint that was said."""
    (resumed,) = tokens_said(log, "resumed at")
    assert resumed >= reached > 0
    assert all(n > resumed for n in tokens_said(log, "checkpoint at"))
    return resumed


def test_killed_inside_pass_1_it_goes_on_from_the_checkpoint(
    runs: Runs, prepared: Callable[[str, str], Path], undisturbed: Any, rows_of: Callable[[Path], Any]
) -> None:
    """A checkpoint after every batch, and the features in rounds: killed twice in turn, then when the pass is over."""
    file = prepared("checkpoints", "checkpoint_seconds = 1e-9, features_at_once = 60")
    log = runs.killed_at(file, "checkpoint at", 2)
    reached = max(tokens_said(log, "checkpoint at"))
    store = file.with_suffix(".duckdb")
    with open_reader(store) as reader:
        status = load_status(reader, store)
    assert status.pass_one is not None
    assert reached <= status.pass_one[0] < status.pass_one[1]
    log = runs.killed_at(file, "checkpoint at", 3)
    resumed_at(log, reached)
    reached = max(tokens_said(log, "checkpoint at"))
    log = runs.killed_at(file, "pass 1: activations:")
    resumed_at(log, reached)
    check(store)
    finish(runs, file, undisturbed[0], rows_of)
    with open_reader(store) as reader:
        assert load_status(reader, store).pass_one is None
    resumed_at(file.with_suffix(".log").read_text(), max(tokens_said(log, "checkpoint at")))


def test_a_damaged_checkpoint_is_said_and_left_out(
    runs: Runs, prepared: Callable[[str, str], Path], undisturbed: Any, rows_of: Callable[[Path], Any]
) -> None:
    file = prepared("damaged", "checkpoint_seconds = 1e-9")
    runs.killed_at(file, "checkpoint at", 3)
    (path,) = file.with_name("damaged.duckdb.work").rglob("checkpoint.safetensors")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    log = runs.killed_at(file, "checkpoint at", 5)
    assert log.count("the checkpoint cannot be used (its hash is another): from the first token again") == 1
    assert "resumed" not in log
    finish(runs, file, undisturbed[0], rows_of)
    resumed_at(file.with_suffix(".log").read_text(), max(tokens_said(log, "checkpoint at")))
