"""The positive control: labels of planted features must predict them, labels of other features must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autointerp.config.loading import parse_run
from autointerp.explain.lexical import NAMED
from autointerp.pipeline import run
from autointerp.progress import Reporter
from autointerp.store.reader import open_reader
from autointerp.store.verify import verify


@pytest.mark.slow
def test_planted_features_on_the_bundled_model(tmp_path: Path) -> None:
    config = parse_run(
        {
            "name": "control",
            "store": str(tmp_path / "control.duckdb"),
            "subject": {"model": "bundled:subject"},
            "tokens": {"source": "bundled:corpus"},
            "effects": {"features": "none"},
            "dictionary": [{"name": "planted", "path": "bundled:planted"}],
            "score": {"features": {"sample": 10}},
        }
    )
    path = run(config, reporter=Reporter(quiet=True))
    with open_reader(path) as store:
        assert all(check.ok for check in verify(store))
        sql = """
            SELECT explainer, feature, value FROM score_table
            WHERE metric = 'pearson' AND design = 'census' ORDER BY feature
        """
        values: dict[str, dict[int, float]] = {}
        for row in store.rows(sql):
            if row["value"] is not None:
                values.setdefault(row["explainer"], {})[row["feature"]] = row["value"]
        n_tokens = {
            row["feature"]: row["n"] for row in store.rows("SELECT feature, len(tokens) AS n FROM feature_tokens")
        }
        labels = store.rows("SELECT count(*) AS n FROM features WHERE planted_label IS NOT NULL")
    assert labels[0]["n"] >= 30
    assert len(values["lexical"]) >= 30
    assert min(values["context_lookup"].values()) > 0.95, "each of them, not only on average"
    nameable = [value for feature, value in values["lexical"].items() if n_tokens[feature] <= NAMED]
    assert len(nameable) >= 30
    assert min(nameable) > 0.95, "each that a label of this length can say"
    assert np.mean(list(values["shuffled"].values())) < 0.05
    assert set(values["constant"].values()) == {0.0}
