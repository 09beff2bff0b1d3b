"""Who may ask, and hostile content: it is text everywhere."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from starlette.testclient import TestClient

from autointerp.browse.rendering import written

PORT = 8377
HOSTILE = (
    "</p><script>alert(1)</script><img src=x onerror='alert(2)'>\" autofocus onfocus=\"alert(3)"
    "\x1b[2J\u202e\x01{{ 7 * 7 }}"
)
ADDRESSES = ("/", "/index.json", "/dictionary/mlp-1k", "/dictionary/mlp-1k.json", "/feature/mlp-1k/2",
             "/feature/mlp-1k/2.json", "/random/mlp-1k", "/browse.css", "/browse.js",
             "/sql", "/sql.json?q=SELECT+1", "/compare", "/compare?a=mlp-1k&b=neurons", "/calls", "/call/none",
             "/prompt", "/label/mlp-1k/2", "/icon.svg", "/nothing", "/dictionary/nobody")  # fmt: skip


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.sources += [value or "" for name, value in attributes if name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_answer_carries_the_policy(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert [part for part in policy.split("; ") if "script" in part] == ["script-src 'self'"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "localhost", "127.0.0.1:80", f"127.0.0.1.evil.example:{PORT}",
     f"localhost:{PORT}@evil.example", "", f"0.0.0.0:{PORT}", f"[::1]:{PORT}"],
)  # fmt: skip
def test_another_host_is_misdirected(client: TestClient, host: str) -> None:
    for address in ("/", "/index.json", "/browse.css"):
        answer = client.get(address, headers={"host": host})
        assert answer.status_code == 421
        assert "mlp-1k" not in answer.text


def test_this_machine_by_either_name(client: TestClient) -> None:
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}"):
        assert client.get("/browse.css", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_only_get(client: TestClient, method: str) -> None:
    for address in ("/", "/feature/mlp-1k/2", "/nothing"):
        answer = client.request(method, address, headers={"origin": "https://evil.example"})
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET"
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_of_other_sites_get_nothing(client: TestClient) -> None:
    """A link from elsewhere is followed; a picture, a script or a frame of another site gets no answer."""
    for site, mode, status in (("cross-site", "no-cors", 403), ("same-site", "cors", 403),
                               ("cross-site", "navigate", 200), ("same-origin", "no-cors", 200)):  # fmt: skip
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
        assert client.get("/browse.css", headers=headers).status_code == status


@pytest.fixture(scope="module")
def hostile(judged_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store with a dictionary, tokens, labels, documents, explainers and reasons of that text."""
    path = Path(shutil.copy(judged_store, tmp_path_factory.mktemp("hostile") / "a<b>&\"'.duckdb"))
    with duckdb.connect(str(path)) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND column_name IN "
            "('dictionary', 'matched_to', 'natural_of', 'explainer') "
            "AND table_name IN (SELECT table_name FROM duckdb_tables())"
        ).fetchall()
        for table, column in columns:
            was = "mine" if column == "explainer" else "mlp-1k"
            connection.execute(f"UPDATE {table} SET {column} = $1 WHERE {column} = '{was}'", [HOSTILE])
        for table in ("comparisons", "powered_differences"):
            connection.execute(f"UPDATE {table} SET a = $1 WHERE a = 'mlp-1k'", [HOSTILE])
        connection.execute("UPDATE explanations SET text = $1", [HOSTILE])
        connection.execute("UPDATE vocab SET text = $1 || text", [HOSTILE])
        connection.execute("UPDATE contexts SET document_name = $1", [HOSTILE])
        connection.execute(
            "UPDATE dictionaries SET hook = $1, kind = CASE kind WHEN 'sae' THEN kind ELSE $1 END", [HOSTILE]
        )
        connection.execute("UPDATE failures SET reason = $1, status = $1", [HOSTILE])
        connection.execute("UPDATE runs SET name = $1", [HOSTILE])
        about = json.dumps({"dictionary": HOSTILE, "feature": 2, "explainer": HOSTILE})
        connection.execute(
            "INSERT INTO llm_calls BY NAME SELECT $1 AS request, 0 AS sample, 1 AS attempt, $1 AS kind, $2 AS about, "
            "$1 AS provider, $1 AS server, $1 AS model, $1 AS returned_model, $1 AS channel, $1 AS status, "
            "$1 AS reason, $1 AS stop_reason, $1 AS prefix, $1 AS prompt, $1 AS reply, 1.0 AS latency_ms, "
            "now()::TIMESTAMP AS called_at",
            [HOSTILE, about],
        )
        connection.execute("INSERT INTO llm_prefixes VALUES ($1, $2)", [HOSTILE, json.dumps({"system": HOSTILE})])
        connection.execute("UPDATE explanations SET request = $1", [HOSTILE])
    return path


