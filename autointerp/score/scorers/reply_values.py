"""What replies say, with probabilities.

An LLM's digits carry more than the digit: where the reply comes with log probabilities, a value is the expected
value over the alternatives at its place (`expected`), a yes is a probability.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.llm.asks import TOO_LONG, Answer, InvalidReply, TokenChoice
from autointerp.score.predictions import JudgeCall


def read_integers(reply: Any, names: Sequence[str], allowed: range) -> list[int]:
    """The values of an object with exactly these keys, each an integer of `allowed`. Raises InvalidReply."""
    if not isinstance(reply, dict):
        raise InvalidReply("the reply is not an object")
    if missing := [name for name in names if name not in reply]:
        raise InvalidReply(f'{len(missing)} of {len(names)} keys are missing, "{missing[0]}" first')
    if unknown := sorted(set(reply) - set(names)):
        raise InvalidReply(f'the key "{unknown[0]}" was not asked for')
    return [read_integer(reply[name], allowed, name) for name in names]


def read_integer(value: Any, allowed: range, name: str) -> int:
    """An integer of `allowed`; a truth value is none. Raises InvalidReply."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise InvalidReply(f'"{name}" is {value!r}, not one of {allowed.start} to {allowed.stop - 1}')
    return value


def integer_schema(names: Sequence[str], allowed: range) -> dict[str, Any]:
    """An object with exactly these keys, each one of `allowed`: the form that every provider enforces."""
    return object_schema({name: {"type": "integer", "enum": list(allowed)} for name in names})


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_LEAF = re.compile(r'"([a-z]+\d*)"\s*:\s*(\d+)')


def expected(answer: Answer, allowed: range, key: str | None = None) -> list[float] | None:
    """The expected value at each integer of a JSON reply, in the order of the text; none without log probabilities.

    `key` takes the integers of that key only. At a place whose alternatives hold no value of `allowed`, or whose
    digits fall into several tokens, the written value stands.
    """
    if answer.tokens is None:
        return None
    starts = token_starts(answer.tokens)
    text = "".join(token.text for token in answer.tokens)
    if text.strip() != answer.text.strip():
        return None
    values = []
    for leaf in _LEAF.finditer(text):
        if key is not None and leaf[1] != key:
            continue
        written = int(leaf[2])
        token = starts.get(leaf.start(2))
        mean = None if token is None or token.text.strip() != leaf[2] else mean_of(token, allowed)
        values.append(float(written) if mean is None else mean)
    return values


_DIGITS = re.compile(r'"[a-z]+\d*"\s*:\s*"(\d+)"')


def expected_digits(answer: Answer, written: Sequence[Sequence[int]]) -> list[list[float]]:
    """Of a JSON reply whose values are strings of digits, the expected digit at each place; the written one where there
    are no log probabilities, or where a token of the reply holds more than that digit."""
    plain = [[float(digit) for digit in row] for row in written]
    tokens = answer.tokens
    if tokens is None:
        return plain
    starts, text = token_starts(tokens), "".join(token.text for token in tokens)
    matches = list(_DIGITS.finditer(text))
    if [[int(digit) for digit in match[1]] for match in matches] != [list(row) for row in written]:
        return plain
    for row, match in zip(plain, matches, strict=True):
        for number in range(len(row)):
            token = starts.get(match.start(1) + number)
            mean = mean_of(token, range(10)) if token is not None and len(token.text) == 1 else None
            row[number] = row[number] if mean is None else mean
    return plain


def token_starts(tokens: Sequence[TokenChoice]) -> dict[int, TokenChoice]:
    """Which token begins at a place of the text, spaces in front of it aside."""
    place, starts = 0, {}
    for token in tokens:
        starts[place + len(token.text) - len(token.text.lstrip(" "))] = token
        place += len(token.text)
    return starts


def mean_of(token: TokenChoice, allowed: range) -> float | None:
    """The expected value over the alternatives that are values of `allowed`, renormalised; none without any."""
    total = weight = 0.0
    seen = set()
    for text, logprob in token.top:
        digits = text.strip()
        if digits.isascii() and digits.isdigit() and int(digits) in allowed and digits not in seen:
            seen.add(digits)
            total += math.exp(logprob) * int(digits)
            weight += math.exp(logprob)
    return total / weight if weight > 0 else None


def call_of(answer: Answer) -> JudgeCall | None:
    """The call that an answer came by; None where nothing was sent."""
    return None if answer.status == TOO_LONG else JudgeCall(answer.request, answer.ask.sample)


@dataclass(frozen=True)
class ReplyValues:
    """What one call said, or why it said nothing."""

    values: tuple[float, ...] | None
    status: str = "ok"
    reason: str = ""


def in_order(answer: Answer, allowed: range) -> ReplyValues:
    """The values of an answer whose data is a list of integers: expected values where there are any."""
    if answer.status != "ok":
        return ReplyValues(None, answer.status, answer.reason)
    better = expected(answer, allowed)
    written = [float(value) for value in answer.data]
    return ReplyValues(tuple(better if better is not None and len(better) == len(written) else written))


# --- decisions --------------------------------------------------------------------------------------


def read_decisions(reply: Any, names: Sequence[str], kind: str) -> list[float]:
    """Probabilities (`predicate`) or expected scores (`score`) of a Decisions reply. Raises InvalidReply.

    A question that was refused makes the whole reply invalid: a part would leave the judge's set unbalanced.
    """
    answers = reply.get("answers") if isinstance(reply, dict) else reply
    if not isinstance(answers, list) or len(answers) != len(names):
        n = len(answers) if isinstance(answers, list) else 0
        raise InvalidReply(f"{len(names)} questions were asked and {n} answered")
    values = []
    for name, answer in zip(names, answers, strict=True):
        if not isinstance(answer, dict) or answer.get("name") not in (None, name):
            raise InvalidReply(f'the answer to "{name}" is not at its place')
        if answer.get("type") == "refusal":
            raise InvalidReply(f'the question "{name}" was refused')
        value = answer.get("probability" if kind == "predicate" else "score")
        if answer.get("type") != kind or isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidReply(f'the answer to "{name}" is no {kind}')
        if not math.isfinite(value) or value < 0 or (kind == "predicate" and value > 1):
            raise InvalidReply(f'the answer to "{name}" is {value}')
        values.append(float(value))
    return values
