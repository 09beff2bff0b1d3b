"""The kernel against torch, to the bit: every tensor of a summary, steps on random tables; and how it is built."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.engines.whole import KeptPerFeature, summarise
from autointerp.extract.selected import Selected
from autointerp.extract.summary.grams import GramCounter
from autointerp.extract.summary.kernel import library
from autointerp.extract.summary.smallest_keys import Keeper, Kept
from autointerp.extract.summary.state import take
from autointerp.subject.activations import INNER
from autointerp.subject.tokens import TokenFile

CPU = torch.device("cpu")
KEPT = KeptPerFeature(top=4, score_windows=6, select_windows=5, left=4)


@pytest.fixture(autouse=True)
def _kernel(request: pytest.FixtureRequest) -> None:
    if "built" not in request.node.name:
        _or_skip()


def _or_skip() -> None:
    """Where there is a compiler, a kernel that cannot be built or loaded is a failure."""
    if library.asked_off() or not any(map(shutil.which, library.COMPILERS)):
        pytest.skip(f"there is no kernel: {library.missing()}")
    assert library.missing() is None


def same(mine: Any, theirs: Any) -> None:
    (about, tensors), (other_about, others) = take(mine), take(theirs)
    assert about == other_about
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == others[name].dtype
        assert torch.equal(tensor, others[name]), name


def test_a_summary_is_the_same_to_the_bit(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected]
) -> None:
    """ReLU, JumpReLU, TopK, gated, some features of one, neurons and matched directions."""

    def summaries() -> Any:
        contexts = np.flatnonzero(np.arange(token_file.n_contexts) // INNER % 4 == 0)  # of all splits
        made = summarise(tiny_subject, token_file, dictionaries, contexts, seed=3, kept=KEPT, progress=lambda _: None)
        for summary in made.values():
            for name in ("top", "octaves", "random", "select_top", "select_firing", "score_top", "score_firing"):
                getattr(summary, name).kept()
        return list(made.values())

    fast = summaries()
    assert library.usable(fast[0].top.limit)
    with library.switched_off():
        assert not library.usable(fast[0].top.limit)
        slow = summaries()
    same(fast, slow)


def counted(seed: int, n_features: int, n_grams: int, keep: int) -> tuple[GramCounter, Any]:
    """A counter that was filled, pruned and merged at random, with many equal masses; and its heaviest."""
    rng = np.random.default_rng(seed)
    counters = [GramCounter(n_features, n_grams, CPU, keep) for _ in range(2)]
    for counter in counters:
        for _ in range(3):
            for _ in range(2):
                feature = np.sort(rng.integers(0, n_features, rng.integers(0, 4_000)))
                key = feature * n_grams + rng.integers(0, n_grams, len(feature)) % 90
                value = rng.integers(1, 9, len(key)).astype(np.float32) / 3
                counter.add(torch.from_numpy(key), torch.from_numpy(value))
                counter.compact()
            counter.prune()
    counters[0].merge(counters[1])
    return counters[0], counters[0].heaviest(7)


@pytest.mark.parametrize(("n_features", "n_grams", "keep"), [(1, 100, 3), (40, 90, 5), (33, 1 << 40, 20), (30, 91, 30)])
def test_grams_are_summed_merged_cut_and_ranked_alike(n_features: int, n_grams: int, keep: int) -> None:
    fast, ranked = counted(1, n_features, n_grams, keep)
    with library.switched_off():
        slow, expected = counted(1, n_features, n_grams, keep)
    same(fast, slow)
    assert fast.error.sum() > 0, "nothing was cut"
    for mine, theirs in zip(ranked, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def kept_at_random(seed: int, n_groups: int, keep: int) -> Keeper:
    rng = np.random.default_rng(seed)
    keeper = Keeper(n_groups, keep, CPU)
    for _ in range(4):
        n = int(rng.integers(0, 3_000))
        length = rng.integers(0, 5, n)
        group, inner = np.sort(rng.integers(0, n_groups, n)), int(length.sum())
        columns = (
            group.astype(np.int32),
            rng.integers(0, 1 << 62, n),
            rng.integers(0, 1 << 40, n),
            rng.integers(0, 500, n).astype(np.int32),
            rng.random(n, dtype=np.float32),
            length.astype(np.uint8),
            rng.integers(-9, 9, inner).astype(np.int16),
            rng.random(inner, dtype=np.float32),
        )
        other = Keeper(n_groups, keep, CPU)
        other.merge(_holding(Kept(*map(torch.from_numpy, columns))))
        keeper.merge(other)
    keeper.kept()
    return keeper


class _Holder:
    """What a keeper is merged with, as far as it is asked."""

    def __init__(self, windows: Kept) -> None:
        self.windows = windows

    def kept(self) -> Kept:
        return self.windows


def _holding(windows: Kept) -> Any:
    return _Holder(windows)


@pytest.mark.parametrize(("n_groups", "keep"), [(1, 1), (16, 40), (700, 3), (50, 0)])
def test_the_smallest_keys_are_kept_alike(n_groups: int, keep: int) -> None:
    fast = kept_at_random(2, n_groups, keep)
    with library.switched_off():
        slow = kept_at_random(2, n_groups, keep)
    same(fast, slow)
    assert bool((fast.limit < (1 << 63) - 1).any()) == bool(keep)


def test_what_a_function_does_not_take_is_refused() -> None:
    index, length = torch.arange(3), torch.full((2,), 200, dtype=torch.uint8)
    with pytest.raises(AssertionError):
        library.call("taken_length", 3, index.int(), 2, length, length[:1])
    with pytest.raises(AssertionError):
        library.call("taken_length", 3, torch.arange(6)[::2], 2, length, length[:1])
    with pytest.raises(ValueError, match="zip"):
        library.call("taken_length", 3, index)
    assert library.call("taken_length", 3, index, 2, length, length[:1]) == 600


def test_it_is_built_once_and_where_it_can_be(tmp_path: Path) -> None:
    _or_skip()
    (tmp_path / "file").write_text("not a folder")
    path = library.built_in(tmp_path / "file" / "below", tmp_path / "cache")
    assert path.parent == tmp_path / "cache"
    assert [made.name for made in path.parent.iterdir()] == [path.name]
    path.write_bytes(b"as it was")
    assert library.built_in(tmp_path / "cache") == path
    assert path.read_bytes() == b"as it was"
    with pytest.raises(library.NotBuilt, match="no folder"):
        library.built_in(tmp_path / "file" / "below")


def test_why_it_is_not_built_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(library.NotBuilt, match="no C compiler"):
        library.built_in(tmp_path)
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'cannot do this' >&2\nexit 1\n")
    compiler.chmod(0o755)
    with pytest.raises(library.NotBuilt, match="cannot do this"):
        library.built_in(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_it_is_built_unless_the_environment_says_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.SWITCH, "off")
    assert library.loaded.__wrapped__() == (None, "AUTOINTERP_KERNEL is off")
    monkeypatch.setenv(library.SWITCH, "")
    assert not library.asked_off()
