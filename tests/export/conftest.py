"""What each form of export writes for the store that a run made, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from exported import CIRCUIT, HTML, JSONL, NEURONPEDIA, PARQUET, SAEBENCH, WRITTEN, graph

from autointerp.cli import main


@pytest.fixture(scope="session")
def exported(judged_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what WRITTEN names."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "graph.json").write_text(graph(), encoding="utf-8")
    for name, options in WRITTEN.items():
        form = {HTML: "html", JSONL: "jsonl", PARQUET: "parquet", NEURONPEDIA: "neuronpedia", SAEBENCH: "saebench",
                CIRCUIT: "circuit-tracer"}[name]  # fmt: skip
        words = [str(folder / word) if word == "graph.json" else word for word in options]
        main(["export", str(judged_store), form, "-o", str(folder / name), *words])
    return folder
