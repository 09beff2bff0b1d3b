"""`export html`, `jsonl` and `parquet`."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exported import HTML, JSONL, PARQUET
from judged import LABELLED
from stored import rows

from autointerp.browse.feature_data import load_feature
from autointerp.cli import main
from autointerp.show.plain_json import as_json
from autointerp.store.reader import open_reader


def test_the_page_is_one_file_that_needs_nothing(exported: Path) -> None:
    page = (exported / HTML).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert not re.search(r"<(script|img|iframe|object|link)\b|https?://|url\(", page)
    assert len(re.findall(r'<section class="autointerp"', page)) == 20
    anchors = set(re.findall(r'id="([^"]*)"', page))
    links = set(re.findall(r'href="#([^"]*)"', page))
    assert links
    assert links <= anchors
    assert {"mlp-1k/0", "mlp-1k/15", "resid-1k/3"} <= anchors
    assert 'Fires on "self".' in unescape(page)
    assert len(page) / 20 < 50_000, "a hundred features are under 5 MB"


def test_hostile_labels_stay_text(judged_store: Path, tmp_path: Path) -> None:
    store = Path(shutil.copy(judged_store, tmp_path / "hostile.duckdb"))
    main(["label", str(store), "mlp-1k/7", '</section><script>alert("x")</script> \x1b[0m'])
    main(
        ["export", str(store), "html", "--features", "mlp-1k/7", "--explainer", "human", "-o", str(tmp_path / "x.html")]
    )
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page


def test_a_line_of_json_is_the_page_of_the_browser(exported: Path, judged_store: Path) -> None:
    lines = (exported / JSONL).read_bytes().splitlines()
    with open_reader(judged_store) as reader:
        assert lines == [as_json(load_feature(reader, "mlp-1k", feature)) for feature in (2, 6)]


def test_the_tables_hold_what_the_store_does(exported: Path, judged_store: Path) -> None:
    read = {path.stem: pq.read_table(path) for path in (exported / PARQUET).iterdir()}
    assert set(read) == {"features", "explanations", "scores", "exemplars", "logit_effects"}
    for name, view in (("features", "features"), ("explanations", "current_explanations"), ("scores", "score_table")):
        [counted] = rows(judged_store, f"SELECT count(*) AS n FROM {view} WHERE dictionary NOT LIKE '%@natural'")
        assert read[name].num_rows == counted["n"] > 0, name
    labels = {row["text"] for row in read["explanations"].to_pylist() if row["explainer"] == "human"}
    assert labels == {'Fires on "self".'}
    assert any("«" in row["text"] for row in read["exemplars"].to_pylist())
    assert LABELLED in read["logit_effects"]["feature"].to_pylist()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["html", "--features", "mlp/0:4"], 'the nearest is "mlp-1k"'),
        (["html", "--features", "mlp-1k/3,99"], "feature 99 is not in the store"),
        (["html", "--features", "mlp-1k/90:95"], "none of these features"),
        (["html", "--features", "mlp-1k/x"], "give DICT, DICT/0:100 or DICT/7,9"),
        (["html", "--explainer", "nobody"], 'no explainer "nobody"'),
        (["html", "--graph", "g.json"], "--graph goes with circuit-tracer"),
        (["parquet", "--model-id", "x"], "--model-id goes with neuronpedia"),
        (["saebench"], "is about one dictionary"),
        (["saebench", "--features", "neurons@natural", "--explainer", "shuffled"], "has accuracy_saebench"),
        (["circuit-tracer"], "both in layer 0"),
        (["circuit-tracer", "--features", "mlp-1k", "--graph", "no-such.json"], "cannot be read"),
        (["neuronpedia", "--source-set", "same", "--features", "mlp-1k", "--features", "neurons"], "both be source"),
        (["neuronpedia", "--model-id", "../up"], "give letters"),
    ],
)
def test_wrong_use_is_a_line_and_leaves_nothing(
    judged_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", str(judged_store), *words, "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_written_over(exported: Path, judged_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((exported / PARQUET).iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["export", str(judged_store), "parquet", "-o", str(exported / PARQUET)])
    assert ended.value.code == 2
    assert "is there already" in capsys.readouterr().err
    assert sorted((exported / PARQUET).iterdir()) == before


def test_a_file_is_replaced_whole(judged_store: Path, tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text("old", encoding="utf-8")
    main(["export", str(judged_store), "jsonl", "--features", "mlp-1k/0", "-o", str(path)])
    assert json.loads(path.read_text(encoding="utf-8"))["card"]["feature"] == 0
    assert list(tmp_path.iterdir()) == [path]
