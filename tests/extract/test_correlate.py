"""Correlations between two dictionaries, from sums, against NumPy's over dense activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.correlate import FEWEST, LEAST, PairedEvents, correlate
from autointerp.extract.selected import Selected
from autointerp.extract.summary.events import encode_events
from autointerp.records import SPLITS
from autointerp.subject.activations import iterate_activations
from autointerp.subject.tokens import TokenFile

NAMES = ("standard", "gated")


@pytest.fixture(scope="module")
def dense(
    tiny_subject: Any, token_file: TokenFile, dictionaries: dict[str, Selected]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Activations of both at every scored token of the explain split."""
    sides = [dictionaries[name].dictionary for name in NAMES]
    parts: list[list[np.ndarray]] = [[], []]
    hooks = sorted({side.hook for side in sides})
    for batch in iterate_activations(tiny_subject, token_file, hooks, token_file.contexts_of("explain")):
        for part, side in zip(parts, sides, strict=True):
            with torch.inference_mode():
                part.append(side.encode(batch.by_hook[side.hook][batch.scored]).double().numpy())
    a, b = (np.concatenate(part) for part in parts)
    return a, b, len(a)


@pytest.mark.parametrize("sums", [1 << 26, 48 * 7])
def test_correlations_are_those_of_dense_activations(
    tiny_subject: Any,
    token_file: TokenFile,
    dictionaries: dict[str, Selected],
    dense: tuple[np.ndarray, np.ndarray, int],
    sums: int,
) -> None:
    """Also where the tokens are read again for every seven features of A."""
    a, b, n = dense
    sides = [dictionaries[name].dictionary for name in NAMES]
    n_reads = 0

    def read() -> Iterator[PairedEvents]:
        nonlocal n_reads
        n_reads += 1
        hooks = sorted({side.hook for side in sides})
        for batch in iterate_activations(tiny_subject, token_file, hooks, token_file.contexts_of("explain")):
            events = [encode_events(side, batch, token_file, None).of_split(SPLITS.index("explain")) for side in sides]
            yield PairedEvents(events[0], events[1], batch.scored.numel(), int(batch.scored.sum()))

    got = correlate(read, 48, 48, sums)
    assert n_reads == (1 if sums > 48 * 48 else 7)
    assert got.n_tokens == n
    np.testing.assert_array_equal(got.n_firing_a, (a > 0).sum(axis=0))
    np.testing.assert_array_equal(got.n_firing_b, (b > 0).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(a, b, rowvar=False)[:48, 48:]
    r[(a > 0).sum(axis=0) < FEWEST] = -np.inf
    r[:, (b > 0).sum(axis=0) < FEWEST] = -np.inf
    assert np.isinf(r).any(axis=1).any()
    assert (r > LEAST).sum() > 20
    rows, columns = np.nonzero(r >= LEAST)
    np.testing.assert_array_equal(got.edge_a, rows)
    np.testing.assert_array_equal(got.edge_b, columns)
    np.testing.assert_allclose(got.edge_r, r[rows, columns], atol=1e-5)
    known = np.isfinite(r).any(axis=1)
    np.testing.assert_array_equal(got.best_of_a, np.where(known, r.argmax(axis=1), -1))
    np.testing.assert_allclose(got.r_of_a[known], r.max(axis=1)[known], atol=1e-5)
    known = np.isfinite(r).any(axis=0)
    np.testing.assert_array_equal(got.best_of_b, np.where(known, r.argmax(axis=0), -1))
    np.testing.assert_allclose(got.r_of_b[known], r.max(axis=0)[known], atol=1e-5)


def test_without_a_feature_that_fires_nothing_is_matched() -> None:
    got = correlate(lambda: iter(()), 3, 2)
    assert (got.n_tokens, got.best_of_a.tolist(), got.best_of_b.tolist()) == (0, [-1, -1, -1], [-1, -1])
    assert got.edge_r.size == 0
    assert np.isnan(got.r_of_b).all()
