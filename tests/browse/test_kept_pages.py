"""A page that was made is kept until somebody writes to the store."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from starlette.testclient import TestClient
from stored import rows

from autointerp.browse import app
from autointerp.browse.kept_pages import KeptPages, state_of

PORT = 8377
OLD = 10**18
"""A time (ns) at which nobody writes."""


def written_at(store: Path, moment: int) -> None:
    os.utime(store, ns=(moment, moment))


@pytest.fixture
def store(judged_store: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy.duckdb"
    shutil.copyfile(judged_store, copy)
    written_at(copy, OLD)
    return copy


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read from the store, page by page."""
    seen: list[str] = []

    def counted(name: str) -> None:
        load: Callable[..., object] = getattr(app, name)

        def loading(*given: object) -> object:
            seen.append(f"{given[1]}/{given[2]}" if name == "load_whole_feature" else name)
            return load(*given)

        monkeypatch.setattr(app, name, loading)

    for name in ("load_overview", "load_whole_feature", "load_features", "load_sql"):
        counted(name)
    return seen


def client_of(store: Path, ahead: bool = False) -> TestClient:
    return TestClient(app.make_app(store, PORT, ahead), base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)


def features_of(store: Path) -> tuple[str, list[int]]:
    """A dictionary and its features with a page, in order."""
    found = rows(store, "SELECT dictionary, feature FROM features ORDER BY ALL")
    name = found[0]["dictionary"]
    return name, [row["feature"] for row in found if row["dictionary"] == name]


def test_a_page_is_read_once_as_long_as_nobody_writes(store: Path, read: list[str]) -> None:
    client = client_of(store)
    name, features = features_of(store)
    for address in (
        "/",
        f"/feature/{quote(name, safe='')}/{features[0]}",
        f"/dictionary/{quote(name, safe='')}?sort=density",
    ):
        first = client.get(address)
        assert first.status_code == 200, first.text
        n = len(read)
        again = client.get(address)
        assert again.content == first.content
        assert again.headers == first.headers
        assert len(read) == n
    assert client.get("/index.json").text != client.get("/").text
    assert len(read) == 4


def test_what_stands_behind_the_question_mark_is_another_page(store: Path, read: list[str]) -> None:
    client = client_of(store)
    name = quote(features_of(store)[0], safe="")
    pages = {client.get(f"/dictionary/{name}?sort={sort}").text for sort in ("density", "feature")}
    assert len(pages) == 2
    assert len(read) == 2


def test_a_store_that_was_written_is_read_again(store: Path, read: list[str]) -> None:
    client = client_of(store)
    name, features = features_of(store)
    address = f"/feature/{quote(name, safe='')}/{features[0]}.json"
    before = client.get(address).text
    with duckdb.connect(store) as writing:
        writing.execute(
            "UPDATE features SET max_activation = 12345.5 WHERE dictionary = ? AND feature = ?", [name, features[0]]
        )
    written_at(store, OLD + 1)
    after = client.get(address).text
    assert "12345.5" in after
    assert "12345.5" not in before
    assert len(read) == 2


def test_a_store_that_was_written_a_moment_ago_keeps_no_page(store: Path, read: list[str]) -> None:
    written_at(store, time.time_ns() + 60_000_000_000)
    assert state_of(store) is None
    client = client_of(store)
    assert client.get("/").content == client.get("/").content
    assert len(read) == 2


def test_answers_to_statements_are_never_kept(store: Path, read: list[str]) -> None:
    client = client_of(store)
    answers = {client.get("/sql.json", params={"q": "SELECT random() AS r"}).text for _ in range(2)}
    assert len(answers) == 2
    assert len(read) == 2


def test_the_pages_of_the_neighbours_are_made_ahead(store: Path, read: list[str]) -> None:
    name, features = features_of(store)
    before, middle, after = features[3:6]
    ahead, plain = client_of(store, ahead=True), client_of(store)
    address = f"/feature/{quote(name, safe='')}/"
    ahead.get(f"{address}{middle}")
    assert sorted(read) == sorted(f"{name}/{number}" for number in (before, middle, after))
    n = len(read)
    made = [ahead.get(f"{address}{number}") for number in (before, after)]
    assert len(read) == n + 2, "only the features beside those were read"
    for answer, number in zip(made, (before, after), strict=True):
        asked = plain.get(f"{address}{number}")
        assert answer.headers["content-type"] == asked.headers["content-type"]
        assert without_token(answer.text) == without_token(asked.text)


def without_token(page: str) -> str:
    """Each server has a token of its own for its forms."""
    before, _, rest = page.partition('name="token" value="')
    return before + rest.partition('"')[2]


def test_a_refusal_is_not_kept(store: Path) -> None:
    client = client_of(store)
    name, features = features_of(store)
    address = f"/feature/{quote(name, safe='')}/{max(features) + 1_000_000}"
    assert [client.get(address).status_code for _ in range(2)] == [404, 404]


def test_the_oldest_pages_go_first_and_the_bound_holds() -> None:
    kept = KeptPages(most_bytes=100)
    for number in range(20):
        kept.keep("now", (str(number), ""), bytes(30))
        kept.find("now", ("0", ""))
    held = [number for number in range(20) if kept.find("now", (str(number), "")) is not None]
    assert held == [0, 18, 19]
    kept.keep("now", ("0", ""), bytes(101))
    assert not any(kept.find("now", (str(number), "")) for number in range(20))
    kept.keep("later", ("1", ""), bytes(30))
    assert kept.find("now", ("1", "")) is None
    assert kept.find("later", ("1", "")) is not None
    kept.keep(None, ("2", ""), bytes(1))
    assert kept.find(None, ("2", "")) is None
    assert kept.find("later", ("1", "")) is not None
