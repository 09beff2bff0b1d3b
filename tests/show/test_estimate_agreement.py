"""How far estimates tell measured changes: the view against a jackknife made by hand, and the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest
from stored import rows

from autointerp.show.compare import render_compare
from autointerp.show.compare_data import ScoreChoice, load_compare
from autointerp.show.export import page_json
from autointerp.show.report.page import report
from autointerp.store.reader import open_reader

N_FEATURES, EACH = 6, 5


@pytest.fixture
def estimated(store: Path) -> Path:
    """The built store with six features' effects in the place of its own."""
    rng = np.random.default_rng(0)
    with duckdb.connect(str(store)) as connection:
        connection.execute("CREATE TEMP TABLE one AS SELECT * FROM causal_effects WHERE dictionary = 'sae' LIMIT 1")
        connection.execute("DELETE FROM causal_effects")
        for feature in range(N_FEATURES):
            for position in range(EACH):
                estimate = float(rng.normal(0.1 * feature, 0.1))
                measured = 1.4 * estimate + float(rng.normal(0, 0.05))
                guess = rng.normal(-0.2 * feature, 0.3, 2)
                logits = 0.8 * guess + rng.normal(0, 0.1, 2)
                connection.execute(
                    "INSERT INTO causal_effects SELECT * REPLACE ($f AS feature, $p AS position, 'score' AS split, "
                    "'feature' AS direction, $m AS loss_change, $e AS loss_estimate, $lm AS likeliest_change, "
                    "$le AS likeliest_estimate) FROM one",
                    {"f": feature, "p": position, "m": measured, "e": estimate, "lm": list(logits), "le": list(guess)},
                )
    return store


@pytest.mark.parametrize(("change_of", "each"), [("loss", EACH), ("logits", 2 * EACH)])
def test_the_view_is_a_jackknife_over_features(change_of: str, each: int, estimated: Path) -> None:
    [told] = rows(estimated, "SELECT * FROM estimate_agreement WHERE change_of = $of", of=change_of)
    estimate, change = {"loss": ("loss_estimate", "loss_change")}.get(
        change_of, ("unnest(likeliest_estimate)", "unnest(likeliest_change)")
    )
    raw = rows(estimated, f"SELECT feature, {estimate} AS x, {change} AS y FROM causal_effects")
    feature, x, y = (np.array([row[name] for row in raw], dtype=np.float64) for name in ("feature", "x", "y"))
    assert (told["n_features"], told["n"], told["hook"] is not None) == (N_FEATURES, N_FEATURES * each, True)
    assert told["correlation"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert told["slope"] == pytest.approx(np.polyfit(x, y, 1)[0])
    z, slope = [], []
    for left_out in range(N_FEATURES):
        some = feature != left_out
        z.append(np.arctanh(np.corrcoef(x[some], y[some])[0, 1]))
        slope.append(np.polyfit(x[some], y[some], 1)[0])
    se_z, se_slope = (
        np.sqrt((N_FEATURES - 1) / N_FEATURES * np.sum((np.array(of) - np.mean(of)) ** 2)) for of in (z, slope)
    )
    whole = np.arctanh(told["correlation"])
    assert told["correlation_low"] == pytest.approx(np.tanh(whole - 1.96 * se_z))
    assert told["correlation_high"] == pytest.approx(np.tanh(whole + 1.96 * se_z))
    assert told["slope_low"] == pytest.approx(told["slope"] - 1.96 * se_slope)
    assert told["slope_high"] == pytest.approx(told["slope"] + 1.96 * se_slope)


def test_the_pages_say_it(estimated: Path, printed: Callable[..., str]) -> None:
    with open_reader(estimated) as reader:
        page = load_compare([("s", reader)], ScoreChoice())
        text = printed(render_compare(page))
        assert "Gradient times activation" in text
        said = json.loads(page_json(page))["estimate_agreement"]
        html = report([("s", reader)], ScoreChoice())
    assert [row["change_of"] for row in said] == ["loss", "logits"]
    for row in said:
        assert f"{row['slope']:.3f} [{row['slope_low']:.3f}" in text
        assert f"{row['correlation']:.3f} [{row['correlation_low']:.3f}" in html


def test_two_features_have_no_interval_and_constant_ones_no_correlation(estimated: Path) -> None:
    with duckdb.connect(str(estimated)) as connection:
        connection.execute("DELETE FROM causal_effects WHERE feature > 1")
    both = rows(estimated, "SELECT * FROM estimate_agreement")
    assert [row["correlation"] is not None and row["correlation_low"] is None for row in both] == [True, True]
    with duckdb.connect(str(estimated)) as connection:
        connection.execute("UPDATE causal_effects SET loss_estimate = 0, likeliest_estimate = [0, 0]")
    both = rows(estimated, "SELECT * FROM estimate_agreement")
    assert [(row["correlation"], row["slope"]) for row in both] == [(None, None)] * 2
