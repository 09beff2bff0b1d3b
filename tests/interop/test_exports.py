"""What `export` writes for other tools, read by the classes that these tools read it with."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from exported import graph

pytestmark = pytest.mark.interop


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported here: {str(error).splitlines()[0]}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete store without a subject, and with the run file that exports quote."""
    import built_store
    import duckdb

    from autointerp.config.loading import parse_run

    path = tmp_path_factory.mktemp("exports") / "s.duckdb"
    built_store.build_store(path)
    entries = [{"name": "sae", "path": "nowhere"}]
    config = parse_run({"name": "s", "store": "s.duckdb", "subject": {"model": "m"},
                        "tokens": {"source": "text:nowhere", "n_tokens": 1000}, "dictionary": entries})  # fmt: skip
    said = {**config.model_dump(mode="json"), "tokens": {**config.tokens.model_dump(mode="json"), "window": 8}}
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE runs SET config = $said", {"said": json.dumps(said)})
        connection.execute("UPDATE scores SET metric = 'accuracy_saebench' WHERE metric = 'pearson_framed'")
    return path


def test_a_result_is_one_of_saebench(store: Path, tmp_path: Path) -> None:
    from pydantic import TypeAdapter

    from autointerp.cli import main

    output = library("sae_bench.evals.autointerp.eval_output").AutoInterpEvalOutput
    main(["export", str(store), "saebench", "--features", "sae", "-o", str(tmp_path / "result.json")])
    written = (tmp_path / "result.json").read_bytes()
    read = TypeAdapter(output).validate_json(written)
    known = json.loads(written)
    assert read.eval_result_metrics.autointerp.autointerp_score == pytest.approx(
        known["eval_result_metrics"]["autointerp"]["autointerp_score"]
    )
    folder = Path(library("sae_bench").__path__[0])
    schema = json.loads((folder / "evals/autointerp/eval_output_schema_autointerp.json").read_text("utf-8"))
    assert set(schema["required"]) <= set(known) <= set(schema["properties"])
    config = next(of for name, of in schema["$defs"].items() if name == "AutoInterpEvalConfig")
    assert set(known["eval_config"]) <= set(config["properties"])


def test_features_and_graphs_are_those_of_circuit_tracer(store: Path, tmp_path: Path) -> None:
    from autointerp.cli import main

    feature_model = library("circuit_tracer.frontend.feature_models").Model
    graph_model = library("circuit_tracer.frontend.graph_models").Model
    whole = json.loads(graph())
    whole["metadata"] |= {"scan": "s", "transcoder_list": [], "prompt_tokens": ["a"], "prompt": "a"}
    whole["qParams"] = {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""}
    (tmp_path / "graph.json").write_text(json.dumps(whole), encoding="utf-8")
    words = ["--features", "sae", "--json-files", "--graph", str(tmp_path / "graph.json")]
    main(["export", str(store), "circuit-tracer", "-o", str(tmp_path / "circuits"), *words])
    features = [json.loads(file.read_text("utf-8")) for file in (tmp_path / "circuits/features").glob("*.json")]
    assert len(features) > 3
    for feature in features:
        read = feature_model(**feature)
        assert read.index == feature["index"]
        assert len(read.quantile_values) in (0, 100)
    labelled = graph_model(**json.loads((tmp_path / "circuits/graph_data/graph.json").read_text("utf-8")))
    assert any(node.clerp not in ("", "by hand") for node in labelled.nodes)
    shutil.rmtree(tmp_path / "circuits")
