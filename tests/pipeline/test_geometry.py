"""Stages geometry and similarity on planted dictionaries: a composite feature, a neuron, and the same features in
another order."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stored import check, rows

from autointerp.config.loading import parse_run
from autointerp.pipeline import run
from autointerp.progress import Reporter
from autointerp.show.dictionary_geometry import load_dictionary_geometry, render_dictionary_geometry
from autointerp.store.reader import open_reader
from autointerp.subject.baselines import sample_contexts
from autointerp.subject.tokens import TokenFile

A, B, COMPOSITE, NEURON, OF_NEURON = 2, 11, 5, 3, 9
ORDER = np.random.default_rng(0).permutation(48)


@pytest.fixture(scope="module")
def store(
    write_sae: Callable[..., Path],
    tiny_model: Path,
    tiny_subject: Any,
    tokens_npy: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """`sae`, `turned` (its features in another order), random directions and a cross-layer dictionary's like."""
    folder = tmp_path_factory.mktemp("geometry")
    written = tiny_subject.bridge.blocks[1].mlp.W_out[NEURON].detach().float().cpu()

    def plant(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        unit = weights["W_dec"] / weights["W_dec"].norm(dim=1, keepdim=True)
        weights["W_dec"][COMPOSITE] = 2 * (0.6 * unit[A] + 0.8 * unit[B])
        weights["W_dec"][OF_NEURON] = -3 * written

    def turn(cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        plant(cfg, weights)
        for name in ("W_dec", "b_enc"):
            weights[name] = weights[name][ORDER]
        weights["W_enc"] = weights["W_enc"][:, ORDER]

    sae, turned = write_sae(folder / "sae", change=plant), write_sae(folder / "turned", change=turn)
    config: dict[str, Any] = {
        "name": "geometry",
        "store": str(folder / "geometry.duckdb"),
        "subject": {"model": str(tiny_model), "device": "cpu"},
        "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
        "dictionary": [
            {"name": "sae", "path": str(sae)},
            {"name": "turned", "path": str(turned)},
            {"name": "random", "kind": "random_isotropic", "match": "sae", "natural": True},
        ],
        "effects": {"features": "none", "output_factor": 0, "geometry_features": "all"},
    }
    return run(parse_run(config), until="similarity", reporter=Reporter(quiet=True))


def test_the_store_verifies(store: Path) -> None:
    check(store)
    stages = rows(store, "SELECT stage, dictionary FROM stages WHERE stage IN ('geometry', 'similarity') ORDER BY ALL")
    named = [tuple(row.values()) for row in stages]
    # the twin at natural density has the same directions as `random`
    assert named == [("geometry", "random"), ("geometry", "sae"), ("geometry", "turned"), ("similarity", None)]


def test_the_planted_features_are_found(store: Path) -> None:
    [composite] = rows(store, "SELECT * FROM current_geometry WHERE dictionary = 'sae' AND feature = $f "
                              "AND direction = 'feature'", f=COMPOSITE)  # fmt: skip
    assert composite["atoms"] == [B, A]
    assert composite["explained"][1] == pytest.approx(1, abs=1e-6)
    [of_neuron] = rows(store, "SELECT * FROM current_geometry WHERE dictionary = 'sae' AND feature = $f "
                              "AND direction = 'feature'", f=OF_NEURON)  # fmt: skip
    assert (of_neuron["neuron"], of_neuron["neuron_cosine"]) == (NEURON, pytest.approx(-1, abs=1e-5))
    means = {row["direction"]: row for row in rows(store, "SELECT * FROM dictionary_geometry WHERE dictionary = 'sae'")}
    assert means["feature"]["composite"] == pytest.approx(3 / 48, abs=1 / 48)  # a and b are made of it, too
    assert {row["n_features"] for row in means.values()} == {48}
    random = rows(store, "SELECT feature, dictionary FROM feature_geometry WHERE dictionary = 'random'")
    assert len(random) == 3 * 48


def test_the_same_features_in_another_order_are_the_same(store: Path) -> None:
    shared = {(row["a"], row["b"]): row for row in rows(store, "SELECT * FROM universality")}
    assert set(shared) == {(a, b) for a in ("sae", "turned", "random") for b in ("sae", "turned", "random") if a != b}
    same = shared["sae", "turned"]
    assert same["n_compared"] > 10
    assert same["share_050"] == same["share_070"] == 1
    for name in ("cka", "rsa", "correlation", "cosine"):
        assert same[name] == pytest.approx(1, abs=1e-4), name
    assert same["cka_permuted"] < 0.5
    assert shared["random", "sae"]["cosine"] < 0.9
    assert shared["random", "sae"]["correlation"] < same["correlation"]
    matches = rows(store, "SELECT * FROM current_matches WHERE dictionary = 'turned' AND other = 'sae'")
    assert len(matches) == 48
    matched = [row for row in matches if row["status"] == "ok"]
    assert len(matched) == same["n_compared"] < 48
    for row in matched:
        assert row["match"] == ORDER[row["feature"]]
        assert (row["correlation"], row["cosine"]) == (pytest.approx(1, abs=1e-4), pytest.approx(1, abs=1e-5))
    assert {row["status"] for row in matches} == {"ok", "seldom"}
    ordered = rows(store, "SELECT feature, cosine, explained FROM current_geometry WHERE direction = 'feature' AND "
                          "dictionary = 'sae' ORDER BY feature")  # fmt: skip
    turned = rows(store, "SELECT feature, cosine, explained FROM current_geometry WHERE direction = 'feature' AND "
                         "dictionary = 'turned' ORDER BY feature")  # fmt: skip
    for row in turned:
        original = ordered[ORDER[row["feature"]]]
        assert row["cosine"] == pytest.approx(original["cosine"], abs=1e-6)
        np.testing.assert_allclose(row["explained"], original["explained"], atol=1e-6)


def test_the_description_length_is_that_of_all_tokens_by_hand(store: Path, tiny_subject: Any) -> None:
    tokens = TokenFile(next(store.parent.glob("geometry.duckdb.work/tokens-*")))
    contexts = sample_contexts(tokens, 0, 8192)
    hook = "blocks.1.hook_resid_post"
    ids = torch.from_numpy(np.asarray(tokens.tokens[contexts]).astype(np.int64))
    x = tiny_subject.activations(ids, [hook])[hook].float()[torch.from_numpy(tokens.scored(contexts))]
    [limit] = (row["norm_limit"] for row in rows(store, "SELECT norm_limit FROM hook_norms WHERE hook = $h", h=hook))
    x = x[x.norm(dim=1) <= limit]
    [length] = rows(store, "SELECT * FROM current_description_lengths WHERE dictionary = 'sae'")
    step = float(x.norm(dim=1).median()) / 64
    assert (length["n_tokens"], length["step"]) == (len(x), pytest.approx(step, rel=1e-5))
    assert length["coordinate_bits"] == pytest.approx(by_hand((x - x.mean(dim=0)).numpy(), step), rel=1e-3)
    assert 0 < length["bits"] < 48 * 9
    assert length["variance_explained"] < 0  # weights that were never trained
    lengths = {row["dictionary"]: row for row in rows(store, "SELECT * FROM current_description_lengths")}
    assert lengths["turned"]["bits"] == pytest.approx(length["bits"], rel=1e-6)
    assert lengths["random"]["variance_explained"] is None


def by_hand(values: np.ndarray, step: float) -> float:
    """Bits a row of values, a column for itself."""
    bits = 0.0
    for column in np.clip(np.round(values / step), -256, 255).T:
        _, counts = np.unique(column, return_counts=True)
        share = counts / counts.sum()
        bits += float(-(share * np.log2(share)).sum() + (len(counts) - 1) / (2 * counts.sum()) / np.log(2))
    return bits


def test_the_page_says_it(store: Path, printed_text: Callable[[Any], str]) -> None:
    with open_reader(store) as reader:
        text = printed_text(render_dictionary_geometry(load_dictionary_geometry([("s", reader)])))
    assert "Directions among each other" in text
    assert "100 ± 0 %" in text
    assert "1.00 (" in text


@pytest.fixture
def printed_text() -> Callable[[Any], str]:
    from rich.console import Console, Group

    def show(parts: Any) -> str:
        console = Console(width=200, record=True, file=StringIO())
        console.print(Group(*parts))
        return console.export_text()

    return show
