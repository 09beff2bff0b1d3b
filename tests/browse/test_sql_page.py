"""The SQL page: any reading statement, and nothing else, for a while, and not more rows than a page holds."""

from __future__ import annotations

import json
import re
import time
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from stored import rows

from autointerp.browse.sql_child import answer
from autointerp.browse.sql_data import FIRST_QUESTIONS, first_questions, ready_questions, run_statement
from autointerp.errors import UserError
from autointerp.resources import folder
from autointerp.store.reader import open_reader

DOCS = Path(__file__).parents[2] / "docs" / "SQL.md"


@pytest.fixture(scope="module")
def asked(built: tuple[Path, object], open_pages: Any) -> Any:
    """What the page's JSON says of a statement."""
    client = open_pages(built[0])

    def told(sql: str) -> Any:
        said = client.get("/sql.json", params={"q": sql})
        assert said.status_code == 200, said.text
        return json.loads(said.text)

    return told


def test_the_rows_are_those_of_the_command(asked: Any, built: tuple[Path, object]) -> None:
    sql = "SELECT dictionary, feature, density, planted_label FROM features ORDER BY ALL"
    page = asked(sql)
    expected = rows(built[0], sql)
    assert page["error"] is None
    assert page["answer"]["columns"] == ["dictionary", "feature", "density", "planted_label"]
    assert page["answer"]["rows"] == [list(row.values()) for row in expected]
    assert not page["answer"]["more"]


def test_lists_dates_bytes_and_what_is_no_number(asked: Any) -> None:
    page = asked("SELECT [1, 2] AS l, {'a': 1} AS s, DATE '2026-01-02' AS d, 'nan'::DOUBLE AS n, 12::HUGEINT AS h, "
                 "'\\xAB'::BLOB AS b")  # fmt: skip
    assert page["answer"]["rows"] == [[[1, 2], {"a": 1}, "2026-01-02", None, 12, "b'\\xab'"]]


def test_what_is_refused_is_said_on_the_page(asked: Any) -> None:
    assert "only read" in asked("DROP TABLE features")["error"]


def test_a_page_of_rows_and_not_one_more(asked: Any) -> None:
    page = asked("FROM range(1_000_000_000_000)")
    assert len(page["answer"]["rows"]) == 10_000
    assert page["answer"]["more"]
    assert page["answer"]["seconds"] < 8


REFUSED = [
    ("INSERT INTO features SELECT * FROM features", "only read"),
    ("UPDATE features SET density = 0", "only read"),
    ("DROP TABLE features", "only read"),
    ("CREATE TABLE t AS SELECT 1", "only read"),
    ("ATTACH '/tmp/x.duckdb'", "only read"),
    ("COPY features TO '/tmp/autointerp-copied.csv'", "only read"),
    ("EXPORT DATABASE '/tmp/autointerp-exported'", "only read"),
    ("INSTALL httpfs", "only read"),
    ("LOAD httpfs", "only read"),
    ("SET enable_external_access = true", "only read"),
    ("PRAGMA database_list; SELECT 1", "one SQL statement"),
    ("SELECT 1; SELECT 2", "one SQL statement"),
    ("CALL pragma_version()", "only read"),
    ("SELECT * FROM read_text('/etc/passwd')", "SQL: "),
    ("SELECT * FROM read_csv('/etc/passwd')", "SQL: "),
    ("SELECT * FROM read_blob('/etc/hostname')", "SQL: "),
    ("FROM '/etc/passwd'", "SQL: "),
    ("SELECT * FROM glob('/*')", "SQL: "),
    ("SELECT * FROM parquet_scan('https://example.com/x.parquet')", "SQL: "),
    ("SELECT getenv('HOME')", "SQL: "),
    ("SELECT", "SQL: "),
    ("SELECT * FROM no_such_table", "no_such_table"),
    ("EXPLAIN ANALYZE DELETE FROM features", "SQL: "),
]


@pytest.mark.parametrize(("sql", "said"), REFUSED, ids=[sql[:24] for sql, _ in REFUSED])
def test_what_would_do_more_than_read(built: tuple[Path, object], sql: str, said: str) -> None:
    before = built[0].read_bytes()
    told = json.loads(answer({"store": str(built[0]), "sql": sql, "most_rows": 10, "most_bytes": 10_000}))
    assert set(told) == {"error"}
    assert said in told["error"]
    assert len(told["error"].splitlines()) == 1
    assert built[0].read_bytes() == before


ENDLESS = [
    "WITH RECURSIVE t AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    "SELECT count(*) FROM range(1_000_000_000) a, range(1_000_000_000) b WHERE a.range * b.range = 7",
    "SELECT levenshtein(repeat('a', 10_000_000), repeat('b', 10_000_000))",
]


@pytest.mark.parametrize("sql", ENDLESS, ids=["recursion", "product", "one step that lasts for days"])
def test_nothing_runs_for_ever(built: tuple[Path, object], sql: str) -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match="longer than 1 s"):
        run_statement(built[0], sql, seconds=1.0)
    assert time.monotonic() - begun < 5


def test_an_answer_too_large_is_refused(asked: Any) -> None:
    assert "ask for fewer" in asked("SELECT repeat('x', 30_000_000)")["error"]
    assert "characters" in asked("SELECT 1" + " " * 20_000)["error"]


def test_the_page_shows_rows_and_links_features(client: TestClient) -> None:
    page = client.get("/sql", params={"q": "SELECT dictionary, feature, status FROM features ORDER BY ALL LIMIT 1"})
    assert page.status_code == 200
    assert '<a href="/feature/mlp-1k/0">0</a>' in page.text
    wrong = client.get("/sql", params={"q": "SELECT <b>x"})
    assert wrong.status_code == 200
    assert 'role="alert"' in wrong.text
    assert "<b>x" not in wrong.text
    assert client.get("/sql", params={"query": "SELECT 1"}).status_code == 400


def test_every_question_that_the_page_offers_has_an_answer(built: tuple[Path, object], open_pages: Any) -> None:
    html = open_pages(built[0]).get("/sql").text
    with open_reader(built[0]) as store:
        offered = [*first_questions(store), *ready_questions()]
        for ready in offered:
            assert f'href="/sql?q={quote(ready.sql[:20], safe="").replace("%20", "+")}' in html
            store.first_rows(ready.sql, 5)
    assert len(offered) == 15 + len(list(folder("analysis").glob("*.sql")))
    for table, comment in ((row["table_name"], row["comment"]) for row in rows(built[0], _COMMENTS)):
        assert f"<summary>{table}" in html
        assert comment[:40] in unescape(html)


_COMMENTS = "SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal"


def test_the_first_are_those_of_the_documentation() -> None:
    told = re.findall(r"\n\n([^\n`]+?)\n\n```sql\n(.*?)\n```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    ours = FIRST_QUESTIONS.read_text(encoding="utf-8")
    assert len(told) == 15
    assert ours == "\n\n".join(f"-- {question}\n{sql}" for question, sql in told) + "\n"