def harmless(page: str, address: str) -> Seen:
    seen = Seen(page)
    assert not {"img", "style", "iframe", "object", "base"} & seen.tags, address
    assert page.count("<script") == 1, address
    assert '<script src="/browse.js" defer></script>' in page, address
    assert not [name for name in seen.attributes if name.startswith("on") or name in ("style", "autofocus")], address
    assert all(source.startswith(("/", "?")) and not source.startswith("//") for source in seen.sources), address
    for mark in ("\x1b", "\x01", "\u202e"):
        assert mark not in page, address
    return seen


def test_hostile_texts_stay_text(hostile: Path, open_pages: Any) -> None:
    client = open_pages(hostile)
    name = quote(HOSTILE, safe="")
    quoted = HOSTILE.replace("'", "''")
    sql = f"SELECT dictionary, text, '{quoted}' AS \"<script>\" FROM explanations"
    pages = {"/": 6, f"/dictionary/{name}": 2, f"/dictionary/{name}?q=script&status=alive": 1,
             f"/feature/{name}/2": 20, "/feature/resid-1k/1": 20,
             f"/sql?q={quote(sql, safe='')}": 20, "/compare": 3, f"/compare?a={name}&b=neurons": 5,
             f"/dictionary/{name}?explainer={name}&token=self&where=feature+%3C+9": 3,
             f"/feature/{name}/3?explainer={name}": 20, "/calls": 4, f"/calls?dictionary={name}&feature=2": 4,
             f"/call/{name}": 8, f"/prompt?text={name}&dictionary=resid-1k": 5,
             f"/try/resid-1k/1?text={name}": 2}  # fmt: skip
    for address, times in pages.items():
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        seen = harmless(answer.text, address)
        assert seen.text.count("<script>alert(1)</script>") >= times, address
        assert "\\x1b[2J\\u202e\\x01" in seen.text
        assert "{{ 7 * 7 }}" in seen.text


def test_hostile_texts_in_json_are_whole(hostile: Path, open_pages: Any) -> None:
    client = open_pages(hostile)
    name = quote(HOSTILE, safe="")
    for address in ("/index.json", f"/dictionary/{name}.json", f"/feature/{name}/2.json"):
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        assert "\x1b" not in answer.text
        assert "\u202e" not in answer.text
        assert any(HOSTILE in text for text in strings(answer.json()))


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inside in value.values() for text in strings(inside)]
    if isinstance(value, list):
        return [text for inside in value for text in strings(inside)]
    return [value] if isinstance(value, str) else []


def test_what_was_asked_comes_back_as_text(client: TestClient) -> None:
    asked = quote(HOSTILE, safe="")
    for address, status in (
        (f"/dictionary/mlp-1k?q={asked}", 200),
        (f"/dictionary/{asked}", 404),
        (f"/feature/{asked}/2", 404),
        (f"/random/{asked}", 404),
        (f"/{asked}", 404),
        (f"/dictionary/mlp-1k?sort={asked}", 400),
        (f"/dictionary/mlp-1k?explainer={asked}", 400),
        (f"/dictionary/mlp-1k?{asked}=1", 400),
    ):
        answer = client.get(address)
        assert answer.status_code == status, address
        harmless(answer.text, address)


def test_a_redirect_stays_here(hostile: Path, open_pages: Any) -> None:
    answer = open_pages(hostile).get(f"/random/{quote(HOSTILE, safe='')}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/feature/%3C")


def test_lines_stay_lines_in_a_text_to_edit() -> None:
    assert written("a\n\t<b>\x1b") == "a\n\t&lt;b&gt;\\x1b"
