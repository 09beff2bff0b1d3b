"""Pass 1 over Ray: the store of a local run, also when workers are lost and the driver is killed.

Run by `make test-ray`. The corpus is cut into shards of 16 contexts, so that there are many.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from autointerp.errors import AutointerpError
from autointerp.extract.engines import shards
from autointerp.pipeline import run
from autointerp.progress import Reporter

pytestmark = pytest.mark.ray
pytest.importorskip("ray")

Rows = dict[str, list[tuple[Any, ...]]]
SHARD_TOKENS = 16 * 24
N_CONTEXTS, N_SHARDS = 480, 30
RAY = {"kind": "ray", "workers": 2, "threads": 1}
DRIVER = f"""
import sys
from autointerp.extract.engines import shards
shards.SHARD_TOKENS = {SHARD_TOKENS}
from autointerp.cli import main
main(["run", sys.argv[1], "--stage", "extract"])
"""


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_TOKENS", SHARD_TOKENS)


@pytest.fixture
def write(write_run: Callable[..., Path], sae_folder: Path, token_array: np.ndarray, tmp_path: Path) -> Any:
    """A run file with this engine, over more contexts than other tests have."""
    rng = np.random.default_rng(1)
    array = np.concatenate([token_array] * 6)[:N_CONTEXTS]
    array[:, 1:] = rng.permuted(array[:, 1:], axis=1)
    np.save(tmp_path / "more.npy", array)
    names = [("sae", {"path": str(sae_folder)}), ("random", {"kind": "random_covariance", "match": "sae"})]

    def written(name: str, more: Sequence[tuple[str, dict[str, str]]] = (), **engine: Any) -> Path:
        source = {"source": f"npy:{tmp_path / 'more.npy'}"}
        return write_run(name, tokens=source, dictionary=[{"name": n} | d for n, d in [*names, *more]], engine=engine)

    return written


def go(file: Path, until: str = "extract") -> tuple[Path, str]:
    """The store, and what was said."""
    said = io.StringIO()
    return run(file, until=until, reporter=Reporter(Console(file=said, width=200))), said.getvalue()


def same(mine: Rows, theirs: Rows) -> None:
    """Every table but `runs`, which has the run's name."""
    assert mine.keys() == theirs.keys()
    for table in mine.keys() - {"runs"}:
        assert mine[table] == theirs[table], table


def processes(title: str) -> list[int]:
    """Processes of this title that descend from this one."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if title in (folder / "cmdline").read_text(errors="replace") and _descends(int(folder.name)):
                found.append(int(folder.name))
    return found


def _descends(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        pid = int(re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])  # type: ignore[index]
    return pid == os.getpid()


def done_shards(store: Path) -> set[str]:
    return {path.name[:10] for path in store.with_name(f"{store.name}.work").rglob("shard-*.safetensors")}


@contextlib.contextmanager
def meanwhile(action: Callable[[threading.Event], None]) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=action, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("features", [{}, {"features_at_once": 40}])
def test_the_store_of_a_local_run(features: dict[str, int], write: Any, rows_of: Callable[[Path], Rows]) -> None:
    local, _ = go(write("local"), "compare")
    rays, said = go(write("rays", **RAY, **features), "compare")
    same(rows_of(rays), rows_of(local))
    assert "pass 1: activations: 1" in said, "tokens are counted"
    assert not done_shards(rays), "nothing is left"


def test_a_dictionary_added_later(write: Any, rows_of: Callable[[Path], Rows]) -> None:
    """What is done is kept; only the new dictionary's part goes to the workers."""
    more = [("neurons", {"kind": "neurons", "hook": "blocks.0.mlp.hook_post"})]
    for name, engine in (("local", {}), ("rays", RAY)):
        go(write(name, **engine))
    before = rows_of(go(write("rays", **RAY))[0])
    local, _ = go(write("local", more), "compare")
    rays, _ = go(write("rays", more, **RAY), "compare")
    same(rows_of(rays), rows_of(local))
    after = rows_of(rays)["exemplars"]
    assert len(after) > len(before["exemplars"])
    assert all(row in after for row in before["exemplars"])
    assert not done_shards(rays)


def test_a_lost_worker(write: Any, rows_of: Callable[[Path], Rows]) -> None:
    """One is killed between and one inside shards, whatever each has done."""
    file = write("lost", **RAY)
    store = file.with_suffix(".duckdb")
    killed: list[int] = []

    def kill(ended: threading.Event) -> None:
        for least in (1, 6):
            while len(done_shards(store)) < least and not ended.wait(0.002):
                pass
            for pid in processes("ray::Worker")[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    with meanwhile(kill):
        _, said = go(file)
    assert len(killed) == 2
    assert said.count("was lost; the shard is done again") >= 1
    same(rows_of(store), rows_of(go(write("local"))[0]))


def test_a_shard_that_loses_every_worker_ends_the_run_and_the_others_are_kept(
    write: Any, rows_of: Callable[[Path], Rows]
) -> None:
    file = write("lost", **RAY)
    store = file.with_suffix(".duckdb")

    def kill(ended: threading.Event) -> None:
        while not ended.wait(0.01):
            if len(done_shards(store)) >= 3:
                for pid in processes("ray::Worker"):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    with meanwhile(kill), pytest.raises(AutointerpError, match="lost its worker 3 times"):
        go(file)
    n = len(done_shards(store))
    assert 3 <= n < N_SHARDS
    _, said = go(file)
    assert f"resumed with {n} of {N_SHARDS} shards done" in said
    same(rows_of(store), rows_of(go(write("local"))[0]))


def test_a_killed_driver_finds_the_finished_shards(write: Any, rows_of: Callable[[Path], Rows]) -> None:
    file = write("killed", **RAY)
    store = file.with_suffix(".duckdb")
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(file)], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while len(done_shards(store)) < 4:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        process.wait()
    time.sleep(2)  # its workers end by themselves
    n = len(done_shards(store))
    assert 4 <= n < N_SHARDS
    _, said = go(file)
    assert f"resumed with {n} of {N_SHARDS} shards done" in said
    same(rows_of(store), rows_of(go(write("local"))[0]))


def test_a_damaged_shard_is_not_used(write: Any, rows_of: Callable[[Path], Rows]) -> None:
    file = write("damaged", **RAY)
    store = file.with_suffix(".duckdb")

    def damage(ended: threading.Event) -> None:
        while not ended.wait(0.001):
            for path in store.with_name(f"{store.name}.work").rglob("shard-0000-*.safetensors"):
                data = bytearray(path.read_bytes())
                data[-1] ^= 1
                path.write_bytes(data)
                return

    with meanwhile(damage), pytest.raises(AutointerpError, match=r"shard-0000.* is damaged \(its hash is another\)"):
        go(file)
    assert not done_shards(store)
    go(file)
    same(rows_of(store), rows_of(go(write("local"))[0]))


def test_a_worker_with_another_subject(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autointerp.subject.loading.weights_checksum", lambda *_: "f" * 32)  # in the driver only
    with pytest.raises(AutointerpError, match=r"cannot start: .*loaded another"):
        go(write("other", **RAY))
