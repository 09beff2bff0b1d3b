"""Simulators that reply with one JSON object: `sparse`, `dense` and `digits`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from autointerp.llm.asks import Answer, Ask, InvalidReply
from autointerp.score.scorers.prompt_windows import ShownWindow, one_line
from autointerp.score.scorers.reply_values import (
    ReplyValues,
    expected,
    expected_digits,
    in_order,
    integer_schema,
    object_schema,
    read_integer,
    read_integers,
)
from autointerp.score.scorers.simulators.common import (
    STEPS,
    all_failed,
    numbered_lines,
    simulator_template,
    window_names,
)


@dataclass(frozen=True)
class Sparse:
    """The tokens that fire, of all windows: `{"fires":[{"w":1,"t":4,"v":10}]}`."""

    logprobs: int = 0
    group: int = 60
    name: str = "sparse"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        lines, marks = numbered_lines(windows, window_names(windows))
        counts = [window.n_scored for window in windows]
        hit = {"w": range(1, len(windows) + 1), "t": range(1, max(counts, default=1) + 1), "v": STEPS[1:]}
        entry = object_schema({name: {"type": "integer", "enum": list(allowed)} for name, allowed in hit.items()})
        words = simulator_template("simulate")
        return [
            Ask(
                "simulate",
                words.fill("system", marks),
                words.fill("prompt", {"explanation": one_line(explanation), "windows": lines}),
                max_tokens=200 + 12 * sum(counts),
                schema=object_schema({"fires": {"type": "array", "items": entry}}),
                logprobs=self.logprobs,
                parse=lambda reply: _hits(reply, counts),
            )
        ]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[ReplyValues]:
        (answer,) = answers
        if answer.status != "ok":
            return all_failed(answer, windows)
        better = expected(answer, STEPS[1:], key="v")
        written = [float(strength) for _, _, strength in answer.data]
        values = better if better is not None and len(better) == len(written) else written
        rows = [[0.0] * window.n_scored for window in windows]
        for (window, token, _), value in zip(answer.data, values, strict=True):
            rows[window - 1][token - 1] = value
        return [ReplyValues(tuple(row)) for row in rows]


def _hits(reply: Any, counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(window, token, strength) of each token that is said to fire; each token once. Raises InvalidReply."""
    if not isinstance(reply, dict) or list(reply) != ["fires"] or not isinstance(reply["fires"], list):
        raise InvalidReply('the reply is not an object with the one key "fires" and a list')
    strengths: dict[tuple[int, int], int] = {}
    for hit in reply["fires"]:
        if not isinstance(hit, dict) or set(hit) != {"w", "t", "v"}:
            raise InvalidReply(f'{hit!r} is not {{"w": excerpt, "t": token, "v": strength}}')
        window = read_integer(hit["w"], range(1, len(counts) + 1), "w")
        token = read_integer(hit["t"], range(1, counts[window - 1] + 1), f"t of excerpt {window}")
        if (window, token) in strengths:
            raise InvalidReply(f"token {token} of excerpt {window} is there twice")
        strengths[window, token] = read_integer(hit["v"], STEPS[1:], "v")
    return [(window, token, strength) for (window, token), strength in strengths.items()]


def _windows_of(reply: Any, names: Sequence[str]) -> list[Any]:
    if not isinstance(reply, dict):
        raise InvalidReply("the reply is not an object")
    if missing := [name for name in names if name not in reply]:
        raise InvalidReply(f'{len(missing)} of {len(names)} windows are missing, "{missing[0]}" first')
    if unknown := sorted(set(reply) - set(names)):
        raise InvalidReply(f'there is no window "{unknown[0]}"')
    return [reply[name] for name in names]


@dataclass(frozen=True)
class Dense:
    """A key a token: `{"w1":{"t1":0,"t2":0,...}}`."""

    logprobs: int = 0
    group: int = 2
    name: str = "dense"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        names = window_names(windows)
        lines, marks = numbered_lines(windows, names)
        keys = [[f"t{k}" for k in range(1, window.n_scored + 1)] for window in windows]
        schema = object_schema({name: integer_schema(own, STEPS) for name, own in zip(names, keys, strict=True)})

        def parse(reply: Any) -> list[list[int]]:
            by_window = _windows_of(reply, names)
            return [read_integers(values, own, STEPS) for values, own in zip(by_window, keys, strict=True)]

        words = simulator_template("simulate_dense")
        return [
            Ask(
                "simulate",
                words.fill("system", marks),
                words.fill("prompt", {"explanation": one_line(explanation), "windows": lines}),
                max_tokens=200 + 10 * sum(map(len, keys)),
                schema=schema,
                logprobs=self.logprobs,
                parse=parse,
            )
        ]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[ReplyValues]:
        (answer,) = answers
        if answer.status != "ok":
            return all_failed(answer, windows)
        flat = replace(answer, data=[value for row in answer.data for value in row])
        values = iter(in_order(flat, STEPS).values or ())
        return [ReplyValues(tuple(next(values) for _ in range(window.n_scored))) for window in windows]


@dataclass(frozen=True)
class Digits:
    """A digit a token: `{"w1":"000900"}`; strengths from 0 to 9 are brought to 0 to 10. With log probabilities the
    expected digit counts, where the model writes each digit as a token of its own."""

    logprobs: int = 0
    group: int = 60
    name: str = "digits"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        names = window_names(windows)
        lines, marks = numbered_lines(windows, names)
        counts = [window.n_scored for window in windows]

        def parse(reply: Any) -> list[list[int]]:
            rows = []
            for text, n in zip(_windows_of(reply, names), counts, strict=True):
                if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) != n:
                    raise InvalidReply(f"{text!r} is not a string of {n} digits")
                rows.append([int(digit) for digit in text])
            return rows

        schema = object_schema({name: {"type": "string"} for name in names})
        words = simulator_template("simulate_digits")
        return [
            Ask(
                "simulate",
                words.fill("system", marks),
                words.fill("prompt", {"explanation": one_line(explanation), "windows": lines}),
                max_tokens=200 + 10 * len(names) + 2 * sum(counts),
                schema=schema,
                logprobs=self.logprobs,
                parse=parse,
            )
        ]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[ReplyValues]:
        (answer,) = answers
        if answer.status != "ok":
            return all_failed(answer, windows)
        rows = expected_digits(answer, answer.data)
        return [ReplyValues(tuple(value * 10 / 9 for value in row)) for row in rows]
