"""The line-up's figures against SciPy's exact ones, and its question."""

from __future__ import annotations

import json
from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats

from autointerp.explain.marking import MARKS
from autointerp.llm.asks import InvalidReply
from autointerp.score.lineup import LETTERS, N_REAL, lineup_ask, lineup_template, score_lineups


@pytest.mark.parametrize("n_right", range(6))
def test_of_one_line_up_it_is_the_exact_interval_of_a_table_with_fixed_margins(n_right: int) -> None:
    got = score_lineups([n_right])
    assert got.share == n_right / 5
    assert got.p == pytest.approx(stats.hypergeom.sf(n_right - 1, 10, 5, 5))
    table = [[n_right, 5 - n_right], [5 - n_right, n_right]]
    odds = stats.contingency.odds_ratio(table, kind="conditional").confidence_interval(0.95)

    def share(ratio: float) -> float:
        if ratio == 0:
            return 0.0
        return 1.0 if np.isinf(ratio) else float(stats.nchypergeom_fisher(10, 5, 5, ratio).mean()) / 5

    assert got.low == pytest.approx(share(odds.low), abs=1e-6)
    assert got.high == pytest.approx(share(odds.high), abs=1e-6)
    assert got.low <= got.share <= got.high


def test_several_line_ups_add_up() -> None:
    chance = {k: comb(5, k) ** 2 / comb(10, 5) for k in range(6)}
    right = [4, 3, 5]
    slow = sum(chance[a] * chance[b] * chance[c] for a, b, c in product(range(6), repeat=3) if a + b + c >= sum(right))
    got = score_lineups(right)
    assert (got.n_lineups, got.n_right, got.share) == (3, 12, 12 / 15)
    assert got.p == pytest.approx(slow)
    assert score_lineups([4]).low < got.low < got.share < got.high < 1
    assert (score_lineups([5, 5]).high, score_lineups([0, 0]).low) == (1.0, 0.0)
    with pytest.raises(ValueError, match="0 to 5"):
        score_lineups([])
    with pytest.raises(ValueError, match="0 to 5"):
        score_lineups([6])


@pytest.mark.parametrize("odds", [1.0, 4.0])
def test_the_interval_holds_the_truth_at_least_as_often_as_it_says(odds: float) -> None:
    """Not by drawing: over all outcomes of four line-ups, weighted by their chance."""
    each = stats.nchypergeom_fisher(10, 5, 5, odds)
    chances = np.ones(1)
    for _ in range(4):
        chances = np.convolve(chances, each.pmf(np.arange(6)))
    truth, held = float(each.mean()) / 5, 0.0
    for total in range(21):
        right = [total // 4 + (i < total % 4) for i in range(4)]
        got = score_lineups(right)
        held += chances[total] * (got.low <= truth <= got.high)
    assert 0.95 <= held <= 1.0
    assert chances.sum() == pytest.approx(1.0)


def test_the_question_takes_five_units_and_no_other_number() -> None:
    marks = {"open": MARKS[0].open, "close": MARKS[0].close, "separator": MARKS[0].separator}
    ask = lineup_ask("Unit A\n1. a «b·9»", marks)
    assert "«" in ask.system
    assert "Unit A" in ask.prompt
    assert ask.kind == "lineup"
    assert ask.parse is not None
    reply = dict.fromkeys(LETTERS, 0) | dict.fromkeys("BDEGJ", 1)
    assert ask.parse(json.loads(json.dumps(reply))) == list("BDEGJ")
    others: list[object] = [{**reply, "A": 1}, {**reply, "B": 0}, {**reply, "K": 1}, {**reply, "A": 2}, [], {"A": 1}]
    for wrong in others:
        with pytest.raises(InvalidReply):
            ask.parse(wrong)
    assert len(lineup_template().version) > 8
    assert len(LETTERS) == 2 * N_REAL
