"""Masses by token and pair: the dense table of frequent tokens, and dense features' pairs on a sample of tokens."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.engines.whole import KeptPerFeature, summarise
from autointerp.extract.summary import frequent, pair_sample
from autointerp.extract.summary.frequent import frequent_tokens
from autointerp.extract.summary.gram_tables import gram_tables
from autointerp.extract.summary.grams import GramCounter, pair_table, token_table
from autointerp.extract.summary.pair_sample import pair_levels, place_levels
from autointerp.hashing import hash64, stream_key
from autointerp.subject.tokens import TokenFile

SEED = 3


def run(subject: Any, tokens: TokenFile, dictionaries: Any, contexts: np.ndarray) -> Any:
    return summarise(
        subject,
        tokens,
        dictionaries,
        contexts,
        seed=SEED,
        kept=KeptPerFeature(top=2, score_windows=2),
        progress=lambda _: None,
    )


def test_a_place_is_in_the_sample_of_a_level_with_probability_two_to_the_minus_it() -> None:
    context, position = torch.arange(60_000) // 100, torch.arange(60_000) % 100
    level = place_levels(SEED, context, position)
    u = hash64(stream_key(SEED, "pair sample"), context.numpy(), position.numpy()).astype(object)
    assert level[:500].tolist() == [63 - int(value).bit_length() for value in u[:500]]
    for at_least in range(6):
        share = float((level >= at_least).double().mean())
        assert share == pytest.approx(0.5**at_least, abs=4 * (0.5**at_least / 60_000) ** 0.5)


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few events, and so few cells, that this small corpus is a large one."""
    monkeypatch.setattr(pair_sample, "PAIR_EVENTS", 64)
    monkeypatch.setattr(pair_sample, "DENSEST", 0)
    monkeypatch.setattr(frequent, "CELLS", 64 * 5)


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize("name", ["standard", "topk", "neurons"])
def test_pairs_of_dense_features_are_those_of_the_sampled_places(
    name: str, tiny_subject: Any, token_file: TokenFile, dictionaries: Any, dense: Any
) -> None:
    one = {name: dictionaries[name]}
    summary = run(tiny_subject, token_file, one, np.arange(token_file.n_contexts))[name]
    level = summary.pair_level.numpy()
    rows = np.flatnonzero(token_file.split == 0)
    acts, ids, before = dense[name][rows], np.asarray(token_file.tokens)[rows], token_file.previous(rows)
    scored = token_file.scored(rows)
    length = token_file.context_length
    places = (
        place_levels(SEED, torch.from_numpy(np.repeat(rows, length)), torch.arange(length).repeat(len(rows)))
        .reshape(len(rows), length)
        .numpy()
    )
    n_firing = (acts > 0).sum(axis=(0, 1))
    assert (level > 0).any()
    assert not level[n_firing < 16].any(), "sparse features are exact"

    heavy, pairs = gram_tables(summary, token_file)
    assert pairs.share is not None
    np.testing.assert_array_equal(pairs.share, 0.5**level)
    for feature in range(acts.shape[-1]):
        mine = slice(pairs.start[feature], pairs.start[feature + 1])
        times = 2 ** level[feature]
        truth: dict[tuple[int, int], list[float]] = defaultdict(list)
        seen: dict[tuple[int, int], int] = defaultdict(int)
        for row, place in zip(*np.nonzero(scored & (places >= level[feature])), strict=True):
            pair = (int(before[row, place]), int(ids[row, place]))
            seen[pair] += 1
            if acts[row, place, feature] > 0:
                truth[pair].append(float(acts[row, place, feature]))
        assert set(zip(pairs.previous[mine].tolist(), pairs.token[mine].tolist(), strict=True)) <= truth.keys()
        assert mine.stop - mine.start == min(len(truth), 256)
        for i in range(mine.start, mine.stop):
            pair = (int(pairs.previous[i]), int(pairs.token[i]))
            assert pairs.n_firing[i] == len(truth[pair]) * times
            assert pairs.n_seen[i] == seen[pair] * times
            assert pairs.mass[i] == pytest.approx(sum(truth[pair]) * times, rel=1e-4, abs=1e-5)
        own = slice(heavy.start[feature], heavy.start[feature + 1])
        found = dict(zip(heavy.token[own].tolist(), heavy.mass[own].tolist(), strict=True))
        expected = {int(t): float(acts[:, :, feature][ids == t].sum()) for t in np.unique(ids[acts[:, :, feature] > 0])}
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5), "tokens are never sampled"


