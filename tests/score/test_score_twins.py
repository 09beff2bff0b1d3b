"""What is computed once for many explanations, or for all tokens at once, is what it says of each by itself."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from autointerp.explain.lookup import EMPTY, Entries
from autointerp.explain.token_text import kind_of
from autointerp.pipeline.rows.score_rows import score_columns
from autointerp.records import ANY_TOKEN, Score, Windows
from autointerp.score import gram_index, metrics
from autointerp.score.bills import BillsSample, bills_tokens
from autointerp.score.cheap_moments import CheapMoments
from autointerp.score.gram_index import LookedUpWindows
from autointerp.score.metric import InTwoSteps, Measured, MeasuredColumns, Metric, each
from autointerp.score.pool import Pool
from autointerp.score.published import IntervalSample, choose_intervals
from autointerp.score.sampled import look_up
from autointerp.score.scorers.silent_windows import Silent, TokenTraits
from autointerp.score.scorers.text_likeness import likeness
from autointerp.score.scorers.vocabulary import plain_text
from autointerp.score.scores import Subjects, score_rows
from autointerp.score.side_by_side import FeatureRows

S, L, V = 40, 16, 30


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def windows_of(rng: np.random.Generator) -> Windows:
    number = np.arange(S)
    tokens = rng.integers(0, V, (S, L)).astype(np.int32)
    previous = np.concatenate([rng.integers(-1, V, (S, 1)), tokens[:, :-1]], axis=1).astype(np.int32)
    return Windows(number, number, number.astype(np.int32), tokens, previous, rng.random((S, L)) < 0.8)


def entries_of(rng: np.random.Generator, n: int, pairs: float) -> Entries:
    """Tokens and pairs of tokens, in any order, each once."""
    grams = [(ANY_TOKEN, token) for token in range(V)] + list(itertools.product(range(V), range(V)))
    share = np.array([(1 - pairs) / V] * V + [pairs / V**2] * V**2)
    chosen = rng.choice(len(grams), size=n, replace=False, p=share)
    previous, token = np.array([grams[i] for i in chosen], dtype=np.int32).reshape(-1, 2).T
    return Entries(previous, token, rng.random(n).astype(np.float32) + 1, rng.random(n).astype(np.float32))


def test_lookups_read_off_an_index_of_the_windows(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many features at once, each with a lookup of its own; all together, and some after the others."""
    sizes = [(0, 0.5), (1, 0.0), (12, 0.5), (300, 0.95)]
    windows = {feature: windows_of(rng) for feature in range(len(sizes) + 1)}
    entries = {feature: entries_of(rng, *size) for feature, size in enumerate(sizes)}
    beyond = Entries(*(np.array([x], t) for x, t in ((ANY_TOKEN, "i4"), (V + 9, "i4"), (1, "f4"), (1, "f4"))))
    for most in (len(windows), 2):
        monkeypatch.setattr(gram_index, "KEPT", most)
        index = LookedUpWindows(windows)
        for lookups in (entries, entries | {1: beyond}):
            looked_up = index.look_up(lookups)
            assert list(looked_up) == list(windows)
            for feature, of in windows.items():
                for made, expected in zip(looked_up[feature], look_up(lookups.get(feature, EMPTY), of), strict=True):
                    np.testing.assert_array_equal(made, expected)
            assert (looked_up[3][0] != 0).any()
            assert not looked_up[4][0].any()


@pytest.mark.parametrize("weights", [None, "some", "whole"])
def test_a_truth_ranked_once(weights: str | None, rng: np.random.Generator) -> None:
    truth = np.maximum(rng.standard_normal(400), 0).round(1)
    w = {None: None, "some": rng.integers(0, 4, 400).astype(float), "whole": rng.integers(0, 2, 400).astype(float)}
    ranked = metrics.RankedTruth(truth, w[weights])
    for spread in (0.0, 0.3, 3.0):
        prediction = (truth * (rng.random(400) < 0.5) + spread * rng.standard_normal(400)).round(1)
        count = np.ones(400, dtype=int) if w[weights] is None else w[weights].astype(int)  # type: ignore[union-attr]
        expected = stats.spearmanr(np.repeat(truth, count), np.repeat(prediction, count)).statistic
        assert ranked.spearman(prediction).value == pytest.approx(expected, abs=1e-12)
        assert ranked.spearman(prediction) == metrics.spearman(truth, prediction, w[weights])
    assert ranked.spearman(np.ones(400)).status == "constant"


def test_one_correlation_is_that_of_many(rng: np.random.Generator) -> None:
    """`pearson_value` computes with numbers, `pearson` with arrays."""
    for a, b, c in itertools.product((0, 1, 1e-9), (0, 1, 1e-9), (0, 7)):
        for n in (0, 1, 9):
            t, p = rng.random(n) * a, rng.random(n) * b + c
            sums = metrics.moments(t, p)
            found, status = metrics.pearson_value(t, p), str(metrics.pearson_status(sums))
            assert found.status == status
            assert found.value == (None if status == "rare" else float(metrics.pearson(sums)))


