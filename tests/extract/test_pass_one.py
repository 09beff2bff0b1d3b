"""Pass 1 gives the same rows whoever does which shard, in whatever portions, and wherever it was interrupted.

The tables of grams are kept far too small for the corpus (5 of a feature, which holds up to 60 tokens and hundreds of
pairs), so that what is pruned, and when, matters.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.config.evidence import EvidenceSection
from autointerp.extract.engines import spool
from autointerp.extract.engines.pass_one import PassOne, Summaries
from autointerp.extract.engines.shards import MOST_SHARDS, Piece, Shard, cut_rounds, cut_shards
from autointerp.extract.engines.tensor_file import DamagedFile, read_tensors, write_tensors
from autointerp.extract.exemplars import explain_exemplars, held_out_exemplars
from autointerp.extract.selected import Selected, on_device
from autointerp.extract.summary import grams
from autointerp.extract.summary import smallest_keys as keeper
from autointerp.extract.summary.grams import token_table
from autointerp.extract.summary.state import put_back, take
from autointerp.extract.summary.summary import SummaryPlan
from autointerp.records import SPLITS
from autointerp.subject.activations import INNER
from autointerp.subject.tokens import TokenFile

KEEP, TOP = 5, 4
CPU = torch.device("cpu")
EVIDENCE = EvidenceSection(top=TOP, random=6, near_miss=5)


@pytest.fixture(scope="module")
def make(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected], tmp_path_factory: Any
) -> Callable[..., PassOne]:
    """A pass over some shards; by default all of them, every feature at once."""
    chosen = {name: dictionaries[name] for name in ("standard", "topk")}
    widths = {name: one.dictionary.n_features for name, one in chosen.items()}
    [hook] = {one.dictionary.hook for one in chosen.values()}
    ids = torch.from_numpy(np.asarray(token_file.tokens[:INNER]).astype(np.int64))
    norms = tiny_subject.activations(ids, [hook])[hook].norm(dim=-1)
    norm_limit = float(norms.flatten().quantile(0.9))  # so that there are outliers

    def made(
        shards: list[Shard] | None = None, at_once: int = 10_000, folder: Path | None = None, keep: int = KEEP
    ) -> PassOne:
        window = token_file.window
        plans = {
            name: SummaryPlan(
                n, tiny_subject.d_vocab, 3, TOP, 6, 6, 5, window, 4, norm_limit=norm_limit, outlier=3, grams=keep
            )
            for name, n in widths.items()
        }
        placed = on_device(chosen, CPU)
        folder = folder or tmp_path_factory.mktemp("spool")
        return PassOne(
            tiny_subject, token_file, placed, plans, shards or cut(token_file), cut_rounds(widths, at_once), folder
        )

    return made


def cut(tokens: TokenFile) -> list[Shard]:
    shards = cut_shards(tokens.n_contexts, tokens.context_length, 2 * INNER * tokens.context_length)
    assert len(shards) == 6, "90 contexts, 16 a shard"
    return shards


def run(work: PassOne, batch_size: int = INNER) -> PassOne:
    for _ in work.run(batch_size):
        pass
    return work


def rows_of(rounds: Any, tokens: TokenFile) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a store would hold, feature by feature."""
    listed: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for summaries in rounds:
        for piece, summary in summaries.items():
            for feature in range(piece.last - piece.first):
                for index in range(len(SPLITS)):
                    s = summary.statistics
                    listed["statistics"].append(
                        (
                            piece.dictionary,
                            piece.first + feature,
                            index,
                            int(s.n_firing[index, feature]),
                            int(s.n_firing_windows[index, feature]),
                            float(s.maximum[index, feature]),
                            float(s.total[index, feature]),
                            float(s.total2[index, feature]),
                            s.histogram[index, feature].numpy().tobytes(),
                            s.positions[index, feature].numpy().tobytes(),
                            s.outliers[index, feature].numpy().tobytes(),
                        )
                    )
            heavy = token_table(summary.tokens, summary.frequent, 256)
            for pairs, counter in ((False, summary.tokens), (True, summary.pairs)):
                start, gram, mass, count = counter.heaviest(256, None if pairs else summary.frequent)
                feature = np.repeat(np.arange(len(start) - 1), np.diff(start)) + piece.first
                rank = np.arange(len(gram)) - np.repeat(start[:-1], np.diff(start))
                columns = (x.tolist() for x in (feature, rank, gram, mass, count))
                listed["grams"] += [(piece.dictionary, pairs, *row) for row in zip(*columns, strict=True)]
                error = counter.error.tolist()
                listed["error"] += [(piece.dictionary, pairs, piece.first + i, one) for i, one in enumerate(error)]
            features = np.arange(piece.last - piece.first)
            parts = [
                *explain_exemplars(summary, tokens, heavy, EVIDENCE, features),
                *held_out_exemplars(summary, tokens, "select"),
                *held_out_exemplars(summary, tokens, "score"),
            ]
            for part in parts:
                ends = np.cumsum(part.length)
                for i, stratum in enumerate(part.stratum):
                    inner = slice(ends[i] - part.length[i], ends[i])
                    item = [
                        getattr(part, name)[i].item()
                        for name in ("rank", "window", "start", "n_tokens", "peak", "u", "probability")
                    ]
                    listed["exemplars"].append(
                        (
                            piece.dictionary,
                            int(part.feature[i]),
                            part.split,
                            stratum,
                            *item,
                            part.place[inner].tobytes(),
                            part.value[inner].tobytes(),
                        )
                    )
            for split, pool in (("select", summary.select_pool), ("score", summary.score_pool)):
                for i, fires in zip(features, pool.fires(features), strict=True):
                    listed["pool"].append((piece.dictionary, piece.first + i, split, np.flatnonzero(fires).tobytes()))
    return {name: sorted(rows) for name, rows in listed.items()}


