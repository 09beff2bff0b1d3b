"""NumPy arrays, lists and Arrow arrays become columns of a table, and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.store.columns import TableColumn, csr_list, to_csr, to_table
from autointerp.store.writer import StoreWriter


def test_every_form_of_a_column_comes_back(tmp_path: Path) -> None:
    start, values = np.array([0, 2, 2, 3]), np.array([4, 5, 6], np.uint32)
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with writer.transaction() as t:
            for pools in (csr_list(start, values), [[4, 5], [], [6]], [np.array([4, 5]), np.array([]), [6]]):
                about = {"dictionary": "sae", "feature": np.arange(3), "split": "score", "bits": None}
                assert t.append("pool_firing", about | {"listed": pools}) == 3
            two = {"dictionary": "two", "feature": pa.array([0, 1]), "split": "score", "bits": None}
            t.append("pool_firing", two | {"listed": np.eye(2, dtype=int)})
            some = csr_list(np.array([0, 2, 2]), values[:2], missing=np.array([False, True]))
            t.append("pool_firing", two | {"dictionary": "some", "listed": some, "bits": [None, b"\x50\x80"]})
        rows = writer.rows(
            "SELECT feature, pools_of(listed, bits) AS pools FROM pool_firing WHERE dictionary = 'sae' ORDER BY feature"
        )
        assert [row["pools"] for row in rows] == [[4, 5]] * 3 + [[]] * 3 + [[6]] * 3
        assert writer.rows("SELECT pools_of(listed, bits) AS pools FROM pool_firing WHERE dictionary = 'two'") == [
            {"pools": [1, 0]},
            {"pools": [0, 1]},
        ]
        assert writer.rows(
            "SELECT listed, pools_of(listed, bits) AS pools FROM pool_firing WHERE dictionary = 'some' ORDER BY feature"
        ) == [
            {"listed": [4, 5], "pools": [4, 5]},
            {"listed": None, "pools": [1, 3, 8]},
        ]


def test_nan_is_no_value_where_there_may_be_none_and_refused_elsewhere(tmp_path: Path) -> None:
    score = {
        "run": "r",
        "dictionary": "d",
        "feature": [0, 1, 2],
        "explainer": "e",
        "scorer": "s",
        "metric": "m",
        "design": "census",
        "value": np.array([1.0, np.nan, 0.0]),
        "ci_low": [0.5, float("nan"), None],
        "ci_high": np.float64("nan"),
        "n": 1,
        "n_failed": 0,
        "status": "ok",
    }
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with writer.transaction() as t:
            t.append("scores", score)
        assert writer.query("SELECT value, ci_low, ci_high FROM scores").to_pydict() == {
            "value": [1.0, None, 0.0],
            "ci_low": [0.5, None, None],
            "ci_high": [None, None, None],
        }
        with pytest.raises(ValueError, match=r"stages\.seconds: 1 rows have no value"), writer.transaction() as t:
            t.mark_done("score", "w", None, 0, float("nan"))


SCHEMA = (TableColumn("number", pa.int32(), False), TableColumn("share", pa.float64(), True))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"number": [1], "shrae": [1.0]},
            r"t: columns that it does not have: \['shrae'\]; columns not given: \['share'\]",
        ),
        ({"number": [1, 2], "share": [1.0]}, "different lengths"),
        ({"number": np.array([1.5]), "share": None}, r"t\.number"),
        ({"number": np.array([2**40]), "share": None}, r"t\.number"),
        ({"number": ["a"], "share": None}, r"t\.number"),
        ({"number": [None], "share": None}, r"t\.number: 1 rows have no value"),
    ],
)
def test_wrong_columns_are_named(columns: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_table("t", SCHEMA, columns)


def test_an_unknown_table_is_named(tmp_path: Path) -> None:
    with (
        StoreWriter.open(tmp_path / "x.duckdb") as writer,
        pytest.raises(ValueError, match=r"no table 'scoers'.*scores"),
        writer.transaction() as t,
    ):
        t.append("scoers", {})


@given(st.lists(st.lists(st.integers(0, 255), max_size=4), max_size=20))
def test_csr_survives_the_way_there_and_back(lists: list[list[int]]) -> None:
    start = np.cumsum([0, *map(len, lists)])
    values = np.array([value for one in lists for value in one], dtype=np.uint8)
    column = csr_list(start, values)
    assert [item.as_py() for item in column] == lists
    back, flat = to_csr(pa.chunked_array([column[:3], column[3:]]))
    assert back.tolist() == start.tolist()
    assert flat.tolist() == values.tolist()


def test_csr_copies_nothing() -> None:
    values = np.arange(1000, dtype=np.float32)
    column = csr_list(np.array([0, 1000]), values)
    held = column.values.buffers()[1]
    assert held is not None
    assert held.address == values.ctypes.data


@pytest.mark.parametrize("start", [[0, 5], [2, 1], [-1, 2], []])
def test_csr_checks_its_starts(start: list[int]) -> None:
    with pytest.raises(ValueError, match="start must rise"):
        csr_list(np.array(start, dtype=np.int64), np.arange(3))
