"""`compare --match`: dictionaries of one store and of two, with a truth that is known token by token.

By `helpers/detectors.py` 2, 3, 7 and 8, 9 are in A and B alike; 4, 5 is split; 6 and 10 are merged; 40 is rare, 11 new.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bad_input import Refused
from click.testing import CliRunner
from rich.console import Console

from autointerp.cli import cli, main
from autointerp.config.loading import parse_run
from autointerp.pipeline import run
from autointerp.pipeline.match import match_dictionaries
from autointerp.progress import Reporter
from autointerp.show.match import match_page

QUIET = Reporter(quiet=True)
ASKED = ["--match", "a", "b", "--split", "explain"]
FATES = {0: ("matched", 1), 1: ("matched", 3), 2: ("split", None), 3: ("merged", None), 4: ("matched", 0),
         5: ("matched", 6), 6: ("merged", None), 7: ("rare", None)}  # fmt: skip


@pytest.fixture(scope="module")
def stores(extracted: Callable[..., Path]) -> dict[str, Path]:
    """Both dictionaries in one store, and each in one of its own."""
    return {name: extracted(name, those) for name, those in (("both", "ab"), ("one", "a"), ("two", "b"))}


def test_the_truth_is_found_in_one_store_and_in_two(stores: dict[str, Path]) -> None:
    result = CliRunner().invoke(
        cli, ["compare", str(stores["both"]), "--match", "a", "b", "--split", "explain", "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["format"], found["version"]) == ("autointerp-match", 1)
    for feature in found["features_a"]:
        status, partner = FATES[feature["feature"]]
        assert feature["status"] == status, feature
        if status == "matched":
            assert feature["partner"] == feature["best"] == partner
            assert feature["partner_r"] > 0.99
            assert feature["cosine"]["with_partner"] == pytest.approx(1.0, abs=1e-5)
            assert feature["cosine"]["best"] == partner
            assert feature["logit_effects"]["with_partner"] == pytest.approx(1.0, abs=1e-5)
    assert [(one["whole"], sorted(one["parts"])) for one in found["splits"]] == [(2, [2, 4])]
    assert [(one["whole"], sorted(one["parts"])) for one in found["merges"]] == [(5, [3, 6])]
    assert [one["status"] for one in found["features_b"]] == [
        "matched", "matched", "part", "matched", "part", "merge", "matched", "new",
    ]  # fmt: skip

    apart = match_dictionaries([stores["one"], stores["two"]], ("a", "b"), QUIET, "explain")
    assert [fate.status for fate in apart.matching.a] == [FATES[i][0] for i in range(8)]
    assert [fate.partner_r for fate in apart.matching.a] == pytest.approx(
        [feature["partner_r"] for feature in found["features_a"]], nan_ok=True
    )
    page = CliRunner().invoke(cli, ["compare", str(stores["both"]), *ASKED])
    assert page.exit_code == 0, page.output
    for words in ("4 matched, 1 split, 2 merged", "split: one feature of A, several of B: 1", "new: features of B"):
        assert words in page.stdout, page.stdout
    long = "Fires on " + ", ".join(f'" word{i}"' for i in range(40)) + "."
    said = replace(apart, labels=({f: f"{long} A{f}" for f in range(8)}, {f: f"{long} B{f}" for f in range(8)}))
    for width in (40, 80, 130):
        stream = io.StringIO()
        Console(file=stream, width=width).print(match_page(said))
        lines = stream.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        for label in ("A0", "B1", "B7"):
            assert any(label in line for line in lines), "the end of a long label"
        assert sum(line.count('" word17"') for line in lines) == sum(line.count('" word3"') for line in lines) > 0


@pytest.mark.slow
def test_the_bundled_dictionaries(tmp_path: Path) -> None:
    """mlp-1k with itself is the identity; with mlp-2k one to one is the assignment of largest total."""
    facts = {
        "name": "bundled",
        "store": str(tmp_path / "bundled.duckdb"),
        "subject": {"model": "bundled:subject", "device": "cpu"},
        "tokens": {"source": "bundled:corpus", "n_tokens": 60_000},
        "dictionary": [{"name": name, "path": f"bundled:{name.split('@')[0]}"} for name in ("mlp-1k", "mlp-2k")]
        + [{"name": "again", "path": "bundled:mlp-1k"}],
        "evidence": {"score_windows": 64},
    }
    store = run(parse_run(facts), until="extract", reporter=QUIET)
    same = match_dictionaries([store], ("mlp-1k", "again"), QUIET).matching
    for fate in same.a:
        assert fate.status in ("matched", "rare")
        if fate.status == "matched":
            assert fate.best_r == pytest.approx(1.0, abs=1e-6)
            assert same.a[fate.feature].partner == fate.feature
    assert same.counts("a")["matched"] > 700
    other = match_dictionaries([store], ("mlp-1k", "mlp-2k"), QUIET)
    counts = other.matching.counts("a")
    assert counts["matched"] > 0.2 * 1024
    assert counts["split"] > counts["merged"] > 0, "a wider dictionary splits more than it merges"
    assert other.cosine is not None
    rows = [row for row, fate in enumerate(other.matching.a) if fate.status == "matched"]
    assert np.median(other.cosine.of_partner[rows]) > 0.5
    assert np.mean([other.cosine.best[row] == other.matching.a[row].partner for row in rows]) > 0.5


def test_what_cannot_be_matched_is_one_line(
    stores: dict[str, Path], detectors: dict[str, Path], extracted: Callable[..., Path], refused: Refused
) -> None:
    assert 'has no dictionary "c"' in refused("compare", stores["both"], "--match", "a", "c")
    other = extracted("other", "b", splits={"explain": 0.4, "select": 0.2, "score": 0.4})
    assert "not over the same tokens" in refused("compare", stores["one"], other, "--match", "a", "b")
    weights = detectors["a"] / "sae_weights.safetensors"
    held = weights.read_bytes()
    weights.write_bytes((detectors["b"] / "sae_weights.safetensors").read_bytes())
    try:
        assert "not those that the store is about" in refused("compare", stores["one"], "--match", "a", "a")
    finally:
        weights.write_bytes(held)
    for arguments in (
        ["--match", "a"],
        ["--match", "a", "b", "--power", "0.1"],
        [str(stores["one"]), str(stores["two"]), "--match", "a", "b"],
    ):
        with pytest.raises(SystemExit) as caught:
            main(["compare", str(stores["both"]), *arguments])
        assert caught.value.code == 2
