"""So many features as `needed_features` says find the difference as often as it says. Run with -rP to see figures."""

from __future__ import annotations

import numpy as np
import pytest
from score_worlds import dictionary

from autointerp.compare.clustered import block_influence, difference_interval
from autointerp.compare.interval import Interval
from autointerp.compare.power import needed_features
from autointerp.compare.statistics import LEVEL, decide
from autointerp.score.metrics import pearson

pytestmark = pytest.mark.slow


def seen(rng: np.random.Generator, n: int, difference: float, effect: float) -> Interval:
    a, b = dictionary(rng, n, 0.5 + difference, effect), dictionary(rng, n, 0.5, effect)
    value_a, value_b = (pearson(side.sum(axis=1)) for side in (a, b))
    got = difference_interval(
        value_a,
        value_b,
        np.arange(n),
        np.arange(n),
        paired=False,
        influence_a=block_influence(a),
        influence_b=block_influence(b),
    )
    assert got is not None
    return got


@pytest.mark.parametrize("m", [1, 6])
@pytest.mark.parametrize(("effect", "wanted"), [(0.0, 0.04), (0.05, 0.06)])
def test_the_wanted_difference_is_found_as_often_as_it_says(effect: float, wanted: float, m: int) -> None:
    rng = np.random.default_rng(1)
    pilot = [seen(rng, 100, 0.0, effect) for _ in range(60)]
    needed = [
        needed_features(wanted, one.se, one.se_documents, one.df, documents_count=True, level=LEVEL / m)
        for one in pilot
    ]
    known = [one.factor for one in needed if one.factor is not None]
    n = round(100 * float(np.median(known)))
    found = np.mean([decide(seen(rng, n, wanted, effect), m) == "A" for _ in range(300)])
    print(f"effect {effect}, {m} pairs: {n} features a side for {wanted}, found {found:.3f}; known {len(known)} of 60")
    assert 0.70 <= found <= 0.88


def test_where_documents_decide_more_features_do_not_help() -> None:
    rng = np.random.default_rng(2)
    one = seen(rng, 400, 0.0, 0.18)
    needed = needed_features(0.03, one.se, one.se_documents, one.df, documents_count=True)
    assert needed.factor is None
    assert needed.text is not None
    assert needed.text > 1
