"""What later stages read comes back as the records that it was, whatever the store's form."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import built_store
import duckdb
import numpy as np
import pytest

from autointerp.errors import StoreError
from autointerp.records import ANY_TOKEN, GramTable, Split
from autointerp.store import evidence
from autointerp.store.evidence import (
    read_exemplars,
    read_feature_windows,
    read_gram_tables,
    read_pool,
    read_pool_firing,
    read_vocab,
    window_length,
)
from autointerp.store.reader import StoreReader, open_reader
from autointerp.store.writer import StoreWriter

WINDOW, PER_CONTEXT = 8, 2


@pytest.fixture
def opened(built: tuple[Path, object]) -> Iterator[StoreReader]:
    with open_reader(built[0]) as reader:
        yield reader


@pytest.fixture
def world(built: tuple[Path, SimpleNamespace]) -> SimpleNamespace:
    return built[1]


def test_the_vocabulary_comes_by_id(opened: StoreReader) -> None:
    vocab = read_vocab(opened)
    assert vocab[0] == "<bos>"
    assert vocab[7] == " w7"
    assert vocab[39] == built_store.HOSTILE
    assert len(vocab) == 40


def test_the_window_length_is_the_run_files(opened: StoreReader) -> None:
    assert window_length(opened) == WINDOW


def entries(table: GramTable, feature: int) -> list[tuple[int, int, float, int, int]]:
    mine = slice(table.start[feature], table.start[feature + 1])
    columns = (table.previous, table.token, table.mass, table.n_firing, table.n_seen)
    return list(zip(*(column[mine].tolist() for column in columns), strict=True))


def test_gram_tables_are_what_the_activations_sum_to(opened: StoreReader, world: SimpleNamespace) -> None:
    tokens, pairs = read_gram_tables(opened, "sae")
    mine = world.split == "explain"
    scored, token, truth = world.scored[mine], world.tokens[mine], world.truth["sae"][:, mine]
    previous = np.concatenate([np.full((len(token), 1), -1), token[:, :-1]], axis=1)
    for feature in range(6):
        found = entries(tokens, feature)
        assert {row[1] for row in found} == set(token[truth[feature] > 0].tolist())
        assert [row[2] for row in found] == sorted((row[2] for row in found), reverse=True)
        for before, one, mass, n_firing, n_seen in found + entries(pairs, feature):
            at = scored & (token == one) & ((before == ANY_TOKEN) | (previous == before))
            assert mass == pytest.approx(truth[feature][at].sum(dtype=np.float64))
            assert n_firing == (truth[feature][at] > 0).sum()
            assert n_seen == at.sum()
    assert entries(tokens, 4) == entries(pairs, 4) == []
    assert tokens.mass_error.tolist() == [0.0] * 6
    assert tokens.token.dtype == np.int32
    assert pairs.start.dtype == np.int64


@pytest.mark.parametrize("split", ["select", "score"])
def test_feature_windows_hold_the_truth(opened: StoreReader, world: SimpleNamespace, split: Split) -> None:
    asked = [3, 0, 4]
    kept = list(read_feature_windows(opened, "sae", asked, WINDOW, PER_CONTEXT, split))
    assert sum(len(one.window) for one in kept) > 5
    assert [one.feature for one in kept] == asked
    for windows_of in kept:
        acts = world.truth["sae"][windows_of.feature]
        windows = world.windows(split)
        assert windows_of.n_windows == len(windows)
        assert windows_of.n_firing_windows == sum(acts[c, s : s + WINDOW].any() for c, s in windows)
        for number, maximum, truth in zip(windows_of.window, windows_of.maximum, windows_of.truth, strict=True):
            context, start = number // PER_CONTEXT, number % PER_CONTEXT * WINDOW
            assert truth.tolist() == acts[context, start : start + WINDOW].tolist()
            assert maximum == truth.max()
        n_top = int((windows_of.stratum == "T").sum())
        assert windows_of.stratum.tolist() == ["T"] * n_top + ["F"] * (len(windows_of.stratum) - n_top)
        assert windows_of.u[n_top:].tolist() == sorted(windows_of.u[n_top:])
        assert windows_of.truth.dtype == np.float32
    dead = kept[-1]
    assert dead.truth.shape == (0, WINDOW)
    assert dead.n_firing_windows == 0


def test_feature_windows_do_not_depend_on_the_portion(opened: StoreReader, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(read_feature_windows(opened, "sae", range(6), WINDOW, PER_CONTEXT))
    monkeypatch.setattr(evidence, "_AT_ONCE", 1)
    for one, other in zip(whole, read_feature_windows(opened, "sae", range(6), WINDOW, PER_CONTEXT), strict=True):
        assert one.window.tolist() == other.window.tolist()
        assert one.truth.tolist() == other.truth.tolist()


@pytest.mark.parametrize("split", ["select", "score"])
def test_the_pool_comes_with_its_tokens(opened: StoreReader, world: SimpleNamespace, split: Split) -> None:
    pool = read_pool(opened, WINDOW, PER_CONTEXT, split)
    order = opened.rows("SELECT context, window_start FROM pool WHERE split = $split ORDER BY pool", split=split)
    assert len(pool) == len(order) == {"select": 12, "score": 25}[split]
    assert {world.split[context] for context in pool.context} == {split}
    short = 0
    for i, row in enumerate(order):
        context, start = row["context"], row["window_start"]
        inside = min(WINDOW, int(world.length[context]) - start)
        short += inside < WINDOW
        assert pool.window[i] == context * PER_CONTEXT + start // WINDOW
        assert pool.context[i] == context
        assert pool.block[i] == world.block[context]
        assert pool.tokens[i, :inside].tolist() == world.tokens[context, start : start + inside].tolist()
        assert pool.scored[i].tolist() == world.scored[context, start : start + WINDOW].tolist()
        before = -1 if start == 0 else int(world.tokens[context, start - 1])
        assert pool.previous[i, 0] == before
        assert pool.previous[i, 1:inside].tolist() == pool.tokens[i, : inside - 1].tolist()
    assert (pool.tokens[~pool.scored & (pool.tokens != 0)] == 0).all()


def test_a_short_window_is_padded(store: Path) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE contexts SET tokens = tokens[:12], scored = scored[:12]")
    with open_reader(store) as reader:
        pool = read_pool(reader, WINDOW, PER_CONTEXT)
    second = pool.window % PER_CONTEXT == 1
    assert second.any()
    assert not pool.scored[second][:, 4:].any()
    assert (pool.tokens[second][:, 4:] == 0).all()


@pytest.mark.parametrize("split", ["select", "score"])
def test_pool_firing_is_csr_by_feature(opened: StoreReader, world: SimpleNamespace, split: Split) -> None:
    firing = read_pool_firing(opened, "sae", split)
    pool = opened.rows("SELECT context, window_start FROM pool WHERE split = $split ORDER BY pool", split=split)
    assert len(firing.start) == 7
    for feature in range(6):
        fires = [
            i
            for i, row in enumerate(pool)
            if world.truth["sae"][feature, row["context"], row["window_start"] : row["window_start"] + WINDOW].any()
        ]
        assert firing.pools[firing.start[feature] : firing.start[feature + 1]].tolist() == fires


@pytest.mark.parametrize("left", [0, 3, 50])
def test_exemplars_come_with_left_context(opened: StoreReader, world: SimpleNamespace, left: int) -> None:
    asked = [2, 0, 4]
    found = dict(zip(asked, read_exemplars(opened, "sae", asked, left), strict=True))
    assert found[4], "a dead feature has random windows"
    for feature, exemplars in found.items():
        rows = opened.rows(
            "SELECT stratum, rank, context, window_start, peak, max_activation FROM exemplars WHERE dictionary = 'sae' "
            "AND feature = $feature AND split = 'explain' ORDER BY stratum, rank",
            feature=feature,
        )
        assert [(e.stratum, e.rank, e.context, e.start) for e in exemplars] == [
            (row["stratum"], row["rank"], row["context"], row["window_start"]) for row in rows
        ]
        for exemplar, row in zip(exemplars, rows, strict=True):
            places = slice(exemplar.start, min(exemplar.start + WINDOW, int(world.length[exemplar.context])))
            assert exemplar.tokens.tolist() == world.tokens[exemplar.context, places].tolist()
            assert exemplar.scored.tolist() == world.scored[exemplar.context, places].tolist()
            assert exemplar.activations.tolist() == world.truth["sae"][feature, exemplar.context, places].tolist()
            assert exemplar.activations.max() == row["max_activation"]
            assert exemplar.start + exemplar.peak == row["peak"]
            before = world.tokens[exemplar.context, max(exemplar.start - left, 0) : exemplar.start]
            assert exemplar.before.tolist() == before.tolist()


def test_left_context_ends_where_a_dropped_window_does(store: Path, world: SimpleNamespace) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute(
            "UPDATE contexts SET scored = list_concat(scored[:4], [false, false], scored[7:]) WHERE split = 'explain'"
        )
    with open_reader(store) as reader:
        [exemplars] = read_exemplars(reader, "sae", [1], 16)
    later = [one for one in exemplars if one.start == WINDOW]
    assert later
    for one in later:
        assert one.before.tolist() == world.tokens[one.context, 6:8].tolist()


def test_features_keep_their_own_numbers_where_few_were_extracted(store: Path) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE dictionaries SET n_features = 10, n_selected = 2")
        connection.execute("DELETE FROM feature_tokens WHERE feature NOT IN (1, 3)")
        connection.execute("DELETE FROM pool_firing WHERE feature NOT IN (1, 3)")
    with open_reader(store) as reader:
        tokens, _ = read_gram_tables(reader, "sae")
        firing = read_pool_firing(reader, "sae")
    assert len(tokens.start) == len(firing.start) == 11
    assert [feature for feature in range(10) if entries(tokens, feature)] == [1, 3]
    assert np.flatnonzero(np.diff(firing.start)).tolist() == [1, 3]


def test_an_unknown_dictionary_gets_the_nearest_name(opened: StoreReader) -> None:
    for read in (read_gram_tables, read_pool_firing):
        with pytest.raises(StoreError, match=r'no dictionary "rndom"; the nearest is "random"'):
            read(opened, "rndom")


def test_the_writer_reads_the_same(built: tuple[Path, object], tmp_path: Path) -> None:
    path = Path(shutil.copy(built[0], tmp_path))
    with StoreWriter.open(path) as writer:
        through_writer = read_gram_tables(writer, "random")[1]
    with open_reader(path) as reader:
        through_reader = read_gram_tables(reader, "random")[1]
    assert through_writer.mass.tolist() == through_reader.mass.tolist()


@pytest.mark.parametrize(
    ("damage", "read"),
    [
        ("DELETE FROM vocab WHERE token = 3", read_vocab),
        ("DELETE FROM pool WHERE pool = 3", lambda store: read_pool(store, WINDOW, PER_CONTEXT)),
        ("DELETE FROM contexts WHERE split = 'score'", lambda store: read_pool(store, WINDOW, PER_CONTEXT)),
        ("DELETE FROM runs", window_length),
        (
            "DELETE FROM feature_splits",
            lambda store: list(read_feature_windows(store, "sae", [0], WINDOW, PER_CONTEXT)),
        ),
    ],
)
def test_what_is_not_whole_is_said(store: Path, damage: str, read: Callable[[StoreReader], object]) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute(damage)
    with open_reader(store) as reader, pytest.raises(StoreError):
        read(reader)
