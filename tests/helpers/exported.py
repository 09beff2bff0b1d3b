"""What the tests of export ask for."""

from __future__ import annotations

import json

HTML, JSONL, PARQUET, NEURONPEDIA = "features.html", "features.jsonl", "tables", "neuronpedia"
SAEBENCH, CIRCUIT = "saebench.json", "circuits"
WRITTEN = {
    HTML: ["--features", "mlp-1k", "--features", "resid-1k/0:4"],
    JSONL: ["--features", "mlp-1k/2,6"],
    PARQUET: [],
    NEURONPEDIA: ["--features", "mlp-1k", "--features", "resid-1k", "--explainer", "lexical", "--model-id", "tiny"],
    SAEBENCH: ["--features", "mlp-1k"],
    CIRCUIT: ["--features", "mlp-1k", "--features", "resid-1k/0:4", "--explainer", "lexical", "--json-files",
              "--graph", "graph.json"],
}  # fmt: skip
"""The options of each export."""


def graph() -> str:
    """A graph of circuit-tracer with nodes of two layers, one of them labelled by hand."""

    def node(layer: int, feature: int, clerp: str = "", kind: str = "cross layer transcoder") -> dict[str, object]:
        number = (layer + feature) * (layer + feature + 1) // 2 + feature
        return {"node_id": f"{layer}_{feature}_3", "feature": number, "layer": str(layer), "ctx_idx": 3,
                "feature_type": kind, "clerp": clerp}  # fmt: skip

    nodes = [node(0, 1), node(0, 2, "by hand"), node(1, 3), node(0, 900), node(0, 5, kind="mlp reconstruction error")]
    return json.dumps({"metadata": {"slug": "graph"}, "qParams": {}, "nodes": nodes, "links": []})
