"""Where directions lie equals scikit-learn's pursuit and plain loops over all pairs; a composite feature is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import orthogonal_mp

from autointerp.extract import geometry
from autointerp.extract.geometry import ATOMS, DirectionGeometry, beside_others, unit_rows

N_FEATURES, WIDTH, A, B, COMPOSITE = 40, 24, 2, 11, 5


@pytest.fixture
def rows() -> np.ndarray:
    """Feature 5 is .6 of feature 2 and .8 of feature 11, each of length 1, and three times as long."""
    drawn = np.random.default_rng(3).standard_normal((N_FEATURES, WIDTH))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn[COMPOSITE] = 3 * (0.6 * drawn[A] + 0.8 * drawn[B])
    return drawn


def of_features(
    rows: np.ndarray, unit: np.ndarray | None = None, neurons: torch.Tensor | None = None
) -> DirectionGeometry:
    features = np.arange(len(rows))
    tensor = unit_rows(torch.from_numpy(rows.astype(np.float32)))
    return beside_others(tensor, features if unit is None else unit, rows, features, neurons)


def pursued(rows: np.ndarray, direction: np.ndarray, k: int) -> tuple[set[int], float]:
    """scikit-learn's: which rows, and the share of the squared norm."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    weights = orthogonal_mp(unit.T, direction, n_nonzero_coefs=k)
    left = direction - unit.T @ weights
    return set(np.flatnonzero(weights).tolist()), 1 - float(left @ left) / float(direction @ direction)


def test_a_composite_feature_is_its_two_parts(rows: np.ndarray) -> None:
    found = of_features(rows)
    assert set(found.atoms[COMPOSITE]) == {A, B}
    assert found.atoms[COMPOSITE][0] == B  # .8 of it
    np.testing.assert_allclose(found.explained[COMPOSITE][1:], 1.0, atol=1e-6)
    others = np.delete(np.arange(N_FEATURES), [A, B, COMPOSITE])
    assert found.explained[others, 1].max() < 0.8


def test_pursuit_equals_scikit_learn(rows: np.ndarray) -> None:
    rows[COMPOSITE] = np.random.default_rng(4).standard_normal(WIDTH)  # dependent rows would end theirs early
    found = of_features(rows)
    for feature in range(N_FEATURES):
        kept = np.delete(np.arange(N_FEATURES), feature)
        for k in range(1, ATOMS + 1):
            chosen, share = pursued(rows[kept], rows[feature], k)
            assert {int(kept[row]) for row in chosen} == set(found.atoms[feature][:k])
            assert found.explained[feature, k - 1] == pytest.approx(share, abs=1e-6)


def test_the_nearest_is_that_of_all_pairs_and_keeps_its_sign(rows: np.ndarray) -> None:
    rows[7] = -2 * rows[8]  # opposite, not near
    found = of_features(rows)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for feature in range(N_FEATURES):
        cosine = unit @ unit[feature]
        cosine[feature] = -2
        assert found.nearest[feature] == np.argmax(cosine)
        assert found.cosine[feature] == pytest.approx(cosine.max(), abs=1e-6)
    assert found.cosine[7] < 0.9
    assert found.explained[7, 0] == pytest.approx(1, abs=1e-6)  # a combination may take it with a minus
    assert found.atoms[7] == [8]


def test_blocks_change_nothing(rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_features(rows)
    monkeypatch.setattr(geometry, "BLOCK_VALUES", 3 * N_FEATURES)
    parts = of_features(rows)
    assert parts.atoms == whole.atoms
    np.testing.assert_allclose(parts.explained, whole.explained, atol=1e-9)
    np.testing.assert_allclose(parts.cosine, whole.cosine, atol=1e-6)


def test_rows_of_one_unit_are_no_others(rows: np.ndarray) -> None:
    rows[20] = rows[21]
    unit = np.arange(N_FEATURES)
    assert of_features(rows).cosine[20] == pytest.approx(1)
    unit[20] = unit[21]
    found = of_features(rows, unit)
    assert found.cosine[20] < 0.9
    assert not {20, 21} & set(found.atoms[20])


def test_what_cannot_be_said_has_a_status() -> None:
    rows = np.eye(4, 6)
    rows[3] = 0
    found = of_features(rows)
    assert found.status == ["ok", "ok", "ok", "zero"]
    assert found.atoms[0] == []  # nothing has a product with it
    np.testing.assert_array_equal(found.explained[:3], 0)
    assert np.isnan(found.explained[3]).all()
    assert np.isnan(found.cosine[3])
    assert of_features(np.eye(1, 6)).status == ["alone"]


def test_the_neuron_is_the_one_of_largest_absolute_cosine(rows: np.ndarray) -> None:
    neurons = torch.from_numpy(np.random.default_rng(5).standard_normal((9, WIDTH)).astype(np.float32))
    neurons[4] = -7 * torch.from_numpy(rows[13].astype(np.float32))
    found = of_features(rows, neurons=unit_rows(neurons))
    exact = unit_rows(neurons).double().numpy() @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    np.testing.assert_array_equal(found.neuron, np.abs(exact).argmax(axis=0))
    np.testing.assert_allclose(found.neuron_cosine, exact[found.neuron, np.arange(N_FEATURES)], atol=1e-6)
    assert found.neuron_cosine[13] == pytest.approx(-1)
    assert (of_features(rows).neuron == -1).all()
