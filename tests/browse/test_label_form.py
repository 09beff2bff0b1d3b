"""A label written in place: kept like one of `autointerp label`, and from this server's own form alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from stored import rows

ADDRESS = "/label/sae/1"
LABELS = "SELECT dictionary, feature, text, triggers FROM explanations WHERE explainer = 'human'"


@pytest.fixture
def client(store: Path, open_pages: Any) -> TestClient:
    opened: TestClient = open_pages(store)
    return opened


def token_of(client: TestClient) -> str:
    page = client.get("/feature/sae/1").text
    [token] = re.findall(r'name="token" value="([^"]+)"', page)
    return str(token)


def test_a_label_is_written_once(client: TestClient, store: Path) -> None:
    before = rows(store, LABELS)
    text = 'Fires on " w6" <b>&\u202e'
    answer = client.post(ADDRESS, data={"token": token_of(client), "text": text})
    assert (answer.status_code, answer.headers["location"]) == (303, "/feature/sae/1")
    [written] = [row for row in rows(store, LABELS) if row not in before]
    assert written == {"dictionary": "sae", "feature": 1, "text": text, "triggers": [" w6"]}
    page = client.get("/feature/sae/1").text
    assert "Fires on &#34; w6&#34; &lt;b&gt;&amp;\\u202e" in page
    assert 'name="token"' not in page, "labels are kept: there is nothing more to write"


def test_only_this_servers_own_form(client: TestClient, store: Path, open_pages: Any) -> None:
    before, token = rows(store, LABELS), token_of(client)
    good = {"token": token, "text": "x"}
    form = {"content-type": "application/x-www-form-urlencoded"}
    refused: list[tuple[int, dict[str, Any]]] = [
        (403, {"data": {"text": "x"}}),
        (403, {"data": {"token": "", "text": "x"}}),
        (403, {"data": {"token": token[:-1], "text": "x"}}),
        (403, {"data": {"token": token_of(open_pages(store)), "text": "x"}}),
        (403, {"data": good, "headers": {"origin": "https://evil.example"}}),
        (403, {"data": good, "headers": {"origin": "null"}}),
        (403, {"data": good, "headers": {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}}),
        (421, {"data": good, "headers": {"host": "evil.example"}}),
        (415, {"json": good}),
        (413, {"content": b"text=" + b"x" * 70_000, "headers": form}),
        (400, {"data": {"token": token, "text": " "}}),
    ]
    for status, sent in refused:
        assert client.post(ADDRESS, **sent).status_code == status, sent
    for address, status in (("/label/sae/99999", 404), ("/label/nobody/1", 404), ("/label/sae/x", 404)):
        assert client.post(address, data=good).status_code == status
    assert client.get(ADDRESS).status_code == 405
    assert client.request("DELETE", ADDRESS).status_code == 405
    assert rows(store, LABELS) == before


HOLD = """
import sys
from autointerp.store.writer import StoreWriter
with StoreWriter.open(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_while_a_run_writes_it_says_so(client: TestClient, store: Path) -> None:
    token = token_of(client)
    run = [sys.executable, "-c", HOLD, str(store)]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "held\n"
        answer = client.post(ADDRESS, data={"token": token, "text": "x"})
        writer.stdin.close()
    assert answer.status_code == 503
    assert "is held by another process" in answer.text
