"""Labels that others published: read from their files, refused where they do not fit, judged like ours."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_input import Refused
from judged import JUDGED, LUNA, NumberedLLM, judged_config
from stored import check, rows

from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.errors import ConfigError
from autointerp.pipeline import run
from autointerp.progress import Reporter

QUIET = Reporter(quiet=True)


def row(index: int | str, text: str, **other: Any) -> dict[str, Any]:
    return {"modelId": "tiny", "layer": "0-mlp", "index": str(index), "description": text,
            "explanationModelName": "gpt-4o-mini", "typeName": "oai_token-act-pair", **other}  # fmt: skip


LABELS = [row(feature, f'fires  on "word{feature}"') for feature in range(14)]


def as_lines(rows_: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(one)}\n" for one in rows_).encode()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def written(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return written


@pytest.fixture
def mine(judged_store: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copy(judged_store, tmp_path / "mine.duckdb"))


def imported(store: Path, explainer: str = "neuronpedia") -> dict[int, str]:
    found = rows(store, "SELECT feature, text FROM explanations WHERE explainer = $e ORDER BY feature", e=explainer)
    return {one["feature"]: one["text"] for one in found}


@pytest.mark.parametrize("form", ["jsonl", "gz", "two batches", "json", "csv"])
def test_every_form_of_file(mine: Path, write: Callable[[str, bytes], Path], form: str, tmp_path: Path) -> None:
    if form == "jsonl":
        files = [write("batch-0.jsonl", as_lines(LABELS))]
    elif form == "gz":
        files = [write("batch-0.jsonl.gz", gzip.compress(as_lines(LABELS)))]
    elif form == "two batches":
        files = [write("a.jsonl.gz", gzip.compress(as_lines(LABELS[:5]))), write("b.jsonl", as_lines(LABELS[5:]))]
    elif form == "json":
        files = [write("export.json", json.dumps(LABELS).encode())]
    else:
        files = [tmp_path / "labels.csv"]
        with files[0].open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["layer", "index", "description"])
            writer.writeheader()
            writer.writerows({key: one[key] for key in writer.fieldnames} for one in LABELS)
    main(["import", "neuronpedia", str(mine), *map(str, files), "--dictionary", "mlp-1k"])
    assert imported(mine) == {feature: f'fires on "word{feature}"' for feature in range(14)}
    [said] = rows(
        mine, "SELECT triggers, model, status FROM explanations WHERE explainer = 'neuronpedia' AND feature = 3"
    )
    assert said == {"triggers": ["word3"], "model": None if form == "csv" else "gpt-4o-mini", "status": "ok"}
    check(mine)


def test_what_is_left_out_is_counted(
    mine: Path, write: Callable[[str, bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    some = [*LABELS, row(3, "again, otherwise"), row(800, "not extracted"), row(14, " "), row(15, "x" * 100_000)]
    file = write("some.jsonl", as_lines(some))
    main(["import", "neuronpedia", str(mine), str(file), "--dictionary", "mlp-1k"])
    out = capsys.readouterr().out
    assert "14 labels of mlp-1k by neuronpedia" in out
    for reason in ("further ones of a feature", "the store did not extract", "without a text", "longer than"):
        assert f"{reason}" in out
    assert '{ imported = "neuronpedia" }' in out
    assert set(imported(mine)) == set(range(14))
    main(["import", "neuronpedia", str(mine), str(write("same.jsonl", as_lines(LABELS))), "--dictionary", "mlp-1k"])
    assert "there already: 14" in capsys.readouterr().out
    assert len(imported(mine)) == 14


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (as_lines([row(1024, "beyond")]), "line 1: feature 1024 is none of"),
        (as_lines([LABELS[0], row(-1, "before")]), "line 2: feature -1 is none of"),
        (as_lines([row("x7", "no number")]), '"x7" is no number of a feature'),
        (as_lines([LABELS[0], row(1, "of another", layer="1-mlp")]), "several dictionaries"),
        (as_lines([LABELS[0], row(1, "by another", explanationModelName="o9")]), "gpt-4o-mini, o9"),
        (b'{"index": "3"}\n', 'no column "description"'),
        (b'{"index": "3", "description": "a"}\n{"index"\n', "line 2: this is no JSON"),
        (b"[[1]]", "no row with columns"),
        (b"feature,label\n3,a\n", 'no column "description"'),
        (b"", "hold no labels"),
    ],
)
def test_what_does_not_fit_is_refused(
    mine: Path, write: Callable[[str, bytes], Path], refused: Refused, content: bytes, said: str
) -> None:
    file = write("labels", content)
    assert said in refused("import", "neuronpedia", mine, file, "--dictionary", "mlp-1k")


def test_names_that_are_taken(
    mine: Path, write: Callable[[str, bytes], Path], refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("labels.jsonl", as_lines(LABELS))
    command = ("import", "neuronpedia", mine, file, "--dictionary")
    assert "a name of autointerp's own" in refused(*command, "mlp-1k", "--explainer", "lexical")
    assert "a run has explained" in refused(*command, "mlp-1k", "--explainer", LUNA)
    assert 'the nearest is "mlp-1k"' in refused(*command, "mlp-2k")
    assert 'no label is by "gpt"' in refused(*command, "mlp-1k", "--model", "gpt")
    main([*map(str, command), "mlp-1k"])
    capsys.readouterr()
    other = write("other.jsonl", as_lines([row(3, "something else")]))
    assert "has another label" in refused("import", "neuronpedia", mine, other, "--dictionary", "mlp-1k")


def test_one_of_several_writers(mine: Path, write: Callable[[str, bytes], Path]) -> None:
    both = [*LABELS, *(row(feature, "by o9", explanationModelName="o9") for feature in range(3))]
    file = write("both.jsonl", as_lines(both))
    words = ["--dictionary", "mlp-1k", "--explainer", "o9", "--model", "o9"]
    main(["import", "neuronpedia", str(mine), str(file), *words])
    assert imported(mine, "o9") == dict.fromkeys(range(3), "by o9")


def test_they_are_judged_on_the_sample(mine: Path, write: Callable[[str, bytes], Path]) -> None:
    main(["import", "neuronpedia", str(mine), str(write("l.jsonl", as_lines(LABELS))), "--dictionary", "mlp-1k"])
    config = judged_config(mine, "lexical", {"imported": "neuronpedia"}, judge=JUDGED, scorers=["detection"])
    assert config.score.judge is not None
    run(config, reporter=QUIET, open_client=lambda *_: NumberedLLM())
    check(mine)
    sampled = {
        one["feature"]
        for one in rows(mine, "SELECT feature FROM score_table WHERE dictionary = 'mlp-1k' AND explainer = $e", e=LUNA)
    }
    mine_scores = rows(
        mine,
        "SELECT feature, value, status FROM score_table WHERE explainer = 'neuronpedia' AND metric = $m",
        m="balanced_accuracy_matched",
    )
    assert {one["feature"] for one in mine_scores} == sampled & set(range(14))
    assert any(one["value"] is not None for one in mine_scores)
    [summary] = rows(
        mine,
        "SELECT * FROM dictionary_summary WHERE explainer = 'neuronpedia' AND metric = 'balanced_accuracy_matched'",
    )
    control = "SELECT value FROM score_table WHERE explainer = 'shuffled:neuronpedia' AND metric = $m ORDER BY feature"
    values = [one["value"] for one in rows(mine, control, m="balanced_accuracy_matched") if one["value"] is not None]
    assert 0 < len(values) <= config.score.judge.controls
    assert summary["floor"] >= sum(values) / len(values)
    said = imported(mine)
    given = rows(mine, "SELECT feature, donor, text FROM explanations WHERE explainer = 'shuffled:neuronpedia'")
    assert {one["feature"] for one in given} == set(range(14))
    assert all(one["text"] == said[one["donor"]] != said[one["feature"]] for one in given if one["donor"] is not None)
    assert any(one["donor"] is not None for one in given)


@pytest.mark.slow
def test_labels_that_are_imported_later_change_no_control(mine: Path, write: Callable[[str, bytes], Path]) -> None:
    words = ["--dictionary", "mlp-1k"]
    config = judged_config(mine, "lexical", {"imported": "neuronpedia"}, judge=JUDGED, scorers=["detection"])
    controls = "SELECT feature, donor FROM explanations WHERE explainer = 'shuffled:neuronpedia' ORDER BY feature"
    made = []
    for labels in (LABELS[:9], LABELS):
        main(["import", "neuronpedia", str(mine), str(write("l.jsonl", as_lines(labels))), *words])
        run(config, reporter=QUIET, open_client=lambda *_: NumberedLLM())
        check(mine)
        made.append(rows(mine, controls))
    assert made[0] == made[1]
    assert len(made[0]) == 9


def test_a_run_file_that_names_what_is_not_there(mine: Path) -> None:
    with pytest.raises(ConfigError, match='holds no labels by "nobody"'):
        run(judged_config(mine, "lexical", {"imported": "nobody"}), reporter=QUIET)
    plain = judged_config(mine, "lexical").model_dump(mode="json", exclude_none=True, by_alias=True)
    for explainers, judge, said in (
        (["lexical", {"imported": "np"}], False, "needs a judge"),
        ([{"imported": "np"}], True, "stands beside others"),
        (["lexical", {"imported": "shuffled"}], True, "cannot be named"),
    ):
        score = {"judge": JUDGED} if judge else {}
        with pytest.raises(ConfigError, match=said):
            parse_run({**plain, "explain": {"explainers": explainers}, "score": score})
