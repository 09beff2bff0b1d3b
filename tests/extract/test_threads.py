"""Pass 1 with several threads is pass 1 with one, to the last bit; what fails in a thread is raised to who asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp.extract.engines.pass_one import PassOne
from autointerp.extract.engines.shards import cut_rounds, cut_shards
from autointerp.extract.engines.threads import OneThread, SeveralThreads, threads_of
from autointerp.extract.score_spool import ScoreSpool
from autointerp.extract.selected import Selected, on_device
from autointerp.extract.summary.summary import SummaryPlan
from autointerp.subject.activations import INNER
from autointerp.subject.tokens import TokenFile

CPU = torch.device("cpu")


@pytest.fixture
def several() -> Iterator[int]:
    """Torch may take three threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@pytest.fixture
def one() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def gathered(subject: Any, tokens: TokenFile, dictionaries: dict[str, Selected], folder: Path) -> PassOne:
    """All contexts, in rounds of 40 features, so that there are spools of both kinds."""
    widths = {name: chosen.dictionary.n_features for name, chosen in dictionaries.items()}
    plans = {name: SummaryPlan(n, subject.d_vocab, 3, 4, 6, 6, 5, tokens.window, 4) for name, n in widths.items()}
    kept = ScoreSpool(folder, widths, tokens.context_length, lambda _: None)
    shards = cut_shards(tokens.n_contexts, tokens.context_length, 2 * INNER * tokens.context_length)
    placed = on_device(dictionaries, CPU)
    work = PassOne(subject, tokens, placed, plans, shards, cut_rounds(widths, 40), folder, kept)
    for _ in work.run(INNER):
        pass
    return work


@pytest.mark.usefixtures("one")
def test_rows_do_not_depend_on_the_number_of_threads(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected], tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "three").mkdir()
    alone = gathered(tiny_subject, token_file, dictionaries, tmp_path / "one")
    torch.set_num_threads(3)
    together = gathered(tiny_subject, token_file, dictionaries, tmp_path / "three")
    assert torch.get_num_threads() == 3
    described, tensors = alone.state()
    described_too, tensors_too = together.state()
    assert described == described_too
    assert tensors.keys() == tensors_too.keys()
    assert len(tensors) > 20
    for name, tensor in tensors.items():
        assert torch.equal(tensor, tensors_too[name]), name
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert len(files) > len(dictionaries)
    assert {path.name: path.read_bytes() for path in (tmp_path / "three").iterdir()} == files


@pytest.mark.usefixtures("one")
def test_one_thread_where_torch_may_take_one() -> None:
    with threads_of(CPU) as threads:
        assert isinstance(threads, OneThread)
        assert list(threads.ahead(range(3))) == [0, 1, 2]
        assert list(threads.each(abs, (-1, -2))) == [1, 2]


def test_an_item_is_made_while_the_one_before_is_in_use(several: int) -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    with threads_of(CPU) as threads:
        assert isinstance(threads, SeveralThreads)
        seen = []
        for item in threads.ahead(items()):
            until = time.monotonic() + 10
            while len(made) < min(item + 2, 3) and time.monotonic() < until:
                time.sleep(0.001)
            assert len(made) == min(item + 2, 3)
            seen.append(item)
        assert seen == [0, 1, 2]
        barrier = threading.Barrier(several)  # passed by three at once alone
        assert list(threads.each(lambda n: n + 0 * barrier.wait(10), range(3))) == [0, 1, 2]


@pytest.mark.usefixtures("several")
def test_what_fails_in_a_thread_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"), threads_of(CPU) as threads:
        for _ in threads.ahead(items()):
            pass
    with pytest.raises(ZeroDivisionError), threads_of(CPU) as threads:
        list(threads.each(lambda n: 1 // n, (1, 0)))
    assert torch.get_num_threads() == 3
