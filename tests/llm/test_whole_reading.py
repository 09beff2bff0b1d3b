"""A prompt that a server cuts is a failure, however little was cut; one that it reads whole is never called cut."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from odd_server import OddServer, Reply, model, settled, text_of

from autointerp.llm.asks import Ask
from autointerp.llm.wire.length_probes import FEW, Counts, probing_text

Count = Callable[[str], int]

TEXTS = {
    "numbered": "|1|It|2| rained|3| all|4| day|5|,|6| and|7| they|8| left" * 60,
    "prose": "Plain words of a language that is written with spaces, and a few commas. " * 60,
    "code": "def area(width, height):\n    return width * height  # in metres\n" * 60,
    "marks": "#" * 700 + "\n" * 300 + " " * 400 + "=-" * 400,
    "japanese": "雨が一日中降り続いた。" * 100,
    "long words": "Donaudampfschifffahrtsgesellschaftskapitaen " * 60,
}


def pieces(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


TOKENIZERS: dict[str, Count] = {
    "a quarter of the characters": lambda text: len(text) // 4,
    "bytes": lambda text: len(text.encode()),
    "a third of the bytes": lambda text: len(text.encode()) // 3 + 17,
    "words and marks": pieces,
    "parts of words": lambda text: sum(-(-len(word) // 5) for word in re.findall(r"\w+|[^\w\s]", text)),
    "two words a token": lambda text: 30 + int(pieces(text) * 0.55),
    "with a long system prompt of its own": lambda text: 900 + len(text) // 4,
}


def answers(log: Any, server: OddServer, texts: list[str], **more: Any) -> list[tuple[str, str]]:
    asks = [Ask("explain", "Say what it is.", text, 60, sample=number) for number, text in enumerate(texts)]
    got = settled(log, asks, model(server, concurrency=1, **more))[1]
    return [(one.status, one.reason) for one in sorted(got, key=lambda answer: answer.ask.sample)]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_what_is_read_whole_is_never_called_cut(tokenizer: str, start: Callable[..., OddServer], log: Any) -> None:
    server = start(count=TOKENIZERS[tokenizer])
    assert answers(log, server, list(TEXTS.values())) == [("ok", "")] * len(TEXTS)


@pytest.mark.parametrize("kept", [0.97, 0.9, 0.75, 0.6, 0.3])
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_prompt_of_which_a_little_is_cut(
    tokenizer: str,
    kept: float,
    start: Callable[..., OddServer],
    log: Any,
) -> None:
    """The server reads so many tokens at most: a longer prompt is a failure with both figures, a shorter an answer."""
    count = TOKENIZERS[tokenizer]
    for name, text in TEXTS.items():
        most = int(kept * count(text))
        if most < count(probing_text(FEW)):
            continue
        server = start(count=lambda given, most=most: min(most, count(given)))
        short = text
        while count("Say what it is." + short) > 0.9 * most:
            short = short[: int(0.95 * len(short))]
        (first, why), (second, _) = answers(log, server, [text, short], model=f"{name} {kept}")
        assert (first, second) == ("prompt_cut", "ok"), name
        assert f"read {most:,} tokens" in why
        longer, read = re.search(r"of one of ([\d,]+) it read ([\d,]+)", why).groups()  # type: ignore[union-attr]
        assert int(longer.replace(",", "")) > int(read.replace(",", "")), "its witness is a text that was cut"
        assert f"context_tokens = {most} " in why


def test_a_cut_that_leaves_room_for_the_reply_and_one_by_shares(start: Callable[..., OddServer], log: Any) -> None:
    def roomy(body: dict[str, Any]) -> Reply:
        room = 1200 - body.get("max_completion_tokens", body.get("max_tokens", 0))
        return reply(body, min(room, len(text_of(body)) // 4))

    def halved(body: dict[str, Any]) -> Reply:
        tokens = len(text_of(body)) // 4
        return reply(body, tokens if tokens < 1000 else tokens * 7 // 10)

    for number, special in enumerate((roomy, halved)):
        server = start(special=special)
        texts = [TEXTS["prose"] * 5, TEXTS["prose"][:2800]]
        got = answers(log, server, texts, model=f"mine{number}")
        assert [status for status, _ in got] == ["prompt_cut", "ok"]
        assert "it cut the prompt" in got[0][1]


def reply(body: dict[str, Any], tokens: int | None, **more: Any) -> Reply:
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "completion_tokens": 2} | more}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Blue."}, "finish_reason": "stop"}
    return 200, {"id": "x", "model": body["model"], "choices": [choice]} | usage


def test_servers_that_do_not_count(start: Callable[..., OddServer], log: Any) -> None:
    """No usage, zero, and the same number for everything: nothing is known of a cut, and nothing is said."""
    for number, tokens in enumerate((None, 0, 10, 5000)):
        server = start(special=lambda body, tokens=tokens: reply(body, tokens))
        assert answers(log, server, list(TEXTS.values()), model=f"mine{number}") == [("ok", "")] * len(TEXTS)


def test_a_server_that_leaves_out_what_its_cache_holds(start: Callable[..., OddServer], log: Any) -> None:
    """Ollama has counted only what it had to read: of prompts that begin alike, the rest."""
    cached = [""]

    def special(body: dict[str, Any]) -> Reply:
        text, last = text_of(body), cached[0]
        same = next((i for i, (a, b) in enumerate(zip(text, last, strict=False)) if a != b), min(len(text), len(last)))
        cached[0] = text
        return reply(body, max(1, (len(text) - same) // 4))

    server = start(special=special)
    texts = [TEXTS["prose"] + f"The end of number {number}." for number in range(6)]
    assert answers(log, server, texts) == [("ok", "")] * 6


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, {"error": {"message": "This model's maximum context length is 800 tokens."}}),
        (400, {"error": {"message": "Nothing that anybody has heard of"}}),
        (500, {"error": "the request exceeds the available context size"}),
        (503, {"error": "out of memory"}),
        (200, {"choices": []}),
    ],
)
def test_a_server_that_turns_the_long_text_away(
    status: int,
    said: Any,
    start: Callable[..., OddServer],
    log: Any,
) -> None:
    """It ends nothing, and is not tried again with every prompt."""

    def special(body: dict[str, Any]) -> Reply:
        return (status, said) if len(text_of(body)) > 7000 else reply(body, len(text_of(body)) // 4)

    server = start(special=special)
    assert answers(log, server, [TEXTS["prose"] + str(number) for number in range(8)]) == [("ok", "")] * 8
    assert sum(len(text_of(body)) > 7000 for body in server.bodies) <= 2


def test_few_texts_are_tried_and_none_for_short_prompts(start: Callable[..., OddServer], log: Any) -> None:
    server = start()
    answers(log, server, [f"Number {number}." for number in range(30)])
    assert sum("paragraphs follow" in text_of(body) for body in server.bodies) == 0
    rng = random.Random(0)
    texts = ["plain words " * rng.randint(150, 900) for _ in range(60)]
    answers(log, server, texts)
    n = sum("paragraphs follow" in text_of(body) for body in server.bodies)
    assert 3 <= n <= 3 + math.ceil(math.log(900 / 150, 1.5))
    log.flush()
    assert {row["kind"] for row in log.store.rows("SELECT * FROM llm_calls")} == {"probe", "explain"}


def test_the_length_of_a_probing_text_is_a_line() -> None:
    """Counts of one and of a few paragraphs say what any number of them has: for tokenizers, to one part in fifty."""
    for count in TOKENIZERS.values():
        counts = Counts(count(probing_text(1)), count(probing_text(FEW)))
        for n in (10, 50, 200):
            assert abs(count(probing_text(n)) / counts.of(n) - 1) < 0.02
            assert counts.whole(n, count(probing_text(n)))
            assert not counts.whole(n, int(0.9 * count(probing_text(n))) - 24)


def test_a_text_has_no_more_tokens_than_its_paragraphs() -> None:
    for name, text in TEXTS.items():
        for count in TOKENIZERS.values():
            counts = Counts(count(probing_text(1)), count(probing_text(FEW)))
            assert count(text) <= 1.02 * counts.of(counts.paragraphs_at_most(text)) + 24, name