def test_weights_of_one_are_no_weights(rng: np.random.Generator) -> None:
    t, p = rng.random((3, 50)), rng.random((3, 50))
    np.testing.assert_array_equal(metrics.moments(t, p), metrics.moments(t, p, np.ones(50)))


def test_the_windows_of_bills_for_many_predictions(rng: np.random.Generator) -> None:
    truth, scored = np.maximum(rng.standard_normal((S, L)), 0), rng.random((S, L)) < 0.8
    chosen, fitted = np.array([3, 1, 8, 20]), np.array([5, 30, 31])
    sample = BillsSample(truth, scored, chosen, fitted, 2)
    whole = rng.random((S, L)).astype(np.float32)
    lost = whole.copy()
    lost[[1, 31], :] = np.nan
    for prediction in (whole, lost, whole):
        rows = [i for i in chosen if not (np.isnan(prediction[i]) & scored[i]).any()]
        found, alone = sample.tokens(prediction), bills_tokens(truth, prediction, scored, chosen, fitted, 2)
        for of in (found, alone):
            np.testing.assert_array_equal(of.truth, np.concatenate([truth[i][scored[i]] for i in rows]))
            np.testing.assert_array_equal(
                of.predicted["none"], np.concatenate([prediction[i][scored[i]] for i in rows]).astype(np.float64)
            )
            assert (of.windows.tolist(), of.n_failed, of.n_missing) == (rows, len(chosen) - len(rows), 2)
        for calibrated in ("linear", "percentile"):
            np.testing.assert_array_equal(found.predicted[calibrated], alone.predicted[calibrated])


def test_the_windows_of_bricken_for_many_predictions(rng: np.random.Generator) -> None:
    truth, mask = np.maximum(rng.standard_normal((S, L)), 0), rng.random((S, L)) < 0.8
    marks = [rng.random(S) < 0.4 for _ in range(3)]
    chosen = choose_intervals(marks[0], rng.integers(-1, 12, S), marks[1], marks[2], rng.random(S))
    weights = {name: 1 + number % 3 for number, name in enumerate(dict.fromkeys(chosen.stratum.tolist()))}
    for by_stratum in (None, weights):
        sample = IntervalSample(chosen, truth, mask, by_stratum)
        for lost in (0, 2):
            prediction = rng.random((S, L)).round(1)
            prediction[chosen.index[:lost]] = np.nan
            left = chosen.index[lost:]
            w = np.array([1 if by_stratum is None else by_stratum[name] for name in chosen.stratum[lost:]])
            count = (mask[left] * w[:, None]).ravel()
            t, p = (np.repeat(values[left].ravel(), count) for values in (truth, np.nan_to_num(prediction)))
            score = sample.score(prediction)
            assert score.value == pytest.approx(stats.spearmanr(t, p).statistic, abs=1e-12)
            assert (score.n, score.n_failed) == (len(left), lost)


def test_cheap_simulators_share_what_they_have_in_common(rng: np.random.Generator) -> None:
    """To the bit: how windows are shared out hangs on these sums."""
    kept, pool = windows_of(rng), Pool(windows_of(rng))
    truth = np.where(rng.random((S, L)) < 0.2, rng.random((S, L)), 0.0).astype(np.float32)
    silent = np.flatnonzero(rng.random(S) < 0.6)
    shared = CheapMoments(SimpleNamespace(kept=kept, truth=truth, pool=pool), silent)  # type: ignore[arg-type]
    for n, pairs in ((1, 0.0), (12, 0.5), (300, 0.95)):
        entries = entries_of(rng, n, pairs)
        p, p2 = pool.predicted(entries)
        fired = metrics.moments(truth, look_up(entries, kept)[0], kept.scored)
        rest = np.zeros((len(silent), 6))
        rest[:, [0, 2, 4]] = np.stack([pool.n_scored[silent], p[silent], p2[silent]], axis=1)
        assert np.array_equal(shared.of(entries, p, p2), np.concatenate([fired, rest]))
        assert (fired[:, 2] > 0).any()


def test_sums_by_feature_and_number_are_those_of_each_cell(rng: np.random.Generator) -> None:
    rows = FeatureRows([5, 0, 40, 1])
    values, number = rng.random(46), rng.integers(0, 3, 46)
    made = rows.sums_by(number, 3, values)
    assert made.tolist() == [
        [float(np.add.accumulate([0.0, *values[(rows.of == row) & (number == cell)]])[-1]) for cell in range(3)]
        for row in range(4)
    ]


def slow_likeness(token: str, named: list[str]) -> float:
    """One pair of tokens after the other."""

    def pairs(text: str) -> set[str]:
        plain = f"^{plain_text(text)}$"
        return {plain[i : i + 2] for i in range(len(plain) - 1)}

    best = 0.0
    for other in named:
        alike = 0.2 * (kind_of(token) is not None and kind_of(token) == kind_of(other))
        common = len(pairs(token) & pairs(other))
        share = common / len(pairs(token) | pairs(other)) if common else 0.0
        best = max(best, share + alike)
    return best


