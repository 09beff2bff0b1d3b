"""What pass 1 keeps of the score split is what pass 2 would find; where it cannot be kept or read, that is said."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract import score_spool
from autointerp.extract.engines.pass_one import PassOne
from autointerp.extract.engines.shards import cut_rounds, cut_shards
from autointerp.extract.pass_two import score_events
from autointerp.extract.score_spool import ScoreSpool, UnusableEvents, read_events
from autointerp.extract.selected import Selected, on_device
from autointerp.extract.summary.summary import SCORE, SummaryPlan
from autointerp.records import EventBatch
from autointerp.subject.activations import INNER
from autointerp.subject.tokens import TokenFile

NAMES = ("standard", "topk", "subset", "random")


class Kept:
    """A pass over all shards that keeps the score split, and what it said."""

    def __init__(self, subject: Any, tokens: TokenFile, dictionaries: dict[str, Selected], folder: Path) -> None:
        self.tokens, self.said, self.folder = tokens, list[str](), folder
        chosen = {name: dictionaries[name] for name in NAMES}
        widths = {name: one.dictionary.n_features for name, one in chosen.items()}
        plans = {name: SummaryPlan(n, subject.d_vocab, 3, 4, 6, 6, 5, tokens.window, 4) for name, n in widths.items()}
        self.spool = ScoreSpool(folder, widths, tokens.context_length, self.said.append)
        self.work = PassOne(
            subject,
            tokens,
            on_device(chosen, torch.device("cpu")),
            plans,
            cut_shards(tokens.n_contexts, tokens.context_length),
            cut_rounds(widths, 10_000),
            score_spool=self.spool,
        )

    def run(self, batches: int | None = None) -> Kept:
        for n, _ in enumerate(self.work.run(INNER), start=1):
            if n == batches:
                break
        return self

    def n_firing(self, name: str) -> Any:
        return (
            next(s for p, s in self.work.summaries.items() if p.dictionary == name).statistics.n_firing[SCORE].numpy()
        )

    def files(self) -> dict[str, Path]:
        paths = {name: self.folder / f"{name}.events" for name in NAMES}
        self.spool.keep(paths)
        return paths

    def read(self, name: str, path: Path) -> list[EventBatch]:
        return list(read_events(path, self.tokens, self.n_firing(name)))


@pytest.fixture
def make(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected], tmp_path: Path
) -> Callable[[], Kept]:
    return lambda: Kept(tiny_subject, token_file, dictionaries, tmp_path)


@pytest.fixture(scope="module")
def pass_two(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected]
) -> dict[str, list[EventBatch]]:
    """The twin: the model run again."""
    found: dict[str, list[EventBatch]] = {name: [] for name in NAMES}
    chosen = {name: dictionaries[name] for name in NAMES}
    for name, batch in score_events(tiny_subject, token_file, chosen, lambda _: None):
        if len(batch.feature):
            found[name].append(batch)
    return found


def same(kept: Kept, expected: dict[str, list[EventBatch]]) -> None:
    for name, path in kept.files().items():
        batches = kept.read(name, path)
        assert len(batches) == len(expected[name]) >= 3
        for mine, theirs in zip(batches, expected[name], strict=True):
            for column in fields(EventBatch):
                one, other = getattr(mine, column.name), getattr(theirs, column.name)
                assert one.dtype == other.dtype, column.name
                np.testing.assert_array_equal(one, other, err_msg=f"{name}: {column.name}")


@pytest.mark.parametrize("buffer", [1, score_spool.BUFFER])
def test_what_is_kept_is_what_pass_2_finds(
    buffer: int, make: Callable[[], Kept], pass_two: dict[str, list[EventBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_spool, "BUFFER", buffer)
    kept = make().run()
    same(kept, pass_two)
    assert not kept.said


def test_it_is_taken_up_with_the_checkpoint(
    make: Callable[[], Kept], pass_two: dict[str, list[EventBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_spool, "BUFFER", 100)  # what is behind the checkpoint is in the files, too
    first = make().run(10)  # of 12 batches, of which the last three are of the score split
    description, tensors = first.work.state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}  # as they are written
    first.run(1)
    second = make()
    second.work.resume(json.loads(json.dumps(description)), tensors)
    same(second.run(), pass_two)


def test_a_checkpoint_whose_events_are_gone_is_gone_on_from_without(make: Callable[[], Kept]) -> None:
    first = make().run(10)
    description, tensors = first.work.state()
    first.spool.path("topk").unlink()
    second = make()
    second.work.resume(description, tensors)
    assert second.work.next_context > 0
    second.run()
    assert second.said == [
        "pass 1: the score split is not kept for the census, which runs the model again (a file of them is gone)"
    ]
    assert not any(path.exists() for path in second.files().values())
    third = make()  # and this is known when it is taken up again
    third.work.resume(*second.work.state())
    assert third.spool.given_up


def test_from_the_first_token_again_nothing_old_is_left(
    make: Callable[[], Kept], pass_two: dict[str, list[EventBatch]]
) -> None:
    first = make().run(10)
    first.spool.flush()
    second = make()
    second.work.begin()
    same(second.run(), pass_two)


@pytest.mark.parametrize("why", ["disk", "size"])
def test_without_room_nothing_is_kept(why: str, make: Callable[[], Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_spool, "BUFFER", 1)
    kept = make()
    if why == "size":
        monkeypatch.setattr(score_spool, "MOST_BYTES", 2_000)
    else:
        kept.run(10)
        ordinary = Path.open

        def full(path: Path, *arguments: Any, **more: Any) -> Any:
            if path.suffix == ".events":
                raise OSError(errno.ENOSPC, "No space left on device")
            return ordinary(path, *arguments, **more)

        monkeypatch.setattr(Path, "open", full)
    kept.run()
    reason = {"disk": "No space left on device", "size": "they are more than 0.0 GB"}[why]
    assert [line.split("(")[1] for line in kept.said] == [f"{reason})"]
    assert not any(path.exists() for path in kept.files().values())
    assert list(kept.folder.iterdir()) == []
    assert len(kept.work.summaries) == len(NAMES), "the pass itself came to its end"


@pytest.mark.parametrize("damage", ["cut", "head", "value", "record", "other", "gone"])
def test_a_damaged_file_is_refused(damage: str, make: Callable[[], Kept]) -> None:
    kept = make().run()
    files = kept.files()
    path = files["topk"]
    data = bytearray(path.read_bytes())
    n = int(np.frombuffer(data, np.int64, 1, 8)[0])
    if damage == "cut":
        path.write_bytes(data[:-3])
    elif damage == "head":
        data[0] ^= 1
        path.write_bytes(data)
    elif damage == "value":
        data[score_spool.HEAD + 8 * n - 1] ^= 1
        path.write_bytes(data)
    elif damage == "record":  # whole records lost: what is there is right, and not everything
        path.write_bytes(data[score_spool.HEAD + 8 * n :])
    elif damage == "other":
        path.write_bytes(files["subset"].read_bytes())
    else:
        path.unlink()
    with pytest.raises(UnusableEvents):
        kept.read("topk", path)


def test_files_that_nobody_will_read_are_removed(token_file: TokenFile) -> None:
    paths = [score_spool.kept_path(token_file, key) for key in ("a", "b")]
    for path in paths:
        path.touch()
    score_spool.sweep(token_file, {paths[1]})
    assert [path.exists() for path in paths] == [False, True]
    score_spool.sweep(token_file, set())
    assert not paths[1].exists()
    assert (token_file.folder / "tokens.bin").exists()
