"""The page of `check` on narrow terminals: names are broken there, and nothing is cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autointerp.pipeline.check import CheckedRun
from autointerp.show.checked import checked_page
from autointerp.subject.check import Report
from autointerp.subject.fit import MeasuredFit

NAME, HOOK = "sae-of-layer-16", "blocks.16.hook_resid_pre"


def page() -> CheckedRun:
    fit = MeasuredFit(
        l0=123.4, variance_explained=0.831, variance_explained_all=0.912, dead_share=0.017, n_outliers=1_500
    )
    return CheckedRun([Report(NAME, HOOK, fit, 12.345, 0.951, 12_544, None)], [], [], 1, [], [])


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_cut(printed: Callable[..., str], width: int) -> None:
    said = printed(checked_page(page()), width=width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    for figure in ("123.4", "0.831", "(0.912)", "12.0%", "1.7%", "12.345", "0.951"):
        assert figure in said
    columns = said.split("hook points")[0]
    assert "".join(columns.split()).count("explained") == 1


def test_a_page_of_100_columns_breaks_no_name(printed: Callable[..., str]) -> None:
    row = next(line for line in printed(checked_page(page()), width=100).splitlines() if HOOK in line)
    assert row.split()[:3] == ["\N{CHECK MARK}", NAME, HOOK]
