"""Extraction against a dense brute-force twin, and against itself under other batch sizes and orders."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.config.evidence import EvidenceSection, IntervalsSection, QuantilesSection
from autointerp.extract.engines.whole import KeptPerFeature, summarise
from autointerp.extract.exemplar_rows import Exemplars
from autointerp.extract.exemplars import explain_exemplars, held_out_exemplars
from autointerp.extract.near_misses import LEAST_SHARE
from autointerp.extract.pass_two import score_events
from autointerp.extract.selected import Selected
from autointerp.extract.summary.events import centred
from autointerp.extract.summary.grams import pair_table, token_table
from autointerp.extract.summary.statistics import linear_histograms, log_histogram
from autointerp.extract.summary.summary import SCORE_POOL, SELECT_POOL, SPARE, Summary, pool_windows, window_key
from autointerp.extract.thinning import PHRASE
from autointerp.hashing import hash01, stream_key
from autointerp.records import SPLITS, Split
from autointerp.subject.tokens import DROPPED, VALID, TokenFile

SEED, TOP, SCORE_WINDOWS, SELECT_WINDOWS, LEFT = 3, 4, 6, 5, 4
NAMES = ["standard", "jumprelu", "topk", "gated", "subset", "neurons", "random"]


def run(subject: Any, tokens: TokenFile, dictionaries: dict[str, Selected], contexts: np.ndarray) -> dict[str, Summary]:
    return summarise(
        subject,
        tokens,
        dictionaries,
        contexts,
        seed=SEED,
        kept=KeptPerFeature(top=TOP, score_windows=SCORE_WINDOWS, select_windows=SELECT_WINDOWS, left=LEFT),
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


@pytest.mark.parametrize("name", NAMES)
def test_firings_by_place(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    place = np.arange(token_file.context_length) * 16 // token_file.context_length
    for index, split in enumerate(SPLITS):
        fires = (dense[name][split_rows(token_file, index)] > 0).sum(axis=0)
        expected = np.stack([fires[place == bin].sum(axis=0) for bin in range(16)], axis=1)
        np.testing.assert_array_equal(summaries[name].statistics.positions[index], expected)
        scored = token_file.scored(split_rows(token_file, index)).sum(axis=0)
        counts = [scored[place == bin].sum() for bin in range(16)]
        np.testing.assert_array_equal(token_file.position_counts(split, 16), counts)


@pytest.mark.parametrize("name", ["standard", "topk"])
def test_histograms(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    mine = dense[name][split_rows(token_file, 0)].reshape(-1, dense[name].shape[-1])
    fine = summaries[name].statistics.histogram[0].numpy().astype(np.int64)
    maxima = summaries[name].statistics.maximum[0].numpy()
    linear, uppers = linear_histograms(fine, maxima.astype(np.float64))
    for feature in np.flatnonzero(maxima > 0):
        values = mine[:, feature][mine[:, feature] > 0]
        upper = uppers[feature]
        assert upper / 2 <= maxima[feature] < upper
        np.testing.assert_array_equal(linear[feature], np.histogram(values, bins=16, range=(0, upper))[0])
        edges = 2.0 ** np.arange(-16, 17)
        np.testing.assert_array_equal(log_histogram(fine[feature]), np.histogram(values, edges)[0])


@pytest.mark.parametrize("name", NAMES)
def test_mass_by_token_and_pair(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    rows = split_rows(token_file, 0)
    acts, ids, before = dense[name][rows], np.asarray(token_file.tokens)[rows], token_file.previous(rows)
    v = summaries[name].plan.d_vocab
    summary = summaries[name]
    level = summary.pair_level.numpy()
    for pairs, table in (
        (False, token_table(summary.tokens, summary.frequent, 10_000)),
        (True, pair_table(summary.pairs, level, 10_000, v)),
    ):
        truth: dict[tuple[int, int, int], list[float]] = defaultdict(list)
        for context, place, feature in zip(*np.nonzero(acts), strict=True):
            key = (feature, before[context, place] if pairs else -1, ids[context, place])
            truth[key].append(float(acts[context, place, feature]))
        start = table.start
        assert not table.mass_error.any()
        entries = {}
        for feature in range(len(start) - 1):
            mine = slice(start[feature], start[feature + 1])
            assert (np.diff(table.mass[mine]) <= 0).all()
            for i in range(mine.start, mine.stop):
                entries[(feature, table.previous[i], table.token[i])] = (table.mass[i], table.n_firing[i])
        assert entries.keys() == truth.keys()
        for key, values in truth.items():
            assert entries[key][1] == len(values)
            assert entries[key][0] == pytest.approx(sum(values), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_top_exemplars(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    acts = dense[name]
    heavy = heaviest(summaries[name])
    parts = explain_exemplars(summaries[name], token_file, heavy, EvidenceSection(top=TOP), np.arange(acts.shape[-1]))
    top = next(part for part in parts if part.stratum[0] == "top")
    rows = split_rows(token_file, 0)
    starts = np.cumsum(top.length) - top.length
    for feature in np.unique(top.feature):
        mine = np.flatnonzero(top.feature == feature)
        best = {context: float(acts[context, :, feature].max()) for context in rows}
        strongest = sorted((c for c in best if best[c] > 0), key=lambda c: -best[c])[: SPARE * TOP]
        expected = sorted((best[c] for c in unlike(token_file, acts[:, :, feature], strongest)), reverse=True)
        found = [top.value[starts[i] : starts[i] + top.length[i]].max() for i in mine]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        contexts = top.window[mine] // token_file.windows_per_context
        assert len(set(contexts)) == len(contexts), "one window a context"
        np.testing.assert_array_equal(top.rank[mine], np.arange(len(mine)))
    check_activations(top, acts, token_file)


def unlike(tokens: TokenFile, acts: np.ndarray, contexts: list[int]) -> list[int]:
    """TOP of these contexts: no phrase twice, one of each document, then the second ones, and so on."""
    phrases: set[tuple[int, ...]] = set()
    by_document: dict[int, list[int]] = defaultdict(list)
    for context in contexts:
        peak = int(acts[context].argmax())
        phrase = tuple(tokens.tokens[context, max(0, peak - PHRASE + 1) : peak + 1].tolist())
        if phrase not in phrases:
            phrases.add(phrase)
            by_document[int(tokens.document[context])].append(context)
    rounds = [[some[turn] for some in by_document.values() if len(some) > turn] for turn in range(len(contexts))]
    return [context for some in rounds for context in sorted(some, key=contexts.index)][:TOP]


def usual(heavy: Any, feature: int) -> list[int]:
    """The tokens that a near miss may be of."""
    own = slice(heavy.start[feature], heavy.start[feature + 1])
    least = LEAST_SHARE * heavy.mass[own].sum()
    listed = zip(heavy.token[own].tolist(), heavy.mass[own].tolist(), strict=True)
    return [token for i, (token, mass) in enumerate(listed) if i < 3 or (i < 20 and mass >= least)]


def heaviest(summary: Summary) -> Any:
    return token_table(summary.tokens, summary.frequent, 256)


def span(tokens: TokenFile, context: int, peak: int) -> tuple[int, int]:
    """What is shown around a peak: found by growing from it, leftwards first, then rightwards, then left again."""
    marks = np.asarray(tokens.marks[context])
    dropped = {p // tokens.window for p in np.flatnonzero(marks & DROPPED)}
    hidden = {p for p in range(tokens.context_length) if p // tokens.window in dropped or not marks[p] & VALID}
    start, end = peak, peak + 1

    def grow_left(most: int) -> None:
        nonlocal start
        while peak - start < most and end - start < tokens.window and start > 0 and start - 1 not in hidden:
            start -= 1

    grow_left(LEFT)
    while end - start < tokens.window and end < tokens.context_length and end not in hidden:
        end += 1
    grow_left(tokens.window)
    return start, end - start


def check_activations(part: Exemplars, acts: np.ndarray, tokens: TokenFile) -> None:
    """What is shown is the window, or the span around the peak; the activations are all the non-zero ones there."""
    starts = np.cumsum(part.length) - part.length
    for i, window in enumerate(part.window):
        context, first = window // tokens.windows_per_context, window % tokens.windows_per_context * tokens.window
        n_tokens = min(tokens.window, int((tokens.marks[context] > 0).sum()) - first)
        assert first <= part.peak[i] < first + n_tokens, "the peak is in the window that was drawn"
        if part.stratum[i] not in ("random", "T", "F"):
            first, n_tokens = span(tokens, context, int(part.peak[i]))
        assert (part.start[i], part.n_tokens[i]) == (first, n_tokens)
        truth = acts[context, first : first + n_tokens, part.feature[i]]
        mine = slice(starts[i], starts[i] + part.length[i])
        np.testing.assert_array_equal(part.place[mine] - first, np.flatnonzero(truth))
        np.testing.assert_allclose(part.value[mine], truth[truth > 0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["standard", "topk", "neurons", "subset"])
def test_other_strata(name: str, summaries: dict[str, Summary], dense: Any, token_file: TokenFile) -> None:
    acts = dense[name]
    evidence = EvidenceSection(
        top=TOP, quantiles=QuantilesSection(n=4, each=3), intervals=IntervalsSection(n=5, each=2), random=6, near_miss=5
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
                assert part.length[i] == 0, "silent in all that is shown"
                first = part.window[i] % token_file.windows_per_context * token_file.window
                ids = token_file.tokens[context, first : first + token_file.window]
                listed = usual(heavy, feature)
                assert set(ids) & set(listed)
                assert token_file.tokens[context, part.peak[i]] in listed
                assert first <= part.peak[i] < first + token_file.window


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("split", "n_top", "n_firing", "n_pool"),
    [("select", 10, SELECT_WINDOWS, SELECT_POOL), ("score", 20, SCORE_WINDOWS, SCORE_POOL)],
)
def test_held_out_windows(
    name: str,
    split: Split,
    n_top: int,
    n_firing: int,
    n_pool: int,
    summaries: dict[str, Summary],
    dense: Any,
    token_file: TokenFile,
) -> None:
    acts, summary = dense[name], summaries[name]
    rows = split_rows(token_file, SPLITS.index(split))
    parts = {part.stratum[0]: part for part in held_out_exemplars(summary, token_file, split)}
    for part in parts.values():
        check_activations(part, acts, token_file)
        assert part.split == split
    pool = pool_windows(token_file, split, SEED, n_pool)
    start, numbers = pool_firing(summary, split)
    for feature in range(acts.shape[-1]):
        maxima = windows_of(token_file, acts[rows, :, feature]).max(axis=2)
        number = rows[:, None] * token_file.windows_per_context + np.arange(token_file.windows_per_context)
        firing = number[maxima > 0]
        top = firing[np.lexsort([firing, -maxima[maxima > 0]])][:n_top]
        mine = parts["T"].window[parts["T"].feature == feature]
        np.testing.assert_array_equal(np.sort(mine), np.sort(top))
        u = hash01(window_key(SEED), feature, firing)
        reservoir = firing[np.argsort(u)][:n_firing]
        expected = [window for window in reservoir if window not in set(top)]
        found = parts["F"].window[parts["F"].feature == feature] if "F" in parts else []
        np.testing.assert_array_equal(found, expected)
        if expected:
            share = parts["F"].probability[parts["F"].feature == feature]
            np.testing.assert_allclose(share, len(expected) / (len(firing) - len(top)))
        np.testing.assert_array_equal(pool[numbers[start[feature] : start[feature + 1]]], np.intersect1d(pool, firing))


def pool_firing(summary: Summary, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """CSR: the windows of a split's pool in which each feature fires."""
    pool = summary.select_pool if split == "select" else summary.score_pool
    [(_, fires)] = pool.portions(np.arange(summary.plan.n_features))
    return np.concatenate([[0], np.cumsum(fires.sum(axis=1))]), fires.nonzero()[1]


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
        for field in ("n_firing", "n_firing_windows", "maximum", "histogram", "positions"):
            np.testing.assert_array_equal(getattr(summary.statistics, field), getattr(whole.statistics, field))
        np.testing.assert_allclose(summary.statistics.total, whole.statistics.total, rtol=1e-9)
        np.testing.assert_allclose(summary.statistics.total2, whole.statistics.total2, rtol=1e-9)
        features = np.arange(summary.plan.n_features)
        for mine, theirs in zip(
            [
                *explain_exemplars(summary, token_file, heaviest(summary), EvidenceSection(top=TOP), features),
                *held_out_exemplars(summary, token_file, "select"),
                *held_out_exemplars(summary, token_file, "score"),
            ],
            [
                *explain_exemplars(whole, token_file, heaviest(whole), EvidenceSection(top=TOP), features),
                *held_out_exemplars(whole, token_file, "select"),
                *held_out_exemplars(whole, token_file, "score"),
            ],
            strict=True,
        ):
            assert mine.stratum == theirs.stratum
            for column in ("feature", "rank", "window", "start", "n_tokens", "peak", "length", "place", "value", "u"):
                np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))
            np.testing.assert_allclose(mine.probability, theirs.probability, rtol=1e-9)
        for split in ("select", "score"):
            for one_side, other in zip(pool_firing(summary, split), pool_firing(whole, split), strict=True):
                np.testing.assert_array_equal(one_side, other)


