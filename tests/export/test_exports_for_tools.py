"""`export neuronpedia`, `saebench` and `circuit-tracer`: the layouts of others, read as they read them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from exported import CIRCUIT, NEURONPEDIA, SAEBENCH, graph
from stored import rows

from autointerp.show.text import visible

# --- circuit-tracer: as its page reads a feature


def feature_at(folder: Path, layer: int, feature: int) -> dict[str, Any]:
    """By index and offsets: four bytes of length, the lowest first, then gzip."""
    index = json.loads(gzip.decompress((folder / "features" / "index.json.gz").read_bytes()))
    entry = index[str(layer)]
    start, end = entry["offsets"][feature], entry["offsets"][feature + 1]
    piece = (folder / "features" / entry["filename"]).read_bytes()[start : end + 1]
    length = piece[0] | piece[1] << 8 | piece[2] << 16 | piece[3] << 24
    return dict(json.loads(gzip.decompress(piece[4 : 4 + length])))


def test_a_feature_of_a_graph(exported: Path, judged_store: Path) -> None:
    folder = exported / CIRCUIT
    feature = feature_at(folder, 0, 1)
    [known] = rows(judged_store, "SELECT * FROM features WHERE dictionary = 'mlp-1k' AND feature = 1")
    assert feature["act_max"] == pytest.approx(known["max_activation"])
    assert feature["activation_frequency"] == known["density"]
    top = feature["examples_quantiles"][0]
    assert top["quantile_name"] == "Top activations"
    for group in feature["examples_quantiles"]:
        for example in group["examples"]:
            assert len(example["tokens"]) == len(example["tokens_acts_list"])
            assert 0 <= example["train_token_ind"] < len(example["tokens"])
            assert example["is_repeated_datapoint"] is False
    largest = [example["tokens_acts_list"][example["train_token_ind"]] for example in top["examples"]]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] == pytest.approx(known["max_activation"])
    assert feature["top_logits"]
    hundredths, shares = feature["quantile_values"], feature["histogram"]
    assert sum(shares) == pytest.approx(1)
    assert shares[-1] > 0
    assert len(hundredths) == 100
    assert hundredths == sorted(hundredths)
    assert hundredths[-1] == pytest.approx(known["max_activation"])
    bins = [sum(value <= known["max_activation"] * (i + 1) / len(shares) for value in hundredths) / 100
            for i in range(len(shares))]  # fmt: skip
    assert bins == pytest.approx([sum(shares[: i + 1]) for i in range(len(shares))], abs=max(shares) + 0.02)
    [said] = rows(
        judged_store,
        "SELECT text, value FROM current_explanations JOIN score_table USING (dictionary, feature, explainer) "
        "WHERE dictionary = 'mlp-1k' AND feature = 1 AND explainer = 'lexical' AND metric = 'pearson' "
        "AND scorer = 'simulation' AND design = 'census'",
    )
    assert feature["label"] == said["text"]
    title = feature["examples_quantiles"][-1]["quantile_name"]
    assert title == f"Label (lexical, pearson {said['value']:.2f}): {visible(said['text'])}"


def test_every_feature_of_the_width_has_a_place(exported: Path) -> None:
    folder = exported / CIRCUIT
    index = json.loads(gzip.decompress((folder / "features" / "index.json.gz").read_bytes()))
    assert set(index) == {"0", "1"}
    for layer, entry in index.items():
        assert len(entry["offsets"]) == 1025
        assert entry["offsets"][-1] == (folder / "features" / f"layer_{layer}.bin").stat().st_size
    assert feature_at(folder, 1, 1023)["isDead"] is True
    assert "isDead" not in feature_at(folder, 1, 3)
    number = (1 + 3) * (1 + 3 + 1) // 2 + 3
    assert json.loads((folder / "features" / f"{number}.json").read_text("utf-8")) == feature_at(folder, 1, 3)


def test_labels_stand_at_the_nodes_of_a_graph(exported: Path) -> None:
    labelled = json.loads((exported / CIRCUIT / "graph_data" / "graph.json").read_text("utf-8"))
    clerps = {node["node_id"]: node["clerp"] for node in labelled["nodes"]}
    assert clerps["0_1_3"] == visible(feature_at(exported / CIRCUIT, 0, 1)["label"])
    assert clerps["1_3_3"] == visible(feature_at(exported / CIRCUIT, 1, 3)["label"])
    assert (clerps["0_2_3"], clerps["0_900_3"], clerps["0_5_3"]) == ("by hand", "", "")
    assert {**labelled, "nodes": []} == {**json.loads(graph()), "nodes": []}


# --- SAEBench: the rules of its schema and of its own checks


def test_a_result_of_saebench(exported: Path, judged_store: Path) -> None:
    result = json.loads((exported / SAEBENCH).read_text("utf-8"))
    kinds: dict[str, tuple[type, ...]] = {
        "eval_type_id": (str,), "eval_config": (dict,), "eval_id": (str,), "datetime_epoch_millis": (int,),
        "eval_result_metrics": (dict,), "eval_result_details": (list,), "sae_bench_commit_hash": (str,),
        "sae_lens_id": (str, type(None)), "sae_lens_release_id": (str, type(None)),
        "sae_lens_version": (str, type(None)), "sae_cfg_dict": (dict, type(None)), "eval_result_unstructured": (dict,),
    }  # fmt: skip
    assert set(result) == set(kinds)
    assert not [name for name, kind in kinds.items() if not isinstance(result[name], kind)]
    config = result["eval_config"]
    numbers = {name: value for name, value in config.items() if isinstance(value, int | float)}
    assert {"n_latents", "dead_latent_threshold", "random_seed", "llm_context_size", "total_tokens"} <= set(numbers)
    assert config["n_latents"] is None or config["override_latents"] is None, "SAEBench asserts it"
    assert set(result["eval_result_metrics"]["autointerp"]) == {"autointerp_score", "autointerp_std_dev"}
    known = rows(
        judged_store,
        "SELECT feature, value FROM score_table WHERE dictionary = 'mlp-1k' AND explainer = 'lexical' "
        "AND metric = 'accuracy_saebench' AND value IS NOT NULL ORDER BY feature",
    )
    latents = result["eval_result_unstructured"]
    assert [(latent["latent"], latent["score"]) for latent in latents.values()] == [
        (row["feature"], row["value"]) for row in known
    ]
    mean = sum(row["value"] for row in known) / len(known)
    assert result["eval_result_metrics"]["autointerp"]["autointerp_score"] == pytest.approx(mean)
    assert all(latent["explanation"] for latent in latents.values())


# --- Neuronpedia: the columns of its tables


def batch(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = gzip.decompress((folder / kind / "batch-0.jsonl.gz").read_bytes()).decode("utf-8").splitlines()
    return [dict(json.loads(line)) for line in lines]


def test_a_source_of_neuronpedia(exported: Path, judged_store: Path) -> None:
    assert sorted(path.name for path in (exported / NEURONPEDIA / "tiny").iterdir()) == ["0-mlp-1k", "1-resid-1k"]
    folder = exported / NEURONPEDIA / "tiny" / "0-mlp-1k"
    heads = {name: json.loads((folder / f"{name}.jsonl").read_text("utf-8"))
             for name in ("release", "model", "sourceset", "source")}  # fmt: skip
    assert heads["model"]["id"] == heads["source"]["modelId"] == heads["sourceset"]["modelId"] == "tiny"
    assert heads["source"]["setName"] == heads["sourceset"]["name"] == "mlp-1k"
    assert heads["sourceset"]["releaseName"] == heads["release"]["name"]
    features = batch(folder, "features")
    assert [row["index"] for row in features] == [str(number) for number in range(16)]
    assert {(row["modelId"], row["layer"], row["sourceSetName"]) for row in features} == {
        ("tiny", "0-mlp-1k", "mlp-1k")
    }
    known = {row["feature"]: row for row in rows(judged_store, "SELECT * FROM features WHERE dictionary = 'mlp-1k'")}
    for row in features:
        assert row["frac_nonzero"] == known[int(row["index"])]["density"]
        assert len(row["pos_str"]) == len(row["pos_values"])
        assert len(row["topkCosSimIndices"]) == len(row["topkCosSimValues"])
        assert len(row["freq_hist_data_bar_heights"]) == len(row["freq_hist_data_bar_values"])
    alive = features[1]
    firing = sum(alive["freq_hist_data_bar_heights"])
    assert firing == known[1]["n_firing"]
    assert alive["pos_values"] == sorted(alive["pos_values"], reverse=True)
    assert alive["neg_values"] == sorted(alive["neg_values"])


def test_its_labels_and_windows(exported: Path, judged_store: Path) -> None:
    folder = exported / NEURONPEDIA / "tiny" / "0-mlp-1k"
    labels = {int(row["index"]): row["description"] for row in batch(folder, "explanations")}
    known = rows(
        judged_store,
        "SELECT feature, text FROM current_explanations WHERE dictionary = 'mlp-1k' AND explainer = 'lexical' "
        "AND text IS NOT NULL",
    )
    assert labels == {row["feature"]: row["text"] for row in known}
    activations = batch(folder, "activations")
    assert len({row["id"] for row in activations}) == len(activations) > 0
    for row in activations:
        assert row["values"][row["maxValueTokenIndex"]] == row["maxValue"] == max(row["values"])
        assert row["minValue"] == min(row["values"])
        assert len(row["tokens"]) == len(row["values"])
