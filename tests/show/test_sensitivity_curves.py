"""The curves of a step against its size: KL and the distance behind the last block, drawn and in a line of text."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from autointerp.browse.drawn_curves import HIGH, distance_curves, sensitivity_curves
from autointerp.show.sensitivity import LEAST_DISTANCE, SensitivityCurve, distance_line, sensitivity_line

SIZES = (1.0, 2.0, 4.0, 8.0)


def curve(direction: str, kl: tuple[float, ...], distance: tuple[float, ...] | None) -> SensitivityCurve:
    return SensitivityCurve(direction, 3, SIZES, kl, distance, None, None, None, 4.0)


CURVES = (
    curve("feature", (0.001, 0.01, 0.1, 1.0), (0.002, 0.02, 0.2, 2.0)),
    curve("isotropic", (0.001, 0.002, 0.004, 0.2), (0.0001, 0.01, 0.1, 0.5)),
    curve("covariance", (0.01, 0.02, 0.04, 0.4), (0.01, 0.03, 0.1, 1.0)),
)


def heights(svg: str) -> list[list[float]]:
    """Of each line drawn, the heights of its points in pixels above the axis."""
    lines = re.findall(r'<polyline points="([^"]+)"', svg)
    return [[6 + HIGH - float(point.split(",")[1]) for point in line.split()] for line in lines]


def test_each_curve_is_drawn_by_logarithm() -> None:
    for drawn, values in (
        (sensitivity_curves(CURVES), [of.kl for of in CURVES]),
        (distance_curves(CURVES), [of.last_distance for of in CURVES]),
    ):
        most = max(1.0, *(max(of) for of in values if of is not None))
        found = heights(str(drawn))
        assert len(found) == len(CURVES)
        for line, of in zip(found, values, strict=True):
            assert of is not None
            expected = [HIGH * math.log(max(value, 1e-3) / 1e-3) / math.log(most / 1e-3) for value in of]
            assert line == pytest.approx(expected, abs=0.06)


def test_what_was_not_read_is_not_drawn() -> None:
    without = [replace(of, last_distance=None) for of in CURVES]
    assert distance_curves(without) is None
    assert distance_line(without) is None
    said = sensitivity_line(without)
    assert said is not None
    assert "last block" not in said.plain
    some = [without[0], *CURVES[1:]]
    assert len(heights(str(distance_curves(some)))) == 2


def test_the_card_says_it_in_a_line() -> None:
    said = sensitivity_line(CURVES)
    assert said is not None
    [line] = [line for line in said.plain.splitlines() if "last block" in line]
    assert "by steps of 1 to 8" in line
    steps = [
        math.log(max(v, LEAST_DISTANCE) / LEAST_DISTANCE) / math.log(2 / LEAST_DISTANCE) for v in (0.002, 0.02, 0.2, 2)
    ]
    assert "along it " + "".join("▁▂▃▄▅▆▇█"[round(7 * step)] for step in steps) + " 0.2 to 200 %" in line
    assert "covariance" in line
    assert "isotropic" not in line, "one random direction beside it"
    assert "1 to 100 % of its norm" in line