def test_pass_2_yields_every_activation(
    tiny_subject: Any, token_file: TokenFile, dictionaries: Any, dense: Any
) -> None:
    gathered = {name: np.zeros_like(acts) for name, acts in dense.items()}
    for name, batch in score_events(tiny_subject, token_file, dictionaries, lambda _: None):
        assert not gathered[name][batch.context, batch.position, batch.feature].any(), "each once"
        gathered[name][batch.context, batch.position, batch.feature] = batch.value
        np.testing.assert_array_equal(batch.token, token_file.tokens[batch.context, batch.position])
    for name, acts in dense.items():
        rows = split_rows(token_file, 2)
        np.testing.assert_allclose(gathered[name][rows], acts[rows], rtol=1e-4, atol=1e-6)
        assert not gathered[name][np.setdiff1d(np.arange(len(acts)), rows)].any()


def test_near_misses_are_all_the_silent_spans_around_heavy_tokens(
    summaries: dict[str, Summary], dense: Any, token_file: TokenFile
) -> None:
    acts, summary = dense["standard"], summaries["standard"]
    heavy = heaviest(summary)
    per_context = token_file.windows_per_context
    pool = pool_windows(token_file, "explain", SEED, 2_000)
    features = np.unique(np.nonzero(acts)[2])
    shown: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for part in explain_exemplars(summary, token_file, heavy, EvidenceSection(top=TOP, near_miss=1000), features):
        for i, stratum in enumerate(part.stratum):
            if stratum == "near_miss":
                shown[int(part.feature[i])].add((int(part.window[i]), int(part.peak[i])))
    crossing = 0
    for feature in features:
        listed = usual(heavy, feature)
        expected = set()
        for window in pool.tolist():
            context, first = window // per_context, window % per_context * token_file.window
            places = np.arange(first, min(first + token_file.window, token_file.context_length))
            held = [
                (listed.index(token), place)
                for place in places[token_file.scored([context])[0, places]].tolist()
                if (token := int(token_file.tokens[context, place])) in listed
            ]
            if held and not acts[context, places, feature].any():
                peak = min(held)[1]
                start, length = span(token_file, context, peak)
                silent = not acts[context, windows_touched(start, length, token_file.window), feature].any()
                crossing += not silent
                if silent:
                    expected.add((window, peak))
        assert shown[int(feature)] == expected
    assert crossing, "spans that reach into a window where the feature fires must occur"


