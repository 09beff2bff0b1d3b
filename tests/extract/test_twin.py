"""Extraction against a dense brute-force twin, and against itself under other batch sizes and orders."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from autointerp.config import Evidence, Intervals, Quantiles
from autointerp.extract.exemplars import explain_exemplars, score_exemplars
from autointerp.extract.grams import gram_table
from autointerp.extract.passes import Selected, score_events, summarise
from autointerp.extract.statistics import linear_histogram, log_histogram
from autointerp.extract.summary import SCORE_POOL, Summary, pool_windows, window_key
from autointerp.hashing import hash01, stream_key
from autointerp.records import SPLITS
from autointerp.subject.tokens import TokenFile

SEED, TOP, SCORE_WINDOWS = 3, 4, 6
NAMES = ["standard", "jumprelu", "topk", "gated", "subset", "neurons", "random"]


def run(subject: Any, tokens: TokenFile, dictionaries: dict[str, Selected], contexts: np.ndarray) -> dict[str, Summary]:
    return summarise(
        subject,
        tokens,
        dictionaries,
        contexts,
        seed=SEED,
        top=TOP,
        score_windows=SCORE_WINDOWS,
        progress=lambda _: None,
    )


@pytest.fixture(scope="session")
def summaries(tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected]) -> dict[str, Summary]:
    return run(tiny_subject, token_file, dictionaries, np.arange(token_file.n_contexts))


def split_rows(tokens: TokenFile, index: int) -> np.ndarray:
    return np.flatnonzero(tokens.split == index)


def windows_of(tokens: TokenFile, acts: np.ndarray) -> np.ndarray:
    """[C, L] -> [C, windows, window]."""
    n = tokens.windows_per_context
    padded = np.zeros((len(acts), n * tokens.window), acts.dtype)
    padded[:, : acts.shape[1]] = acts
    return padded.reshape(len(acts), n, tokens.window)


@pytest.mark.parametrize("name", NAMES)
def test_statistics(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    statistics, acts = summaries[name].statistics, dense[name]
    assert (acts > 0).any(), "the twin must see something"
    for index in range(len(SPLITS)):
        mine = acts[split_rows(token_file, index)].reshape(-1, acts.shape[-1])
        # A pre-activation within rounding of the threshold may fall on either side; none does here.
        np.testing.assert_array_equal(statistics.n_firing[index], (mine > 0).sum(axis=0))
        np.testing.assert_allclose(statistics.total[index], mine.sum(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            statistics.total2[index], (mine.astype(np.float64) ** 2).sum(axis=0), rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(statistics.maximum[index], mine.max(axis=0), rtol=1e-4, atol=1e-6)
        in_windows = windows_of(token_file, np.moveaxis(acts, -1, 0).reshape(-1, acts.shape[1]))
        fires = (in_windows > 0).any(axis=2).reshape(acts.shape[-1], len(acts), -1)
        np.testing.assert_array_equal(
            statistics.n_firing_windows[index], fires[:, split_rows(token_file, index)].sum(axis=(1, 2))
        )


@pytest.mark.parametrize("name", ["standard", "topk"])
def test_histograms(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    mine = dense[name][split_rows(token_file, 0)].reshape(-1, dense[name].shape[-1])
    fine = summaries[name].statistics.histogram[0].numpy().astype(np.int64)
    maxima = summaries[name].statistics.maximum[0].numpy()
    for feature in np.flatnonzero(maxima > 0):
        values = mine[:, feature][mine[:, feature] > 0]
        linear, upper = linear_histogram(fine[feature], float(maxima[feature]))
        assert upper / 2 <= maxima[feature] < upper
        np.testing.assert_array_equal(linear, np.histogram(values, bins=16, range=(0, upper))[0])
        edges = 2.0 ** np.arange(-16, 17)
        np.testing.assert_array_equal(log_histogram(fine[feature]), np.histogram(values, edges)[0])


@pytest.mark.parametrize("name", NAMES)
def test_mass_by_token_and_pair(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    rows = split_rows(token_file, 0)
    acts, ids, before = dense[name][rows], np.asarray(token_file.tokens)[rows], token_file.previous(rows)
    v = summaries[name].plan.d_vocab
    for pairs, counter in ((False, summaries[name].tokens), (True, summaries[name].pairs)):
        truth: dict[tuple[int, int, int], list[float]] = defaultdict(list)
        for context, place, feature in zip(*np.nonzero(acts), strict=True):
            key = (feature, before[context, place] if pairs else -1, ids[context, place])
            truth[key].append(float(acts[context, place, feature]))
        start, gram, _, _ = counter.heaviest(10_000)
        table = gram_table(counter, 10_000, v, np.zeros(len(gram), np.int64), pairs=pairs)
        assert not table.mass_error.any()
        found = {}
        for feature in range(len(start) - 1):
            mine = slice(start[feature], start[feature + 1])
            assert (np.diff(table.mass[mine]) <= 0).all()
            for i in range(mine.start, mine.stop):
                found[(feature, table.previous[i], table.token[i])] = (table.mass[i], table.n_firing[i])
        assert found.keys() == truth.keys()
        for key, values in truth.items():
            assert found[key][1] == len(values)
            assert found[key][0] == pytest.approx(sum(values), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_top_exemplars(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    acts = dense[name]
    heavy = heaviest(summaries[name])
    parts = explain_exemplars(summaries[name], token_file, heavy, Evidence(top=TOP), np.arange(acts.shape[-1]))
    top = next(part for part in parts if part.stratum[0] == "top")
    rows = split_rows(token_file, 0)
    starts = np.cumsum(top.length) - top.length
    for feature in np.unique(top.feature):
        mine = np.flatnonzero(top.feature == feature)
        per_context = acts[rows, :, feature].max(axis=1)
        expected = np.sort(per_context[per_context > 0])[::-1][:TOP]
        found = [top.value[starts[i] : starts[i] + top.length[i]].max() for i in mine]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        contexts = top.window[mine] // token_file.windows_per_context
        assert len(set(contexts)) == len(contexts), "one window a context"
        np.testing.assert_array_equal(top.rank[mine], np.arange(len(mine)))
    check_activations(top, acts, token_file)


def heaviest(summary: Summary) -> Any:
    gram = summary.tokens.heaviest(256)[1]
    return gram_table(summary.tokens, 256, summary.plan.d_vocab, np.zeros(len(gram), np.int64), pairs=False)


def check_activations(part: Any, acts: np.ndarray, tokens: TokenFile) -> None:
    """The stored activations are all the non-zero ones of the window."""
    starts = np.cumsum(part.length) - part.length
    for i, window in enumerate(part.window):
        context, first = window // tokens.windows_per_context, window % tokens.windows_per_context * tokens.window
        truth = acts[context, first : first + tokens.window, part.feature[i]]
        mine = slice(starts[i], starts[i] + part.length[i])
        np.testing.assert_array_equal(part.place[mine] - first, np.flatnonzero(truth))
        np.testing.assert_allclose(part.value[mine], truth[truth > 0], rtol=1e-4)


@pytest.mark.parametrize("name", ["standard", "topk", "neurons", "subset"])
def test_other_strata(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    acts = dense[name]
    evidence = Evidence(
        top=TOP, quantiles=Quantiles(n=4, each=3), intervals=Intervals(n=5, each=2), random=6, near_miss=5
    )
    heavy = heaviest(summaries[name])
    features = np.unique(np.nonzero(acts)[2])
    parts = explain_exemplars(summaries[name], token_file, heavy, evidence, features)
    rows = set(split_rows(token_file, 0))
    by_stratum: dict[str, list[tuple[Any, int]]] = defaultdict(list)
    for part in parts:
        check_activations(part, acts, token_file)
        for i, stratum in enumerate(part.stratum):
            by_stratum[stratum].append((part, i))
            assert part.window[i] // token_file.windows_per_context in rows, "explain split only"
            assert 0 < part.probability[i] <= 1
    assert {"top", "random", "near_miss", "quantile_00", "quantile_03", "interval_04"} <= by_stratum.keys()
    explain = acts[sorted(rows)]
    for stratum, members in by_stratum.items():
        for part, i in members:
            feature = part.feature[i]
            context = part.window[i] // token_file.windows_per_context
            peak = acts[context, part.peak[i], feature]
            values = np.sort(explain[:, :, feature][explain[:, :, feature] > 0])
            if stratum.startswith("interval"):
                assert part.low[i] - 1e-4 <= peak <= part.high[i] + 1e-4
            if stratum.startswith("quantile") and len(values) <= 32:  # the reservoirs hold all: quantiles are exact
                bucket = int(stratum[-2:])
                ranks = np.flatnonzero(np.isclose(values, peak, rtol=1e-5))  # equal activations share theirs
                assert (np.abs((ranks + 0.5) / len(values) * 4 - bucket - 0.5) <= 0.5 + 1e-9).any()
            if stratum == "near_miss":
                assert part.length[i] == 0
                first = part.window[i] % token_file.windows_per_context * token_file.window
                ids = token_file.tokens[context, first : first + token_file.window]
                listed = heavy.token[heavy.start[feature] : heavy.start[feature + 1]][:20]
                assert set(ids) & set(listed)
                assert token_file.tokens[context, part.peak[i]] in listed
                assert first <= part.peak[i] < first + token_file.window


@pytest.mark.parametrize("name", NAMES)
def test_score_windows(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    acts, summary = dense[name], summaries[name]
    rows = split_rows(token_file, 2)
    parts = {part.stratum[0]: part for part in score_exemplars(summary)}
    for part in parts.values():
        check_activations(part, acts, token_file)
    pool = pool_windows(token_file, "score", SEED, SCORE_POOL)
    start, numbers = summary.pool_firing()
    for feature in range(acts.shape[-1]):
        maxima = windows_of(token_file, acts[rows, :, feature]).max(axis=2)
        number = rows[:, None] * token_file.windows_per_context + np.arange(token_file.windows_per_context)
        firing = number[maxima > 0]
        top = firing[np.lexsort([firing, -maxima[maxima > 0]])][:20]
        mine = parts["T"].window[parts["T"].feature == feature]
        np.testing.assert_array_equal(np.sort(mine), np.sort(top))
        u = hash01(window_key(SEED), feature, firing)
        reservoir = firing[np.argsort(u)][:SCORE_WINDOWS]
        expected = [window for window in reservoir if window not in set(top)]
        found = parts["F"].window[parts["F"].feature == feature] if "F" in parts else []
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(pool[numbers[start[feature] : start[feature + 1]]], np.intersect1d(pool, firing))


def test_pool_is_the_smallest_hashes(token_file: TokenFile) -> None:
    windows = token_file.scored_windows("score")
    u = hash01(stream_key(SEED, "pool"), windows)
    np.testing.assert_array_equal(pool_windows(token_file, "score", SEED, 10), np.sort(windows[np.argsort(u)][:10]))


@pytest.mark.parametrize("parts", [2, 5])
def test_same_rows_whatever_the_shards_and_their_order(
    parts: int, tiny_subject: Any, token_file: TokenFile, dictionaries: Any, summaries: dict[str, Summary]
) -> None:
    rng = np.random.default_rng(parts)
    inner = rng.permutation(np.arange(token_file.n_contexts))
    shards = np.array_split(inner, parts)  # ragged: shards cut through inner batches
    merged: dict[str, Summary] | None = None
    for shard in shards:
        more = run(tiny_subject, token_file, dictionaries, shard)
        if merged is None:
            merged = more
        else:
            for name, summary in merged.items():
                summary.merge(more[name])
    assert merged is not None
    for name, summary in merged.items():
        whole = summaries[name]
        for field in ("n_firing", "n_firing_windows", "maximum", "histogram"):
            np.testing.assert_array_equal(getattr(summary.statistics, field), getattr(whole.statistics, field))
        np.testing.assert_allclose(summary.statistics.total, whole.statistics.total, rtol=1e-9)
        np.testing.assert_allclose(summary.statistics.total2, whole.statistics.total2, rtol=1e-9)
        features = np.arange(summary.plan.n_features)
        for mine, theirs in zip(
            [
                *explain_exemplars(summary, token_file, heaviest(summary), Evidence(top=TOP), features),
                *score_exemplars(summary),
            ],
            [
                *explain_exemplars(whole, token_file, heaviest(whole), Evidence(top=TOP), features),
                *score_exemplars(whole),
            ],
            strict=True,
        ):
            assert mine.stratum == theirs.stratum
            for column in ("feature", "rank", "window", "peak", "length", "place", "value", "u"):
                np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))
            np.testing.assert_allclose(mine.probability, theirs.probability, rtol=1e-9)
        for mine, theirs in zip(summary.pool_firing(), whole.pool_firing(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_pass_2_yields_every_activation(
    tiny_subject: Any, token_file: TokenFile, dictionaries: Any, dense: Any
) -> None:
    found = {name: np.zeros_like(acts) for name, acts in dense.items()}
    for name, batch in score_events(tiny_subject, token_file, dictionaries, lambda _: None):
        assert not found[name][batch.context, batch.position, batch.feature].any(), "each once"
        found[name][batch.context, batch.position, batch.feature] = batch.value
        np.testing.assert_array_equal(batch.token, token_file.tokens[batch.context, batch.position])
    for name, acts in dense.items():
        rows = split_rows(token_file, 2)
        np.testing.assert_allclose(found[name][rows], acts[rows], rtol=1e-4, atol=1e-6)
        assert not found[name][np.setdiff1d(np.arange(len(acts)), rows)].any()
