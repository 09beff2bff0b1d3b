"""A store that a run cannot use, through the command line: one clear line, exit status 2, and nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from bad_input import Refused, entry, read_weights
from safetensors.torch import save_file

from autointerp.cli import main
from autointerp.store.opening import StoreHeld, store_error
from autointerp.store.writer import StoreWriter


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty store where the run wants its own."""
    StoreWriter.open(tmp_path / "tiny.duckdb").close()
    return tmp_path / "tiny.duckdb"


def test_a_store_of_a_newer_schema(store: Path, write_run: Callable[..., Path], refused: Refused) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    message = refused("run", write_run())
    assert "has schema version 99, and this autointerp" in message
    assert message.endswith("upgrade autointerp")


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_store_held_by_another_process(
    more: list[str], store: Path, write_run: Callable[..., Path], refused: Refused
) -> None:
    code = f"import duckdb; c = duckdb.connect({str(store)!r}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        message = refused("run", write_run(), *more)
        holder.communicate(b"\n")
    assert f"is held by another process (PID {holder.pid})" in message


@pytest.mark.parametrize(
    "said",
    [
        "Conflicting lock is held in PID 0. See also",
        "File locks are not supported for this file system, cannot open the file in read-write mode.",
        "No locks available",
    ],
)
def test_a_file_system_without_locks_is_not_another_process(said: str) -> None:
    error = store_error(duckdb.IOException(f'IO Error: Could not set lock on file "/nfs/r.duckdb": {said}'), Path("r"))
    assert str(error).startswith('the store "r" cannot be locked: its file system has no locks, or another machine')
    assert not isinstance(error, StoreHeld)
    held = duckdb.IOException('IO Error: Could not set lock on file "r": Conflicting lock is held in python (PID 105).')
    assert isinstance(store_error(held, Path("r")), StoreHeld)


@pytest.mark.parametrize("content", [b"", b"a text, no database\n" * 9000], ids=["empty", "text"])
def test_a_file_that_is_no_store(
    content: bytes, write_run: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "tiny.duckdb").write_bytes(content)
    assert str(tmp_path / "tiny.duckdb") in refused("run", write_run())


def test_a_database_that_is_no_store(write_run: Callable[..., Path], refused: Refused, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "tiny.duckdb")) as connection:
        connection.execute("CREATE TABLE mine (x INTEGER)")
    assert "is a DuckDB file, but not an autointerp store" in refused("run", write_run())


def test_a_store_in_a_folder_that_is_not_there(write_run: Callable[..., Path], refused: Refused) -> None:
    message = refused("run", write_run(), "--store", "no/where/s.duckdb")
    assert message.startswith("store: there is no folder")
    assert message.endswith("to put the store in")
    (write_run().parent / "folder").mkdir()
    assert "is not a DuckDB file" in refused("run", write_run(), "--store", "folder")


def test_a_store_is_about_one_corpus_subject_and_seed(
    write_run: Callable[..., Path], refused: Refused, sae: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_run(dictionary=entry(sae))
    main(["run", str(file), "--stage", "tokens"])
    capsys.readouterr()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"seed": 1}, "seed 0 -> 1"),
        ({"tokens": {"window": 8}}, "tokens.window 7 -> 8"),
        ({"tokens": {"n_tokens": 900}}, "tokens.n_tokens none -> 900"),
        ({"subject": {"dtype": "bfloat16"}}, "subject.dtype float32 -> bfloat16"),
    ]
    for change, difference in changes:
        changed = write_run(**{"dictionary": entry(sae)} | change)
        for more in ([], ["--dry-run"]):
            message = refused("run", changed, *more)
            assert "is about something else: " in message
            assert difference in message
            assert message.endswith("; give another --store")
    engine = {"batch_size": 3, "threads": 1}
    same = write_run(name="tiny", dictionary=entry(sae), engine=engine, budget={"max_usd": 1.0})
    main(["run", str(same), "--stage", "tokens"])


def test_another_dictionary_of_the_same_name(
    write_run: Callable[..., Path], refused: Refused, sae: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_run(dictionary=entry(sae))
    main(["run", str(file), "--stage", "extract"])
    capsys.readouterr()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"evidence": {"top": 3}}, "evidence.top 20 -> 3"),
        ({"dictionary": entry(sae, features="0:9")}, "dictionary.features all -> 0:9"),
    ]
    for change, difference in changes:
        changed = write_run(**{"dictionary": entry(sae)} | change)
        for more in ([], ["--dry-run"]):
            message = refused("run", changed, *more)
            assert f'holds another dictionary "sae": {difference}; rows of the two are not mixed' in message
            assert message.endswith("give it another name, or another --store")
    config = json.loads((sae / "cfg.json").read_text())
    (sae / "cfg.json").write_text(json.dumps(config | {"apply_b_dec_to_input": False}))
    assert "dictionary.config.apply_b_dec_to_input true -> false" in refused("run", file)
    (sae / "cfg.json").write_text(json.dumps(config))
    weights = read_weights(sae / "sae_weights.safetensors")
    weights["b_enc"] += 1e-3
    save_file(weights, sae / "sae_weights.safetensors")
    message = refused("run", file)
    assert 'holds another dictionary "sae": ' in message
    assert "dictionary.weights content " in message


def test_a_corpus_that_has_changed_under_a_store(
    write_run: Callable[..., Path], token_array: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "a.npy", token_array)
    file = write_run(tokens={"source": f"npy:{tmp_path / 'a.npy'}"})
    main(["run", str(file), "--stage", "tokens"])
    np.save(tmp_path / "a.npy", token_array)  # written again, not changed
    main(["run", str(file), "--stage", "tokens"])
    np.save(tmp_path / "a.npy", token_array[::-1])
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["run", str(file)])
    assert caught.value.code == 2
    assert "is about something else: tokens.source content " in capsys.readouterr().err.splitlines()[-1]
