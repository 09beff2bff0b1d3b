"""`export circuit-tracer`: features for attribution graphs, in the layout that circuit-tracer's page reads.

    FOLDER/features/index.json.gz     {"LAYER": {"filename": "layer_LAYER.bin", "offsets": [0, ...]}}
    FOLDER/features/layer_LAYER.bin   of each feature: its length in four bytes, the lowest first, then gzipped JSON;
                                      feature i stands at offsets[i] to offsets[i + 1]
    FOLDER/features/NUMBER.json       with `json_files`: the same, a file a feature; NUMBER is Cantor's pairing of layer
                                      and feature, as graphs count
    FOLDER/graph_data/SLUG.json       with `graphs`: these graphs, with a label at each node that has none

A feature's JSON: `top_logits`, `bottom_logits`, `act_min`, `act_max`, `activation_frequency`, `index`, `histogram`,
`quantile_values` (the first to the hundredth hundredth of its firings, interpolated in the histogram's bins), and
`examples_quantiles`, groups of windows with `tokens`, `tokens_acts_list` and `train_token_ind`. The last group has no
windows: its title is the label with its score, for pages that show titles. Features of the width that are not exported
are `isDead` there, which the page says. Read off decoderesearch/circuit-tracer, 0.5.0 on the package index.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autointerp.browse.histogram_data import ActivationHistogram, load_histograms
from autointerp.errors import UserError
from autointerp.export.chosen import ChosenFeatures, cards_of, headline_score, label_of
from autointerp.show.card_data import ExplanationLine, FeatureCard
from autointerp.show.card_exemplars import CardExemplar
from autointerp.show.feature_parts import stratified
from autointerp.show.text import visible
from autointerp.store.evidence import dictionary_row
from autointerp.store.reader import StoreReader
from autointerp.text_files import read_text
from autointerp.whole_files import whole_folder

TOP, EACH = 20, 2
"""Exemplars of the first stratum, and of every other."""
_LAYER = re.compile(r"blocks\.(\d+)\.")
_NODE = re.compile(r"(\d+)_(\d+)_(\d+)")
Labels = dict[tuple[int, int], str]
"""By layer and feature."""


def export_circuit_tracer(
    store: StoreReader,
    chosen: Sequence[ChosenFeatures],
    folder: Path,
    explainer: str | None,
    say: Callable[[str], None],
    *,
    graphs: Sequence[Path] = (),
    json_files: bool = False,
) -> None:
    """Writes the folder. Raises UserError where its name is taken, where two dictionaries are at one layer or one is at
    none, or where a graph cannot be read."""
    layers = _layers(store, chosen)
    read = {path: _read_graph(path) for path in graphs}
    labels: Labels = {}
    with whole_folder(folder) as part:
        features = part / "features"
        features.mkdir()
        index = {}
        for some in chosen:
            layer = layers[some.dictionary]
            offsets = _write_layer(store, some, layer, features, explainer, labels, json_files)
            index[str(layer)] = {"filename": f"layer_{layer}.bin", "offsets": offsets}
            say(f"layer {layer}: {len(some.features):,} features of {some.dictionary}")
        (features / "index.json.gz").write_bytes(_zipped(index))
        for path, graph in read.items():
            (part / "graph_data").mkdir(exist_ok=True)
            n = label_nodes(graph, labels)
            (part / "graph_data" / path.name).write_text(json.dumps(graph, ensure_ascii=False), encoding="utf-8")
            say(f"{path.name}: {n:,} nodes labelled")


def cantor_number(layer: int, feature: int) -> int:
    """Cantor's pairing: what a graph calls a feature."""
    return (layer + feature) * (layer + feature + 1) // 2 + feature


def label_nodes(graph: dict[str, Any], labels: Mapping[tuple[int, int], str]) -> int:
    """Puts labels (`clerp`) at the feature nodes that have none; returns at how many."""
    n = 0
    for node in graph["nodes"]:
        parts = _NODE.fullmatch(str(node.get("node_id", "")))
        if parts is None or node.get("clerp") or node.get("feature_type") != "cross layer transcoder":
            continue
        label = labels.get((int(parts[1]), int(parts[2])))
        if label is not None:
            node["clerp"] = label
            n += 1
    return n


def _layers(store: StoreReader, chosen: Sequence[ChosenFeatures]) -> dict[str, int]:
    layers: dict[str, int] = {}
    for some in chosen:
        hook = dictionary_row(store, some.dictionary)["hook"]
        parts = _LAYER.match(hook)
        if parts is None:
            raise UserError(f'"{some.dictionary}" is at {hook}, which is in no layer; graphs count features by layer')
        layer = int(parts[1])
        if layer in layers.values():
            [other] = [name for name, number in layers.items() if number == layer]
            raise UserError(
                f'"{other}" and "{some.dictionary}" are both in layer {layer}, and the layout has one dictionary a '
                "layer; name one of them by --features"
            )
        layers[some.dictionary] = layer
    return layers


