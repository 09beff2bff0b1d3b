"""The registry of baseline kinds holds what run files may name; a kind of the user's own is held to what it returns."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.config.baseline_kinds import FACTS
from autointerp.config.baseline_kinds import ROWS as FACT_ROWS
from autointerp.config.own_code import OwnCode
from autointerp.errors import InputError, UserError
from autointerp.subject.baselines.counting import UNMATCHED
from autointerp.subject.baselines.docs import UNITS
from autointerp.subject.baselines.kind import LinesWanted
from autointerp.subject.baselines.registry import BY_NAME, ROWS, kind_of

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))


def test_the_registry_holds_the_facts() -> None:
    assert tuple(row.facts for row in ROWS) == FACT_ROWS
    assert tuple(BY_NAME) == tuple(FACTS)
    assert {facts.units for facts in FACT_ROWS} == set(UNMATCHED) == set(UNITS)


def lines_of(given: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What becomes of directions that a user's class returns, or raises."""

    class Mine:
        def directions(self, *_: Any) -> Any:
            if isinstance(given, Exception):
                raise given
            return given

    module = types.ModuleType("own_baseline_module")
    module.Mine = Mine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_baseline_module", module)
    return kind_of(OwnCode(python="own_baseline_module:Mine")).lines(LinesWanted("base", 3, X, 0))


@pytest.mark.parametrize("given", [2 * torch.eye(4)[:3], 2 * np.eye(4)[:2], torch.eye(4, dtype=torch.float64)[:1]])
def test_directions_become_unit_vectors(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(given, monkeypatch)
    assert lines.n_units == len(given)
    assert lines.reads.dtype == torch.float32
    torch.testing.assert_close(lines.reads, torch.eye(4)[: len(given)])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "returned NoneType; return a tensor [n, d]"),
        (torch.eye(4), "returned a tensor of shape (4, 4); it must be [3 at most, 4]"),
        (torch.eye(3), "returned a tensor of shape (3, 3)"),
        (torch.ones(4), "returned a tensor of shape (4,)"),
        (torch.ones(0, 4), "returned a tensor of shape (0, 4)"),
        (torch.zeros(3, 4), "returned a direction that is zero, NaN or infinite"),
        (torch.full((3, 4), torch.nan), "returned a direction that is zero, NaN or infinite"),
        (RuntimeError("no\nluck"), "failed: RuntimeError: no luck"),
    ],
)
def test_what_are_no_directions_is_said_in_a_line(given: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as caught:
        lines_of(given, monkeypatch)
    assert str(caught.value).startswith('dictionary "base": baseline kind "own_baseline_module:Mine" ' + message)
    assert "\n" not in str(caught.value)


def test_a_kind_that_cannot_be_made() -> None:
    with pytest.raises(
        UserError, match=r'baseline kind "json:JSONDecoder" has no method directions\(x, n, seed, name\)'
    ):
        kind_of(OwnCode(python="json:JSONDecoder"))
