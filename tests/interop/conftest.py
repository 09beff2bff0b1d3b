"""Collects the largest difference to each library and prints them at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

DIFFERENCES = pytest.StashKey[dict[str, tuple[int, float, float]]]()
Agree = Callable[[str, torch.Tensor, torch.Tensor], None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[DIFFERENCES] = {}


@pytest.fixture
def agree(request: pytest.FixtureRequest) -> Agree:
    """Asserts that our activations are the library's, and keeps how far apart they were."""
    kept = request.config.stash[DIFFERENCES]

    def compare(what: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        assert ours.shape == theirs.shape
        fires = float((theirs > 0).float().mean())
        assert 0.005 < fires < 0.995, f"{fires:.1%} of the activations are positive: nothing is compared"
        n, worst, largest = kept.get(what, (0, 0.0, 0.0))
        kept[what] = (n + 1, max(worst, float((ours - theirs).abs().max())), max(largest, float(theirs.max())))
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        assert torch.equal(ours > 0, theirs > 0)

    return compare


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for what, (n, worst, largest) in sorted(config.stash[DIFFERENCES].items()):
        terminalreporter.write_line(
            f"{what:<42} {n:>3} comparisons, largest difference {worst:.1e}, largest activation {largest:.3g}"
        )