def _read_graph(path: Path) -> dict[str, Any]:
    try:
        graph = json.loads(read_text(path))
    except OSError as error:
        raise UserError(f'the graph "{path}" cannot be read: {error.strerror or error}') from error
    except json.JSONDecodeError as error:
        raise UserError(f'the graph "{path}" is no JSON: {error}') from error
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise UserError(f'"{path}" is no graph of circuit-tracer: it has no list "nodes"')
    return dict(graph)


def _write_layer(
    store: StoreReader,
    some: ChosenFeatures,
    layer: int,
    folder: Path,
    explainer: str | None,
    labels: Labels,
    json_files: bool,
) -> list[int]:
    """Writes the layer's file, gathers its labels and returns the offsets, one more than there are features."""
    cards = cards_of(store, some, top=TOP, each=EACH)
    exported = set(some.features)
    offsets = [0]
    with (folder / f"layer_{layer}.bin").open("wb") as stream:
        for feature in range(dictionary_row(store, some.dictionary)["n_features"]):
            record = _absent(feature)
            if feature in exported:
                card = next(cards)
                line = label_of(card, explainer)
                if line is not None:
                    labels[layer, feature] = visible(line.text or "")
                record = feature_record(card, line, _histogram(store, card))
                if json_files:
                    number = cantor_number(layer, feature)
                    (folder / f"{number}.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
            zipped = _zipped(record)
            offsets.append(offsets[-1] + stream.write(len(zipped).to_bytes(4, "little") + zipped))
    return offsets


def _histogram(store: StoreReader, card: FeatureCard) -> ActivationHistogram | None:
    """That of the explain split, whose largest activation the card names."""
    split = load_histograms(store.brief(), card.dictionary, card.feature)
    return next((one for one in split if one.split == "explain"), None)


def firing_shares(of: ActivationHistogram) -> tuple[list[float], list[float]]:
    """The share of its firings in bins of one width, from 0 to the bin of the largest; and the activation that each
    hundredth of them does not pass."""
    width = of.upper / len(of.linear)
    n_bins = min(len(of.linear), int(np.ceil(of.max_activation / width)))
    counts = np.asarray(of.linear[:n_bins], dtype=np.float64)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    edges = np.minimum(width * np.arange(n_bins + 1), of.max_activation)
    return (counts / counts.sum()).tolist(), np.interp(np.arange(1, 101) / 100, below, edges).tolist()


def feature_record(
    card: FeatureCard, line: ExplanationLine | None, histogram: ActivationHistogram | None
) -> dict[str, Any]:
    """The JSON of a feature; `histogram`: None where it does not fire on the explain split."""
    shares, hundredths = firing_shares(histogram) if histogram is not None else ([], [])
    groups = [
        {"quantile_name": _title(stratum), "examples": [_example(window) for window in windows]}
        for stratum, windows in stratified(card.exemplars)
    ] or [{"quantile_name": _title("top"), "examples": []}]
    record: dict[str, Any] = {
        "transcoder_id": card.dictionary,
        "index": card.feature,
        "examples_quantiles": groups,
        "top_logits": [effect.text for effect in card.promoted],
        "bottom_logits": [effect.text for effect in card.suppressed],
        "act_min": 0.0,
        "act_max": card.max_activation,
        "activation_frequency": card.density,
        "histogram": shares,
        "quantile_values": hundredths,
    }
    if line is not None:
        score = headline_score(line)
        said = line.explainer if score is None else f"{line.explainer}, {score.metric} {score.value:.2f}"
        record["label"] = line.text
        record["explainer"] = line.explainer
        record["scores"] = [
            {"scorer": of.scorer, "metric": of.metric, "design": of.design, "value": of.value, "status": of.status}
            for of in line.scores
        ]
        groups.append({"quantile_name": f"Label ({said}): {visible(line.text or '')}", "examples": []})
    return record


def _absent(feature: int) -> dict[str, Any]:
    return {"index": feature, "isDead": True, "examples_quantiles": [], "top_logits": [], "bottom_logits": []}


def _title(stratum: str) -> str:
    return "Top activations" if stratum == "top" else stratum.replace("_", " ").capitalize()


def _example(window: CardExemplar) -> dict[str, Any]:
    return {
        "tokens": [token.text for token in window.tokens],
        "tokens_acts_list": [token.activation for token in window.tokens],
        "train_token_ind": window.peak,
        "is_repeated_datapoint": False,
    }


def _zipped(record: object) -> bytes:
    return gzip.compress(json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace"), mtime=0)
