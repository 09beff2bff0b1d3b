"""What is found out about a server before a run asks it anything; what it cannot do is one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from odd_server import OddServer, Reply, model, schema_in, settled, text_of

from autointerp.config.llm_model import CapabilityChanges, LLMModel, Price, is_loopback
from autointerp.errors import ConfigError, ProviderError, UserError
from autointerp.llm.asks import Ask
from autointerp.llm.session.client import Session

Start = Callable[..., OddServer]
LLAMA = (500, {"error": {"message": "[{'loc': ('body', 'response_format', 'type'), 'msg': 'unexpected value'}]"}})
REFUSED = (400, {"error": {"message": "response_format type must be one of text or json_object", "type": "invalid"}})


def kinds(log: Any) -> list[tuple[str, str]]:
    log.flush()
    return [(row["kind"], row["status"]) for row in log.store.rows("SELECT * FROM llm_calls ORDER BY called_at")]


@pytest.mark.parametrize(
    ("forms", "refused", "expected", "probes"),
    [
        (("json_schema",), {}, "json_schema", 1),
        (("json_object",), {"json_schema": REFUSED}, "json_object", 2),
        (("json_object",), {"json_schema": LLAMA}, "json_object", 4),  # a 500 is tried three times
        (("json_object",), {}, "json_object", 2),  # json_schema is ignored
        (("structured_outputs",), {"json_schema": REFUSED, "json_object": REFUSED}, "structured_outputs", 3),
        (("guided_json",), {"json_object": REFUSED}, "guided_json", 4),
    ],
)
def test_the_form_that_a_server_knows_is_found_and_kept(
    start: Start, log: Any, make_asks: Any, forms: Any, refused: dict[str, Reply], expected: str, probes: int
) -> None:
    server = start(forms=forms, refused=refused)
    _, answers = settled(log, make_asks(3), model(server))
    assert [answer.status for answer in answers] == ["ok"] * 3
    sent = [schema_in(body)[0] for body in server.bodies]
    assert sent[-3:] == [expected] * 3
    assert len(sent) - 3 == probes
    assert [kind for kind, _ in kinds(log)] == ["probe"] * probes + ["simulate"] * 3, "each request is a row of the log"
    _, again = settled(log, make_asks(3), model(server))
    assert [answer.cached for answer in again] == [True] * 3
    assert len(server.bodies) == probes + 3, "what was found is kept, and the same requests are made"


def test_where_no_form_is_known_the_words_must_do_and_useless_replies_end_the_run(
    start: Start, log: Any, make_asks: Any
) -> None:
    server = start(forms=(), refused={"json_schema": REFUSED})
    with pytest.raises(ProviderError, match="has not once answered in the form asked for"):
        settled(log, make_asks(40), model(server, replies=1, concurrency=4))
    assert [schema_in(body)[0] for body in server.bodies[4:]] == [""] * (len(server.bodies) - 4)
    assert len(server.bodies) < 20


def test_what_the_run_file_states_is_not_asked(start: Start, log: Any, make_asks: Any) -> None:
    server = start(forms=("json_object",), refused={"json_schema": REFUSED})
    stated = model(server, capabilities=CapabilityChanges(structured="json_object"), context_tokens=4096)
    context, answers = settled(log, make_asks(1), stated)
    assert (context, answers[0].status) == (4096, "ok")
    assert [schema_in(body)[0] for body in server.bodies] == ["", "json_object"], "one plain probe: does it answer?"


@pytest.mark.parametrize(
    ("pages", "context"),
    [
        ({"/v1/models": {"data": [{"id": "other"}, {"id": "mine", "max_model_len": 32768}]}}, 32768),
        (
            {
                "/v1/models": {
                    "data": [{"id": "mine", "context_length": 9000, "top_provider": {"context_length": 8192}}]
                }
            },
            8192,
        ),
        ({"/v1/models": {"data": [{"id": "a file.gguf", "meta": {"n_ctx": 4096, "n_ctx_train": 131072}}]}}, 4096),
        (
            {
                "/v1/models": {"data": [{"id": "x", "meta": {"n_ctx_train": 131072}}]},
                "/props": {"default_generation_settings": {"n_ctx": 8192}},
            },
            8192,
        ),
        ({"/v1/models": {"data": [{"id": "x", "meta": {"n_ctx_train": 2048}}]}}, 2048),
        ({"/api/v0/models/mine": {"loaded_context_length": 4096, "max_context_length": 131072}}, 4096),
        ({"/api/ps": {"models": [{"name": "mine:latest", "context_length": 4096}]}}, 4096),
        ({"/api/show": {"parameters": "stop x\nnum_ctx                        16384", "model_info": {}}}, 16384),
        ({"/api/show": {"model_info": {"llama.context_length": 131072}}}, None),  # trained for, not given
        ({"/info": {"max_total_tokens": 2048, "max_input_tokens": 1024}}, 2048),
        ({"/v1/models": {"data": [{"id": "mine", "max_model_len": True}]}}, None),
        ({"/v1/models": {"data": "x"}, "/props": [], "/api/ps": {"models": [3]}, "/info": 7}, None),
        ({}, None),
    ],
)
def test_the_context_is_read_where_a_server_states_it(
    start: Start, log: Any, make_asks: Any, pages: dict[str, Any], context: int | None
) -> None:
    server = start(pages=pages)
    assert settled(log, make_asks(1), model(server))[0] == context
    looked = [path for path in server.paths if "completions" not in path]
    with Session(log) as session:
        for _ in range(3):
            assert session.settle(model(server), make_asks(1)) == context
    assert [path for path in server.paths if "completions" not in path] == 2 * looked, "once a run"


@pytest.mark.parametrize(
    ("before", "after", "context"), [(8192, 4096, 4096), (4096, 32768, 32768), (None, 4096, 4096), (4096, None, 4096)]
)
def test_a_server_that_was_started_again_with_another_context(
    start: Start, log: Any, make_asks: Any, before: int | None, after: int | None, context: int
) -> None:
    """What it states now counts; where it states nothing, what it stated last."""
    server = start(pages={})
    for stated, expected in ((before, before), (after, context), (before, before or context), (after, context)):
        server.pages = {} if stated is None else {"/v1/models": {"data": [{"id": "mine", "max_model_len": stated}]}}
        assert settled(log, make_asks(1), model(server))[0] == expected
    rows = [row["wish"] for row in log.store.rows("SELECT wish FROM llm_probes ORDER BY found_at")]
    assert [row for row in rows if row.startswith("context")][-1] == f"context {context}"
    assert settled(log, make_asks(1), model(server, context_tokens=777))[0] == 777


def test_no_log_probabilities_is_said_before_the_first_question(start: Start, log: Any, make_asks: Any) -> None:
    needs = (500, {"error": {"message": "logprobs is not supported for models created with logits_all=False"}})
    refuses: Any = {"special": lambda body: needs if body.get("logprobs") else None}
    for settings in ({"logprobs": False}, refuses):
        server = start(**settings)
        with pytest.raises(ConfigError, match="gives no log probabilities") as caught:
            settled(log, make_asks(2, logprobs=5), model(server))
        assert "\n" not in str(caught.value)
        assert {kind for kind, _ in kinds(log)} == {"probe"}


def echoed(body: dict[str, Any]) -> Reply:
    words = [f" {word}" for word in body["prompt"].split(" ")]
    words[0] = words[0][1:]
    logprobs = {
        "tokens": words,
        "token_logprobs": [None, *(-1.0 for _ in words[1:])],
        "top_logprobs": [None, *({word: -1.0} for word in words[1:])],
        "text_offset": [sum(map(len, words[:i])) for i in range(len(words))],
    }
    return 200, {"model": "m", "choices": [{"text": body["prompt"], "finish_reason": "length", "logprobs": logprobs}]}


def test_an_echo_is_tried_before_the_first_question_and_with_one_new_token(start: Start, log: Any) -> None:
    asks = [Ask("simulate", "", "a b c", 0, form="echo", logprobs=3)]
    server = start(completions=echoed)
    _, [answer] = settled(log, asks, model(server))
    assert answer.status == "ok"
    assert {body["max_tokens"] for body in server.bodies} == {1}, "llama.cpp writes on and on where it is asked for 0"
    for without in (
        start(),
        start(completions=lambda _: (500, {"error": {"message": "logits_all=False: no logprobs"}})),
    ):
        with pytest.raises(ConfigError, match="log probabilities of a prompt") as caught:
            settled(log, asks, model(without))
    assert "logits_all=False" in str(caught.value), "the server's own reason"
    assert len(without.bodies) == 3, "the first prompt, three times"


def test_wrong_keys_and_unknown_models_end_it_at_the_first_probe(start: Start, log: Any, make_asks: Any) -> None:
    for reply in (
        (401, {"error": {"message": "no"}}),
        (404, {"error": {"message": "model 'mine' not found, try pulling it first"}}),
        (200, {"error": {"code": 402, "message": "Insufficient credits"}}),
    ):
        server = start(special=lambda _body, reply=reply: reply)
        with pytest.raises(ProviderError, match="stopped the run"):
            settled(log, make_asks(3), model(server))
        assert len(server.bodies) == 1


def test_a_prompt_that_was_cut_is_a_failure_and_no_answer(start: Start, log: Any, make_asks: Any) -> None:
    """Ollama reads the end of a prompt that is too long, and answers as if nothing had been."""
    long, short = "|1|It|2| rained|3| all|4| day" * 400, "|1|It|2| rained"
    cutting: tuple[Callable[[str], int], ...] = (
        lambda text: min(len(text) * 4 // 7, 2048),  # a tokenizer
        lambda text: min(len(text) // 4, 1024),  # an estimate
    )
    for count in cutting:
        server = start(count=count)
        _, answers = settled(log, make_asks(2, prompt=long), model(server))
        assert {answer.status for answer in answers} == {"prompt_cut"}
        assert "it cut the prompt" in answers[0].reason
        assert answers[0].data is None
        assert settled(log, make_asks(1, prompt=short), model(server))[1][0].status == "ok"
        again = settled(log, make_asks(1, prompt=long), model(server))[1][0]
        assert (again.status, again.cached) == ("prompt_cut", False), "it is asked again, never replayed as good"


def test_honest_counts_are_never_called_cut(start: Start, log: Any, make_asks: Any) -> None:
    texts = (
        "|1|It|2| rained|3| all|4| day" * 300,
        "Plain words of a language that is written with spaces. " * 200,
        "def area(width, height):\n    return width * height\n" * 200,
        "#" * 5000 + "\n" * 3000 + " " * 4000,
        "雨が一日中降り続いた。" * 300,
    )
    honest: tuple[Callable[[str], int], ...] = (
        lambda text: len(text) // 4,
        lambda text: max(1, len(text.encode()) // 3),
        lambda _text: 0,  # not counted at all
    )
    for number, count in enumerate(honest):
        server = start(count=count)
        for text in texts:
            answers = settled(log, make_asks(1, prompt=text), model(server, model=f"mine{number}"))[1]
            assert [answer.status for answer in answers] == ["ok"], (number, text[:20])


def unknown(body: dict[str, Any]) -> Reply | None:
    odd = "window 3" in text_of(body) or "all of them" in text_of(body)
    return (400, {"error": {"message": "Something about it is wrong"}}) if odd else None


def test_unknown_words_about_one_request_fail_that_one(start: Start, log: Any, make_asks: Any) -> None:
    _, answers = settled(log, make_asks(10), model(start(special=unknown), concurrency=1))
    assert sorted(answer.status for answer in answers) == ["api_error", *["ok"] * 9]
    assert [answer.reason for answer in answers if answer.status != "ok"] == ["HTTP 400: Something about it is wrong"]


def test_unknown_words_about_all_requests_end_the_run(start: Start, log: Any, make_asks: Any) -> None:
    server = start(special=unknown)
    with pytest.raises(ProviderError, match="stopped the run: HTTP 400: Something about it is wrong"):
        settled(log, make_asks(50, system="all of them"), model(server, concurrency=2))
    assert len(server.bodies) <= 7  # a probe, four in a row, and what was out


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense"])
def test_a_server_on_this_machine_is_never_asked_by_way_of_a_proxy(
    start: Start, log: Any, make_asks: Any, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, proxy)
    server = start()
    for host in ("127.0.0.1", "localhost"):
        of = model(server, base_url=server.url.replace("127.0.0.1", host), attempts=1)
        assert settled(log, make_asks(1), of)[1][0].status == "ok"


def test_a_proxy_that_cannot_be_used_is_named_and_its_password_is_not(
    log: Any, make_asks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://me:secret@proxy.example:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    of = LLMModel(
        provider="openai", model="gpt-6-luna", base_url="https://server.example/v1", price=Price(input=1, output=1)
    )
    with pytest.raises(UserError, match="HTTPS_PROXY") as caught:
        settled(log, make_asks(1), of)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("127.1", True), ("localhost", True), ("LOCALHOST.", True),
        ("my.localhost", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", True), ("::", True),
        ("192.168.1.4", False), ("localhost.example", False), ("127.0.0.1.example", False), ("server", False),
    ],
)  # fmt: skip
def test_which_hosts_are_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here


# --- one request, or all ----------------------------------------------------------------------------


def broken(prompts: Callable[[str], bool]) -> Callable[[dict[str, Any]], Reply | None]:
    """An empty 200 to the prompts that a test says."""
    return lambda body: (200, {"choices": []}) if prompts(text_of(body)) else None


def numbered(text: str) -> int:
    return int(text.rpartition(" ")[2]) if "window" in text else -1


def test_the_first_request_may_be_the_one_that_fails(start: Start, log: Any, make_asks: Any) -> None:
    server = start(special=broken(lambda text: numbered(text) == 0))
    of = model(server, attempts=2, concurrency=1, capabilities=CapabilityChanges(structured="json_schema"))
    _, answers = settled(log, make_asks(5), of)
    assert [answer.status for answer in answers] == ["api_error", *["ok"] * 4]
    assert answers[0].reason.startswith("2 attempts failed; the last: HTTP 200")


def test_what_all_requests_get_in_a_200_ends_the_run(start: Start, log: Any, make_asks: Any) -> None:
    """After it had answered: not request by request to the end."""
    server = start(special=broken(lambda text: numbered(text) >= 3))
    of = model(server, attempts=2, concurrency=1, capabilities=CapabilityChanges(structured="json_schema"))
    with pytest.raises(ProviderError, match="stopped the run: HTTP 200 with a body of another shape"):
        settled(log, make_asks(40), of)
    assert sum(numbered(text_of(body)) >= 3 for body in server.bodies) == 8, "four requests, twice each"


def test_a_reply_that_costs_nothing_by_its_usage_has_no_known_price(start: Start, log: Any) -> None:
    def unpaid(body: dict[str, Any]) -> Reply:
        choice = {"message": {"content": "Blue."}, "finish_reason": "stop"}
        return 200, {"model": body["model"], "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 0}}

    server = start(special=unpaid)
    of = model(server, price=Price(input=1, output=1), context_tokens=4096)
    [answer] = settled(log, [Ask("explain", "", "What is it?", 9)], of)[1]
    assert (answer.status, answer.cost_usd) == ("ok", 0.0)
    log.flush()
    assert {row["cost_usd"] for row in log.store.rows("SELECT * FROM llm_calls WHERE kind = 'explain'")} == {None}