@pytest.mark.usefixtures("sampled")
def test_the_levels_do_not_depend_on_the_contexts_of_a_worker(
    tiny_subject: Any, token_file: TokenFile, dictionaries: Any
) -> None:
    one = {"standard": dictionaries["standard"]}
    parts = np.array_split(np.random.default_rng(0).permutation(token_file.n_contexts), 3)
    whole = run(tiny_subject, token_file, one, np.arange(token_file.n_contexts))["standard"]
    merged, *others = (run(tiny_subject, token_file, one, np.sort(part))["standard"] for part in parts)
    for other in others:
        merged.merge(other)
    for mine, theirs in zip(gram_tables(merged, token_file), gram_tables(whole, token_file), strict=True):
        for column in ("start", "previous", "token", "n_firing", "n_seen"):
            np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))
        np.testing.assert_allclose(mine.mass, theirs.mass, rtol=1e-9)
    whole.pair_level = whole.pair_level + 1
    with pytest.raises(ValueError, match="different samples"):
        merged.merge(whole)


def test_no_pilot_on_a_small_corpus(tiny_subject: Any, token_file: TokenFile, dictionaries: Any) -> None:
    placed = {"standard": (dictionaries["standard"].dictionary, None)}
    assert not pair_levels(tiny_subject, token_file, placed, SEED)["standard"].any()


def test_frequent_tokens_are_the_most_frequent(token_file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frequent, "CELLS", 70)
    counts = token_file.count_tokens("explain", 61)
    few = frequent_tokens(token_file, 61, 10)
    assert len(few) == 7
    assert counts[few].min() >= np.delete(counts, few).max()
    assert (np.diff(few) > 0).all()


def test_a_counter_is_a_dictionary_of_sums() -> None:
    """Compacted again and again, with and without known keys; nothing lost below twice `keep`."""
    rng = np.random.default_rng(0)
    counter = GramCounter(5, 40, torch.device("cpu"), keep=20)
    truth: dict[int, list[float]] = defaultdict(list)
    for _ in range(30):
        key = rng.choice(200, size=rng.integers(1, 60))  # a gram several times at once, too, in any order
        key = key[np.argsort(key // 40, kind="stable")]
        mass = rng.exponential(size=len(key)).astype(np.float32)
        for k, m in zip(key.tolist(), mass.tolist(), strict=True):
            truth[k].append(m)
        counter.add(torch.from_numpy(key), torch.from_numpy(mass))
        counter.compact()
    start, gram, mass, n = counter.heaviest(100)
    feature = np.repeat(np.arange(5), np.diff(start))
    found = {int(f * 40 + g): (m, c) for f, g, m, c in zip(feature, gram, mass, n, strict=True)}
    assert found.keys() == truth.keys()
    for k, values in truth.items():
        assert found[k][0] == pytest.approx(sum(values), rel=1e-12)
        assert found[k][1] == len(values)


def test_what_a_cut_loses_is_within_the_error() -> None:
    rng = np.random.default_rng(1)
    counter = GramCounter(3, 1000, torch.device("cpu"), keep=10)
    truth = np.zeros(3000)
    for _ in range(20):
        key = np.unique(np.concatenate([rng.integers(0, 3000, 400), *(1000 * np.arange(3)[:, None] + np.arange(4))]))
        mass = (rng.exponential(size=len(key)) * (1 + 100 * (key % 1000 < 4))).astype(np.float32)
        truth[key] += mass
        counter.add(torch.from_numpy(key), torch.from_numpy(mass))
        counter.prune()
    error = counter.error.numpy()
    assert (error > 0).all()
    start, gram, mass, _ = counter.heaviest(10)
    feature = np.repeat(np.arange(3), np.diff(start))
    lacking = truth[feature * 1000 + gram] - mass
    assert (lacking >= -1e-9).all()
    assert (lacking <= error[feature] + 1e-9).all()
    for one in range(3):
        assert {0, 1, 2, 3} <= set(gram[feature == one].tolist())


def test_the_record_of_nothing() -> None:
    counter = GramCounter(2, 10, torch.device("cpu"))
    table = pair_table(counter, np.zeros(2, np.int64), 5, 3)
    assert table.start.tolist() == [0, 0, 0]
    none = frequent.FrequentTokens(2, torch.zeros(0, dtype=torch.int64), 10)
    assert token_table(counter, none, 5).start.tolist() == [0, 0, 0]
