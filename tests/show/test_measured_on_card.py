"""What a card says of measured effects, against the view that says it of all features at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from stored import rows

from autointerp.show.measured_effects import MeasuredEffect, load_measured_effects
from autointerp.store.reader import open_reader

VIEW = """
SELECT split, direction, n, kl, kl_of_entropy, kl_after, loss_change, loss_change_se, loss_estimate, direct_share
FROM feature_effects
WHERE dictionary = $d AND feature = $f ORDER BY split = 'explain', direction <> 'feature', direction
"""


@pytest.mark.parametrize("later_run", [False, True])
def test_measured_effects_are_those_of_the_view(store: Path, later_run: bool) -> None:
    if later_run:  # a run that measured nothing anew, so that current work is looked for
        import duckdb

        with duckdb.connect(str(store)) as connection:
            connection.execute("INSERT INTO runs SELECT * REPLACE ('later' AS run) FROM runs LIMIT 1")
    features = rows(store, "SELECT DISTINCT dictionary AS d, feature AS f FROM causal_effects ORDER BY ALL")
    assert len(features) > 1
    n = 0
    with open_reader(store) as reader:
        for key in features:
            seen = load_measured_effects(reader, key["d"], key["f"])
            known = [MeasuredEffect(**row) for row in rows(store, VIEW, **key)]
            assert [dataclasses.asdict(one) for one in seen] == [dataclasses.asdict(one) for one in known]
            n += len(seen)
        assert load_measured_effects(reader, features[0]["d"], 10**6) == ()
    assert n > 1