def test_likeness_of_many_tokens_to_many(rng: np.random.Generator) -> None:
    letters = list("abcAB 12().,_\n é")
    texts = ["".join(rng.choice(letters, rng.integers(0, 8))) for _ in range(200)]
    for n in (0, 1, 2, 25):
        named = list(dict.fromkeys(texts[:n]))
        found = likeness(texts, named)
        assert found.tolist() == pytest.approx([slow_likeness(token, named) for token in texts], abs=1e-12)
    assert likeness([], ["a"]).shape == (0,)


def test_partners_are_those_that_a_look_at_all_windows_finds(rng: np.random.Generator) -> None:
    windows = windows_of(rng)
    traits = TokenTraits(rng.integers(1, 9, V), rng.integers(0, 4, V))
    pool, u = Silent(windows, traits), rng.random(S)
    found = 0
    for _ in range(400):
        free, length = rng.random(S) < rng.choice([0.05, 0.5, 1.0]), int(rng.integers(0, 120))
        n_scored = int(rng.choice(pool.n_scored)) if rng.random() < 0.9 else 0
        distance = np.where(free & (pool.n_scored == n_scored), np.abs(pool.length - length), np.inf)
        nearest = np.flatnonzero(distance == distance.min()) if np.isfinite(distance).any() else np.zeros(0, int)
        expected = int(nearest[np.argmin(u[nearest])]) if len(nearest) else None
        assert pool.nearest(n_scored, length, free, u) == expected
        found += expected is not None
        at, like = np.sort(rng.choice(L, rng.integers(1, 4), replace=False)), rng.integers(-1, 4, L)
        same = (pool.n_scored == n_scored) & (pool.kind[:, at] == like[at]).all(axis=1)
        np.testing.assert_array_equal(pool.alike(n_scored, at, like), np.flatnonzero(same))
    assert 100 < found < 400


def measured_slowly(prediction: float) -> Measured:
    if prediction < 0:
        return Measured(None, "rare", 3)
    limits = (prediction - 1, prediction + 1) if prediction > 0.5 else (None, None)
    return Measured(prediction, "ok", 7, 2, *limits)


def measured_as_columns(predictions: Sequence[float]) -> MeasuredColumns:
    value = np.array(predictions)
    rare, wide = value < 0, value > 0.5
    return MeasuredColumns(
        np.where(rare, np.nan, value),
        np.where(rare, "rare", "ok"),
        np.where(rare, 3, 7),
        np.where(rare, 0, 2),
        np.where(wide, value - 1, np.nan),
        np.where(wide, value + 1, np.nan),
    )


def test_scores_as_columns_are_the_rows_one_by_one(rng: np.random.Generator) -> None:
    n, made = 60, []

    def prepare(predictions: Sequence[float]) -> Sequence[float]:
        made.append(len(predictions))
        return list(predictions)

    metrics_given = [
        Metric("slow", "judged", "", each(measured_slowly)),
        Metric("quick", "judged", "", measured_as_columns),
        *(Metric(name, "judged", "", InTwoSteps(prepare, measured_as_columns)) for name in ("first", "second")),
    ]
    status = rng.choice(["ok", "ok", "dead", "refused"], n).tolist()
    of = Subjects("me", np.sort(rng.choice(1000, n, replace=False)), status)
    predictions = {f: float(rng.uniform(-1, 2)) for f in of.features.tolist() if rng.random() < 0.8}
    expected = []
    for name in ("slow", "quick", "first", "second"):
        for feature, word in zip(of.features.tolist(), status, strict=True):
            row = Measured(None, "failed" if word == "ok" else word, 0)
            if word == "ok" and feature in predictions:
                row = measured_slowly(predictions[feature])
            about = (feature, "me", "scorer", name, "sample", row.value, row.ci_low, row.ci_high)
            expected.append(Score(*about, row.n, row.n_failed, row.status))
    tables = score_rows(of, predictions, metrics_given, "scorer")
    assert [row for table in tables for row in table.rows()] == expected
    assert made == [
        sum(f in predictions and word == "ok" for f, word in zip(of.features.tolist(), status, strict=True))
    ]
    columns = score_columns("run", "dictionary", tables)
    assert (columns.pop("run"), columns.pop("dictionary")) == ("run", "dictionary")
    for name, column in columns.items():
        values = (
            pa.array(column, from_pandas=True).to_pylist() if isinstance(column, np.ndarray) else column.to_pylist()
        )
        assert values == [getattr(row, name) for row in expected], name


def test_measurements_are_as_many_as_predictions() -> None:
    short = Metric("short", "judged", "", lambda predictions: measured_as_columns(predictions[1:]))
    with pytest.raises(ValueError, match="1 measurements of 2 predictions"):
        score_rows(Subjects("me", np.arange(2), ["ok", "ok"]), {0: 0.1, 1: 0.2}, [short], "scorer")
