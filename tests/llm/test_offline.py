"""Requests written to files, answered elsewhere, read back."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from autointerp.config.llm_model import LLMModel
from autointerp.errors import InputError
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.delivery.batch_jsonl import ReplyFiles, RequestFiles
from autointerp.llm.delivery.files import InFiles, OutFiles

Run = Callable[..., list[Answer]]
Make = Callable[..., list[Ask]]
HOSTED = {
    "anthropic": LLMModel(provider="anthropic", model="claude-none-such"),
    "openai": LLMModel(provider="openai", model="gpt-none-such"),
}


def statuses(answers: list[Answer]) -> Counter[str]:
    return Counter(answer.status for answer in answers)


def requests_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("requests-*.jsonl")) for line in path.open()]


def answered(server: Any, line: dict[str, Any], **change: Any) -> dict[str, Any]:
    """A line of replies as the provider would write it."""
    path, body = ("/v1/messages", line["params"]) if "params" in line else (line["url"], line["body"])
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request) as reply:
        message = json.load(reply)
    if "params" in line:
        return {"custom_id": line["custom_id"], "result": {"type": "succeeded", "message": message}} | change
    response = {"status_code": 200, "request_id": "r", "body": message}
    return {"id": "b", "custom_id": line["custom_id"], "response": response, "error": None} | change


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_out_and_in(server: Any, log: Any, ask: Run, make_asks: Make, tmp_path: Path, provider: str) -> None:
    """Needs no key, no price and no network; replies may come in any order, some broken, the last one cut."""
    folder, model = tmp_path / "batch", HOSTED[provider]
    asks = [*make_asks(30), *make_asks(5)]
    out = ask(asks, model, courier=OutFiles(folder))
    assert statuses(out) == {"waiting": 35}
    assert statuses(ask(asks, model, courier=OutFiles(folder))) == {"waiting": 35}
    lines = requests_in(folder)
    assert len(lines) == len({line["custom_id"] for line in lines}) == 30, "the same request once, also the second time"
    assert all(len(line["custom_id"]) <= 64 for line in lines)
    assert log.ledger() == []

    replies = [answered(server, line) for line in lines]
    bad = {"custom_id": lines[0]["custom_id"], "text": "I'd rather not"}
    failed = (
        {"custom_id": lines[1]["custom_id"], "result": {"type": "expired"}}
        if provider == "anthropic"
        else {
            "custom_id": lines[1]["custom_id"],
            "response": None,
            "error": {"code": "batch_expired", "message": "late"},
        }
    )
    plain = {"custom_id": lines[2]["custom_id"], "text": json.dumps({f"t{n}": 3 for n in range(4)})}
    written = [bad, failed, plain, *replies[3:]]
    random.Random(0).shuffle(written)
    text = "\n".join(json.dumps(line) for line in written)
    (folder / "replies.jsonl").write_text(text + '\n{"custom_id": "cut in the mid')
    assert ReplyFiles(folder).unreadable == 1

    back = ask(asks, model, courier=InFiles(folder))
    counts = statuses(back)
    assert counts["ok"] + counts["unparseable"] + counts["api_error"] == 35
    by_id = {f"{answer.request}-{answer.ask.sample}-1": answer for answer in back}
    assert by_id[lines[0]["custom_id"]].status == "unparseable"
    assert by_id[lines[1]["custom_id"]].status == "api_error"
    assert by_id[lines[2]["custom_id"]].data == {f"t{n}": 3 for n in range(4)}
    [ledger] = log.ledger()
    assert (ledger.channel, ledger.attempts, ledger.ok, ledger.cost_usd) == ("offline", 30, 28, 0)
    assert ledger.input_tokens > 0

    again = ask(asks, model, courier=OutFiles(tmp_path / "second"))
    assert statuses(again)["ok"] == counts["ok"]
    assert len(requests_in(tmp_path / "second")) == 2, "what was no answer can be filed again, under a new id"
    assert {line["custom_id"][-2:] for line in requests_in(tmp_path / "second")} == {"-2"}


def test_one_model_and_endpoint_a_file_under_the_limits(ask: Run, make_asks: Make, tmp_path: Path) -> None:
    model = HOSTED["openai"]
    courier = OutFiles(tmp_path / "b")
    courier.files = RequestFiles(tmp_path / "b", limits={"openai": (7, 10**9)})
    ask(make_asks(20), model, courier=courier)
    sizes = [len(path.read_text().splitlines()) for path in sorted((tmp_path / "b").iterdir())]
    assert sizes == [7, 7, 6]
    courier.files = RequestFiles(tmp_path / "c", limits={"openai": (10**6, 4000)})
    ask(make_asks(20), model, courier=courier)
    assert all(path.stat().st_size <= 3600 for path in (tmp_path / "c").iterdir())
    assert len(requests_in(tmp_path / "c")) == 20


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="no folder"):
        InFiles(Path("nowhere"))


def test_a_request_asked_twice_is_written_once_however_far_apart(ask: Run, make_asks: Make, tmp_path: Path) -> None:
    asks = [*make_asks(300), *make_asks(300)]  # further apart than asks are looked up at a time
    courier = OutFiles(tmp_path / "b")
    assert statuses(ask(asks, HOSTED["openai"], courier=courier)) == {"waiting": 600}
    assert len(requests_in(tmp_path / "b")) == 300


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "jsonl.gz": gzip.compress,
    "jsonl.bz2": bz2.compress,
    "jsonl.xz": lzma.compress,
    "jsonl.zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
    "jsonl": gzip.compress,  # the content tells, not the name
    "jsonl.bak": lambda data: data,
    "jsonl.txt": lambda data: data.decode().encode("utf-16"),
}


@pytest.mark.parametrize("ending", PACKERS)
def test_replies_that_are_compressed(ending: str, ask: Run, make_asks: Make, server: Any, tmp_path: Path) -> None:
    folder, model = tmp_path / "batch", HOSTED["openai"]
    asks = make_asks(12)
    ask(asks, model, courier=OutFiles(folder))
    replies = [json.dumps(answered(server, line)) for line in requests_in(folder)]
    plain, packed = "\n".join(replies[:4]), "\n".join(replies[4:]) + "\n"
    (folder / "plain.jsonl").write_text(plain)
    (folder / f"replies.{ending}").write_bytes(PACKERS[ending](packed.encode()))
    held = ReplyFiles(folder)
    assert (len(held), held.unreadable) == (12, 0)
    assert statuses(ask(asks, model, courier=InFiles(folder))) == {"ok": 12}


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.bz2", "jsonl.xz", "jsonl.zst"])
def test_an_archive_that_was_cut_is_a_line(ending: str, tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({"custom_id": f"r-{i}-1", "text": random.Random(i).random()}) for i in range(3000))
    whole = PACKERS[ending](lines.encode())
    (tmp_path / f"replies.{ending}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"is not a whole \w+ file") as caught:
        InFiles(tmp_path)
    assert f"replies.{ending}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_requests_that_were_compressed_are_not_written_again(ask: Run, make_asks: Make, tmp_path: Path) -> None:
    asks = make_asks(5)
    ask(asks, HOSTED["openai"], courier=OutFiles(tmp_path))
    [written] = tmp_path.glob("requests-*.jsonl")
    (tmp_path / f"{written.name}.gz").write_bytes(gzip.compress(written.read_bytes()))
    written.unlink()
    ask(asks, HOSTED["openai"], courier=OutFiles(tmp_path))
    assert list(tmp_path.glob("requests-*.jsonl")) == []