def windows_touched(start: int, length: int, window: int) -> np.ndarray:
    """All places of the windows that a span reaches into."""
    return np.arange(start // window * window, min(-(-(start + length) // window) * window, 24))


def test_without_a_select_split_all_else_stays(
    tiny_subject: Any, tokens_npy: Any, dictionaries: Any, tmp_path: Any
) -> None:
    from autointerp.subject.tokenise import TokenPlan, open_tokens

    plan = TokenPlan(
        source=f"npy:{tokens_npy}",
        context_length=24,
        n_tokens=None,
        allow_fewer=False,
        bos=None,
        special=tiny_subject.special,
        d_vocab=tiny_subject.d_vocab,
        window=7,
        shares=(0.7, 0.0, 0.3),
        tokenizer="",
    )
    tokens = open_tokens(tmp_path, plan, None, lambda _: None)
    summary = run(tiny_subject, tokens, {"topk": dictionaries["topk"]}, np.arange(tokens.n_contexts))["topk"]
    assert not list(held_out_exemplars(summary, tokens, "select"))
    assert list(held_out_exemplars(summary, tokens, "score"))
    start, numbers = pool_firing(summary, "select")
    assert not start.any()
    assert len(numbers) == 0


def test_spans_stop_at_dropped_windows_and_at_the_contexts_ends(token_file: TokenFile) -> None:
    """On marks made up for it: a dropped window in the middle, special tokens, padding at the end."""
    tokens = copy.copy(token_file)
    tokens.__dict__.pop("_lengths", None)
    tokens.marks = np.full((3, 24), VALID, np.uint8)
    tokens.n_contexts = 3
    tokens.marks[:, 0] |= 2
    tokens.marks[1, 7:14] |= DROPPED
    tokens.marks[2, 17:] = 0
    first, stop = tokens.shown_runs(np.arange(3))
    np.testing.assert_array_equal(tokens.n_valid, [24, 24, 17])
    np.testing.assert_array_equal(tokens.has_dropped, [False, True, False])
    cut_short = 0
    for context in range(3):
        for place in range(24):
            here, low, high = (torch.tensor([value]) for value in (place, first[context, place], stop[context, place]))
            start, end = (int(side) for side in centred(here, low, high, LEFT, 7))
            if tokens.marks[context, place] & VALID and not (context == 1 and 7 <= place < 14):
                assert (start, end - start) == span(tokens, context, place)
                cut_short += end - start < 7
            else:
                assert start == end
    assert not cut_short  # every stretch here holds a whole span
    tokens.marks[1, 21:] |= DROPPED
    tokens.marks[1, 14:16] = 0
    first, stop = tokens.shown_runs([1])
    assert (first[0, 18], stop[0, 18]) == (16, 21) == (16, sum(span(tokens, 1, 18)))