def same(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Bit for bit; sums of doubles to 1e-9."""
    assert mine.keys() == theirs.keys()
    for name, rows in mine.items():
        assert len(rows) == len(theirs[name]), name
        for one, other in zip(rows, theirs[name], strict=True):
            for a, b in zip(one, other, strict=True):
                assert a == b or (isinstance(a, float) and a == pytest.approx(b, rel=1e-9, abs=0)), (name, one, other)


@pytest.fixture(scope="module")
def expected(make: Callable[..., PassOne], token_file: TokenFile) -> dict[str, Any]:
    return rows_of(run(make()).finished(), token_file)


def test_pruning_loses_no_more_than_it_says(expected: dict[str, Any], dense: Any, token_file: TokenFile) -> None:
    rows = np.flatnonzero(token_file.split == 0)
    ids, before = np.asarray(token_file.tokens)[rows], token_file.previous(rows)
    n_pruned = 0
    for pairs in (False, True):
        error = {(name, feature): e for name, kind, feature, e in expected["error"] if kind == pairs}
        listed = {(name, f, gram): mass for name, kind, f, _, gram, mass, _ in expected["grams"] if kind == pairs}
        for name in ("standard", "topk"):
            acts = dense[name][rows]
            gram = ids.astype(np.int64) * (62 if pairs else 1) + (before + 1 if pairs else 0)
            for feature in range(acts.shape[-1]):
                mass = np.bincount(gram.ravel(), acts[:, :, feature].ravel())
                n_pruned += (mass > 0).sum() > 2 * KEEP
                for key in np.flatnonzero(mass):
                    lost = mass[key] - listed.get((name, feature, int(key)), 0.0)
                    assert -1e-4 <= lost <= error[name, feature] + 1e-4
    assert n_pruned > 50, "the tables are too small for most features"
    assert sum(row[-1] > 0 for row in expected["error"]) > 30  # pairs: the frequent tokens, here all, are exact


@pytest.mark.parametrize("batch_size", [1, 24])
def test_whatever_the_batch_size(
    batch_size: int, make: Callable[..., PassOne], expected: Any, token_file: TokenFile
) -> None:
    same(rows_of(run(make(), batch_size).finished(), token_file), expected)


def test_whatever_the_buffers(
    make: Callable[..., PassOne], expected: Any, token_file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grams, "BUFFER", 100)
    monkeypatch.setattr(keeper, "BUFFER", 30)
    same(rows_of(run(make()).finished(), token_file), expected)


@pytest.mark.parametrize("workers", [2, 3])
def test_whatever_the_number_of_workers(
    workers: int, make: Callable[..., PassOne], expected: Any, token_file: TokenFile, tmp_path: Path
) -> None:
    """Each worker does every n-th shard by itself and hands over a file; they are merged in the order of the shards."""
    shards = cut(token_file)
    for worker in range(workers):
        for shard in shards[worker::workers]:
            work = run(make([shard]))
            description, tensors = take(list(work.summaries.values()))
            write_tensors(tmp_path / f"{shard.number}", tensors, description)
    merged: Summaries = make().summaries
    for shard in shards:
        other = make().summaries
        put_back(list(other.values()), *reversed(read_tensors(tmp_path / f"{shard.number}", CPU)))
        for piece, summary in merged.items():
            summary.merge(other[piece])
    same(rows_of([merged], token_file), expected)


@pytest.mark.parametrize("at_once", [64, 13])
def test_whatever_the_number_of_features_at_once(
    at_once: int,
    make: Callable[..., PassOne],
    expected: Any,
    token_file: TokenFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grams, "BUFFER", 100)  # filled at other times than with all features
    work = run(make(at_once=at_once, folder=tmp_path))
    assert len(work.rounds) == -(-sum(plan.n_features for plan in work.plans.values()) // at_once) > 1
    same(rows_of(work.finished(), token_file), expected)
    work.remove_spool()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at_once", [10_000, 50])
def test_wherever_it_was_interrupted(
    at_once: int,
    make: Callable[..., PassOne],
    expected: Any,
    token_file: TokenFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "BUFFER", 1000)  # what is behind the checkpoint is in the files, too
    work = make(at_once=at_once, folder=tmp_path)
    for n, _ in enumerate(work.run(INNER)):
        if n in (0, 3, 4, 9):
            description, tensors = work.state()
            write_tensors(tmp_path / "state", tensors, description)
        if n in (2, 3, 7, 10):  # killed two batches after the checkpoint, at once, in the next shard
            work = make(at_once=at_once, folder=tmp_path)
            tensors, description = read_tensors(tmp_path / "state", CPU)
            work.resume(json.loads(json.dumps(description)), tensors)
            begun = work.next_context
            break
    for checkpoint in (4, 8):
        for n, _ in enumerate(work.run(INNER)):
            if n == 2:
                description, tensors = work.state()
                write_tensors(tmp_path / "state", tensors, description)
            if n == checkpoint:
                work = make(at_once=at_once, folder=tmp_path)
                tensors, description = read_tensors(tmp_path / "state", CPU)
                work.resume(description, tensors)
                assert work.next_context > begun
                break
    same(rows_of(run(work).finished(), token_file), expected)


def test_a_state_of_other_work_is_refused(make: Callable[..., PassOne]) -> None:
    work = make()
    description, tensors = work.state()
    with pytest.raises(ValueError, match=r"."):
        work.resume(description | {"summaries": {"list": [{"object": {"dict": {"other": 1}}}]}}, tensors)
    with pytest.raises(ValueError, match=r"."):
        work.resume(description, dict(list(tensors.items())[1:]))


def test_a_state_holds_everything(make: Callable[..., PassOne]) -> None:
    """What is read back is described like what was written, waiting buffers included."""
    work = make(keep=100)  # so that nothing is pruned and much waits
    for n, _ in enumerate(work.run(INNER)):
        if n == 4:
            break
    description, tensors = work.state()
    assert any("_waiting" in name for name in tensors)
    assert any("_ranges" in name for name in tensors)
    fresh = make()
    fresh.resume(description, {name: tensor.clone() for name, tensor in tensors.items()})
    again, copies = fresh.state()
    assert again == description
    for name, tensor in tensors.items():
        assert torch.equal(copies[name], tensor)


def test_what_cannot_be_described_is_named(make: Callable[..., PassOne]) -> None:
    summary = next(iter(make().summaries.values()))
    summary.extra = {1, 2}  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="/extra: a set"):
        take(summary)


TENSORS = {
    "a/b": torch.arange(6).view(2, 3),
    "empty": torch.zeros(0, 3),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "turned": torch.arange(12, dtype=torch.int32).view(3, 4).T,
    "bits": torch.tensor([True, False, True]),
    "bytes": torch.arange(5, dtype=torch.uint8)[1:4],
}


def test_tensor_file_is_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    size = write_tensors(tmp_path / "file", TENSORS, {"about": [1, 'quoted "'] * 3})
    assert (tmp_path / "file").stat().st_size == size
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    read, about = read_tensors(tmp_path / "file", CPU)
    assert about == {"about": [1, 'quoted "'] * 3}
    for found in (read, load_file(tmp_path / "file")):
        assert found.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("damage", ["cut", "grown", "head", "data", "empty", "text"])
def test_a_damaged_tensor_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_tensors(path, TENSORS, {})
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-4]
    elif damage == "grown":
        data += b"0000"
    elif damage == "head":
        data[3] ^= 1
    elif damage == "data":
        data[-20] ^= 1
    else:
        data = bytearray(b"" if damage == "empty" else b"not a file of tensors, but long enough to look like one")
    path.write_bytes(data)
    with pytest.raises(DamagedFile):
        read_tensors(path, CPU)


def test_shards_depend_on_the_size_alone() -> None:
    for n_contexts in (1, 8, 2047, 2048, 2049, 100_000, 131_072, 131_073, 1_000_003):
        shards = cut_shards(n_contexts, 128)
        assert [shard.number for shard in shards] == list(range(len(shards)))
        assert shards[0].first == 0
        assert shards[-1].last == n_contexts
        assert all(a.last == b.first and a.last % INNER == 0 for a, b in pairwise(shards))
        assert len(shards) == min(-(-n_contexts // 2048), MOST_SHARDS) or n_contexts > 131_072
        assert len(shards) <= MOST_SHARDS


def test_rounds_hold_every_feature_once() -> None:
    assert cut_rounds({"a": 5, "b": 3}, 8) == [[Piece("a", 0, 5), Piece("b", 0, 3)]]
    assert cut_rounds({"a": 5, "b": 3}, 4) == [[Piece("a", 0, 4)], [Piece("a", 4, 5), Piece("b", 0, 3)]]
    assert cut_rounds({"a": 3}, 1) == [[Piece("a", i, i + 1)] for i in range(3)]
    assert replace(Piece("a", 0, 1), last=2) == Piece("a", 0, 2)
