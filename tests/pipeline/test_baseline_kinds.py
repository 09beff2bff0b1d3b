"""A whole run with every kind of baseline: twins at natural density, units used again, another site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp.config import parse_run
from autointerp.errors import UserError
from autointerp.pipeline import run
from autointerp.pipeline.prepare import prepare
from autointerp.progress import Reporter
from autointerp.store.reader import open_reader
from autointerp.store.verify import verify

HOOK = "blocks.1.hook_resid_post"
SAES = ("sae", "topk")


@pytest.fixture(scope="module")
def configured(
    tiny_model: Path, tokens_npy: Path, sae_folder: Path, write_sae: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Any]:  # fmt: skip
    folder = tmp_path_factory.mktemp("kinds")
    topk = write_sae(folder / "topk", "topk", seed=3)
    files = [{"name": "sae", "path": str(sae_folder)}, {"name": "topk", "path": str(topk), "features": "0:12"}]

    def make(*baselines: dict[str, Any], **changed: Any) -> Any:
        data = {
            "name": "kinds",
            "store": str(folder / "kinds.duckdb"),
            "subject": {"model": str(tiny_model), "device": "cpu"},
            "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
            "dictionary": [*files, *baselines],
            "score": {"features": {"sample": 12}, "bootstrap": 100},
        }
        return parse_run(data | changed)

    return make


@pytest.fixture(scope="module")
def store(configured: Callable[..., Any]) -> Path:
    config = configured(
        {"name": "basis", "kind": "residual_basis", "match": "sae", "natural": True, "features": {"sample": 40}},
        {"name": "pca", "kind": "pca", "match": "sae", "n_features": 20},
        {"name": "ica", "kind": "ica", "match": "sae", "natural": True},
        {"name": "fresh", "kind": "random_init_sae", "like": "topk", "features": "0:9"},
        {"name": "fresh-matched", "kind": "random_init_sae", "match": "sae", "n_features": 10},
        {"name": "components", "kind": "pca", "hook": HOOK},
        {"name": "embedding", "kind": "neurons", "hook": "hook_embed", "features": "0:6"},
    )
    path: Path = run(config, reporter=Reporter(quiet=True))
    once = path.read_bytes()
    run(config, reporter=Reporter(quiet=True))  # fitted baselines are read back as they were written
    assert path.read_bytes() == once
    return path


def query(path: Path, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    with open_reader(path) as reader:
        return reader.rows(sql, **parameters)


def test_the_store_is_whole(store: Path) -> None:
    with open_reader(store) as reader:
        assert [check for check in verify(reader) if not check.ok] == []
    kinds = {row["dictionary"]: row for row in query(store, "SELECT * FROM dictionaries")}
    facts = ("kind", "matched_to", "natural_of", "n_units")
    assert {name: tuple(row[fact] for fact in facts) for name, row in kinds.items()} == {
        "sae": ("sae", None, None, None), "topk": ("sae", None, None, None),
        "basis": ("residual_basis", "sae", None, 32), "basis@natural": ("residual_basis", "sae", "basis", 32),
        "pca": ("pca", "sae", None, 20), "ica": ("ica", "sae", None, 32), "ica@natural": ("ica", "sae", "ica", 32),
        "fresh": ("random_init_sae", None, None, None), "fresh-matched": ("random_init_sae", "sae", None, 10),
        "components": ("pca", None, None, 32), "embedding": ("neurons", None, None, 32),
    }  # fmt: skip
    assert '"converged"' in kinds["ica"]["config"]
    assert kinds["fresh"]["activation"].startswith("topk (k = ")


def test_twins_have_the_same_units_at_their_natural_density(store: Path) -> None:
    for name in ("basis", "ica"):
        found = query(
            store,
            """
            SELECT f.feature, f.unit, f.sign, f.matched_feature, f.match_status, f.theta, f.density,
                   t.unit AS twin_unit, t.sign AS twin_sign, t.matched_feature AS twin_feature,
                   t.match_status AS twin_status,
                   t.theta AS twin_theta, t.density AS twin_density
            FROM features f FULL JOIN features t ON t.dictionary = $name || '@natural' AND t.feature = f.feature
            WHERE f.dictionary = $name
            """,
            name=name,
        )
        assert len(found) == (40 if name == "basis" else 48)
        for row in found:
            assert (row["unit"], row["sign"], row["matched_feature"]) == (
                row["twin_unit"], row["twin_sign"], row["twin_feature"],
            )  # fmt: skip
            assert (row["twin_status"], row["twin_theta"]) == ("natural", 0)
        matched = [row for row in found if row["match_status"] == "matched"]
        assert len(matched) > 8
        assert np.median([row["twin_density"] / row["density"] for row in matched]) > 1
        sampled = query(
            store,
            "SELECT dictionary, feature FROM score_table WHERE design = 'sample' AND explainer = 'lexical'",
        )
        scored = {row["feature"] for row in sampled if row["dictionary"] == f"{name}@natural"}
        assert scored == {row["feature"] for row in sampled if row["dictionary"] == name}
        assert scored


def test_twins_are_in_no_comparison_and_another_site_is_said(store: Path) -> None:
    found = query(store, "SELECT DISTINCT a, b, paired, other_site FROM comparisons")
    assert {(row["a"], row["b"], row["paired"], row["other_site"]) for row in found} == {
        ("sae", "topk", False, False), ("sae", "basis", True, False), ("sae", "pca", True, False),
        ("sae", "ica", True, False), ("sae", "fresh-matched", True, False), ("sae", "fresh", False, False),
        ("topk", "fresh", False, False), ("sae", "components", False, False), ("topk", "components", False, False),
        ("sae", "embedding", False, True), ("topk", "embedding", False, True),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"name": "b", "kind": "residual_basis", "hook": "blocks.1.mlp.hook_post"}, "is not in the residual stream"),
        ({"name": "b", "kind": "pca", "hook": HOOK, "n_features": 33}, "32 components at most"),
        ({"name": "b", "kind": "random_init_sae", "like": "sae", "hook": "hook_embed"}, 'it is like "sae" at'),
        ({"name": "b", "kind": "ica", "match": "sae", "n_features": 49}, '"sae" has 48 features to match'),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    baseline: dict[str, Any], message: str, configured: Callable[..., Any], tmp_path: Path
) -> None:
    config = configured(baseline, store=str(tmp_path / "none.duckdb"))
    with pytest.raises(UserError, match=message):
        prepare(config)
    assert list(tmp_path.iterdir()) == []
