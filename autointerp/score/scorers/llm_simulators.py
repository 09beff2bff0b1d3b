"""Simulators: an explanation and windows to questions, replies to predicted activations of 0 to 10.

    sparse      one JSON object; the tokens that fire, with window and number  the default
    dense       one JSON object; a key a token                                every token has a probability
    digits      one JSON object; a digit a token in a string a window         short, easily miscounted
    echo        the prompt's own log probabilities at "unknown" (Bills et al. 2023)   servers with prompt logprobs
    decisions   a typed question a token                                      models with the Decisions API
    token       a call a token                                                for comparison

A window whose prediction is missing, of a wrong length or out of range is a failure with a status, never zeros. The
values are on the explainer's scale; `calibrate` brings them to the dictionary's.

Output is what costs: of 60 windows of 32 tokens `dense` writes 1,920 keys, `sparse` one entry for each token that
fires, and its schema says all that a reply may hold. What it does not list is 0, so that a model that lost interest
half-way looks like one that predicts silence; `dense`, which must name every token, is there to tell.

Letters in shapes: L tokens of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np

from autointerp.explain.marking import TABS, number
from autointerp.explain.template import Template
from autointerp.llm.asks import Answer, Ask, InvalidReply
from autointerp.records import Float32
from autointerp.score.scorers.shown import (
    Reply,
    ShownWindow,
    bars_for,
    expected,
    in_order,
    integer_schema,
    mean_of,
    object_schema,
    one_line,
    read_decisions,
    read_integer,
    read_integers,
    template,
    token_starts,
)

STEPS = range(0, 11)
"""Values of an activation as it is predicted."""
ECHO_ALTERNATIVES = 15
"""Bills et al. read the fifteen likeliest tokens."""
MOST_QUESTIONS = 400
"""The Decisions API takes so many in one call."""

_MARKED = {"open": False, "close": False}
_WINDOWS = {"explanation": True, "windows": True}


class Simulator(Protocol):
    """One way to ask for the activations of some windows."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> int:
        """Windows in one call, at most."""
        ...

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        """The questions about `windows`, which are not more than `group`."""
        ...

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[Reply]:
        """Of each window the values of its scored tokens, 0 to 10, from the answers in the order of `asks`."""
        ...


def calibrate(values: Float32, maximum: float) -> Float32:
    """Predicted steps to activations: a tenth of the feature's maximum on the explain split each. Pearson's
    correlation does not mind; `rsquared` and `absolute_dev_explained` do."""
    return np.asarray(values * np.float32(maximum / 10.0), dtype=np.float32)


def spread(reply: Reply, window: ShownWindow) -> Float32:
    """The values of the scored tokens at their places, [L]: 0 where not scored, nan where there is no value."""
    places = np.asarray(window.scored, dtype=np.bool_)
    values = np.zeros(len(places), dtype=np.float32)
    values[places] = np.nan if reply.values is None else np.asarray(reply.values, dtype=np.float32)
    return values


def chunks(windows: Sequence[ShownWindow], size: int) -> Iterator[Sequence[ShownWindow]]:
    """The windows of each call."""
    for first in range(0, len(windows), size):
        yield windows[first : first + size]


def _names(windows: Sequence[ShownWindow]) -> list[str]:
    return [f"w{i}" for i in range(1, len(windows) + 1)]


def _lines(windows: Sequence[ShownWindow], names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The windows with numbered tokens, a line each, and what fills the placeholders of the marks."""
    bars = bars_for(windows)
    shown = [
        f"{name}: {number(window.all_tokens, window.all_scored, bars)}"
        for name, window in zip(names, windows, strict=True)
    ]
    return "\n".join(shown), {"open": bars.open, "close": bars.close}


def _failed(answer: Answer, windows: Sequence[ShownWindow]) -> list[Reply]:
    return [Reply(None, answer.status, answer.reason)] * len(windows)


# --- one JSON object --------------------------------------------------------------------------------


@cache
def _template(name: str) -> Template:
    if name == "simulate_token":
        marked = {**_MARKED, "explanation": True, "window": True, "token": True}
        return template(name, system=_MARKED, prompt=marked)
    if name == "simulate_echo":
        return template(name, prompt=_WINDOWS, window={"tokens": True})
    if name == "simulate_decisions":
        return template(name, prompt={**_MARKED, **_WINDOWS}, question={**_MARKED, "token": True, "window": True})
    return template(name, system=_MARKED, prompt=_WINDOWS)


@dataclass(frozen=True)
class Sparse:
    """The tokens that fire, of all windows: `{"fires":[{"w":1,"t":4,"v":10}]}`."""

    logprobs: int = 0
    group: int = 60
    name: str = "sparse"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        lines, marks = _lines(windows, _names(windows))
        counts = [window.n_scored for window in windows]
        hit = {"w": range(1, len(windows) + 1), "t": range(1, max(counts, default=1) + 1), "v": STEPS[1:]}
        one = object_schema({name: {"type": "integer", "enum": list(allowed)} for name, allowed in hit.items()})
        words = _template("simulate")
        return [
            Ask(
                "simulate",
                words.fill("system", marks),
                words.fill("prompt", {"explanation": one_line(explanation), "windows": lines}),
                max_tokens=200 + 12 * sum(counts),
                schema=object_schema({"fires": {"type": "array", "items": one}}),
                logprobs=self.logprobs,
                parse=lambda reply: _hits(reply, counts),
            )
        ]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[Reply]:
        (answer,) = answers
        if answer.status != "ok":
            return _failed(answer, windows)
        better = expected(answer, STEPS[1:], key="v")
        written = [float(strength) for _, _, strength in answer.data]
        values = better if better is not None and len(better) == len(written) else written
        rows = [[0.0] * window.n_scored for window in windows]
        for (window, token, _), value in zip(answer.data, values, strict=True):
            rows[window - 1][token - 1] = value
        return [Reply(tuple(row)) for row in rows]


def _hits(reply: Any, counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(window, token, strength) of each token that is said to fire; each token once. Raises InvalidReply."""
    if not isinstance(reply, dict) or list(reply) != ["fires"] or not isinstance(reply["fires"], list):
        raise InvalidReply('the reply is not an object with the one key "fires" and a list')
    found: dict[tuple[int, int], int] = {}
    for hit in reply["fires"]:
        if not isinstance(hit, dict) or set(hit) != {"w", "t", "v"}:
            raise InvalidReply(f'{hit!r} is not {{"w": excerpt, "t": token, "v": strength}}')
        window = read_integer(hit["w"], range(1, len(counts) + 1), "w")
        token = read_integer(hit["t"], range(1, counts[window - 1] + 1), f"t of excerpt {window}")
        if (window, token) in found:
            raise InvalidReply(f"token {token} of excerpt {window} is there twice")
        found[window, token] = read_integer(hit["v"], STEPS[1:], "v")
    return [(window, token, strength) for (window, token), strength in found.items()]


def _windows_of(reply: Any, names: Sequence[str]) -> list[Any]:
    if not isinstance(reply, dict):
        raise InvalidReply("the reply is not an object")
    if missing := [name for name in names if name not in reply]:
        raise InvalidReply(f'{len(missing)} of {len(names)} windows are missing, "{missing[0]}" first')
    if unknown := sorted(set(reply) - set(names)):
        raise InvalidReply(f'there is no window "{unknown[0]}"')
    return [reply[name] for name in names]


def _listed(reply: Any, n_tokens: int) -> tuple[tuple[int, int], ...]:
    """(token, strength) of each token that is said to fire; each token once."""
    if not isinstance(reply, list):
        raise InvalidReply("a window's value is not a list")
    found: dict[int, int] = {}
    for hit in reply:
        if not isinstance(hit, dict) or list(hit) != ["t", "v"]:
            raise InvalidReply(f'{hit!r} is not {{"t": token, "v": strength}}')
        token = read_integer(hit["t"], range(1, n_tokens + 1), "t")
        if token in found:
            raise InvalidReply(f"token {token} is there twice")
        found[token] = read_integer(hit["v"], STEPS[1:], "v")
    return tuple(found.items())


@dataclass(frozen=True)
class Dense:
    """A key a token: `{"w1":{"t1":0,"t2":0,...}}`."""

    logprobs: int = 0
    group: int = 2
    name: str = "dense"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        names = _names(windows)
        lines, marks = _lines(windows, names)
        keys = [[f"t{k}" for k in range(1, window.n_scored + 1)] for window in windows]
        schema = object_schema({name: integer_schema(own, STEPS) for name, own in zip(names, keys, strict=True)})

        def parse(reply: Any) -> list[list[int]]:
            found = _windows_of(reply, names)
            return [read_integers(one, own, STEPS) for one, own in zip(found, keys, strict=True)]

        words = _template("simulate_dense")
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

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[Reply]:
        (answer,) = answers
        if answer.status != "ok":
            return _failed(answer, windows)
        flat = replace(answer, data=[value for row in answer.data for value in row])
        values = iter(in_order(flat, STEPS).values or ())
        return [Reply(tuple(next(values) for _ in range(window.n_scored))) for window in windows]


@dataclass(frozen=True)
class Digits:
    """A digit a token: `{"w1":"000900"}`; strengths from 0 to 9 are brought to 0 to 10."""

    group: int = 60
    name: str = "digits"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        names = _names(windows)
        lines, marks = _lines(windows, names)
        counts = [window.n_scored for window in windows]

        def parse(reply: Any) -> list[list[int]]:
            rows = []
            for text, n in zip(_windows_of(reply, names), counts, strict=True):
                if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) != n:
                    raise InvalidReply(f"{text!r} is not a string of {n} digits")
                rows.append([int(digit) for digit in text])
            return rows

        schema = object_schema({name: {"type": "string"} for name in names})
        words = _template("simulate_digits")
        return [
            Ask(
                "simulate",
                words.fill("system", marks),
                words.fill("prompt", {"explanation": one_line(explanation), "windows": lines}),
                max_tokens=200 + 10 * len(names) + 2 * sum(counts),
                schema=schema,
                parse=parse,
            )
        ]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[Reply]:
        (answer,) = answers
        if answer.status != "ok":
            return _failed(answer, windows)
        return [Reply(tuple(value * 10 / 9 for value in row)) for row in answer.data]


# --- prompt log probabilities -----------------------------------------------------------------------

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Echo:
    """Every activation is written "unknown"; the distribution at its place is read from the echoed prompt."""

    alternatives: int = ECHO_ALTERNATIVES
    group: int = 4
    name: str = "echo"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        words = _template("simulate_echo")
        texts = []
        for window in windows:
            before = [TABS.text(token) for token in window.before]
            lines = [
                f"{TABS.text(token)}\t{UNKNOWN}" if scored else TABS.text(token)
                for token, scored in zip(window.tokens, window.scored, strict=True)
            ]
            texts.append(words.fill("window", {"tokens": "\n".join([*before, *lines])}))
        prompt = words.fill("prompt", {"explanation": one_line(explanation), "windows": "\n".join(texts)})
        return [Ask("simulate", "", prompt, max_tokens=0, form="echo", logprobs=self.alternatives)]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[Reply]:
        (answer,) = answers
        if answer.status != "ok":
            return _failed(answer, windows)
        tokens = answer.tokens or ()
        text = "".join(token.text for token in tokens)
        first = text.find(answer.ask.prompt)  # some servers echo their token for the beginning of a text
        if first < 0:
            wrong = Reply(None, "unsupported", "the prompt was not echoed as it was sent")
            return [wrong] * len(windows)
        starts = token_starts(tokens)
        place = first + answer.ask.prompt.rindex("\nNeuron 3\n")
        replies = []
        for window in windows:
            values: list[float] = []
            missing = 0
            for _ in range(window.n_scored):
                place = text.index(f"\t{UNKNOWN}", place) + 1
                token = starts.get(place)
                value = None if token is None else mean_of(token, STEPS)
                missing += value is None
                values.append(0.0 if value is None else value)
            if missing:  # Bills et al. take 0
                reason = f"no digit among the likeliest tokens at {missing} of {window.n_scored} places"
                replies.append(Reply(None, "unsupported", reason))
            else:
                replies.append(Reply(tuple(values)))
        return replies


# --- typed questions --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decisions:
    """A question a token, answered by an expected strength."""

    group: int = 12
    name: str = "decisions"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        names = _names(windows)
        lines, marks = _lines(windows, names)
        words = _template("simulate_decisions")
        levels = [{"label": str(step)} for step in STEPS]
        questions: list[dict[str, Any]] = []
        for name, window in zip(names, windows, strict=True):
            for k in range(1, window.n_scored + 1):
                instructions = words.fill("question", {"token": str(k), "window": name, **marks})
                one = {"type": "score", "name": f"{name}t{k}", "instructions": instructions, "levels": levels}
                questions.append(one)
        prompt = words.fill("prompt", {"explanation": one_line(explanation), "windows": lines, **marks})
        return [_decisions("simulate", prompt, part, "score") for part in _portions(questions)]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[Reply]:
        failed = next((answer for answer in answers if answer.status != "ok"), None)
        if failed is not None:
            return _failed(failed, windows)
        values = iter([value for answer in answers for value in answer.data])
        return [Reply(tuple(next(values) for _ in range(window.n_scored))) for window in windows]


def _portions(questions: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for first in range(0, len(questions), MOST_QUESTIONS):
        yield questions[first : first + MOST_QUESTIONS]


def _decisions(kind: str, prompt: str, questions: Sequence[dict[str, Any]], answer: str) -> Ask:
    names = [question["name"] for question in questions]
    return Ask(
        kind,
        "",
        prompt,
        max_tokens=0,
        form="decisions",
        questions=tuple(questions),
        parse=lambda reply: read_decisions(reply, names, answer),
    )


# --- a call a token ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenByToken:
    """One call for each token, which sees the whole window."""

    logprobs: int = 0
    group: int = 1
    name: str = "token"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        words = _template("simulate_token")
        asks = []
        for window in windows:
            bars = bars_for([window])
            marks = {"open": bars.open, "close": bars.close}
            shown = {"explanation": one_line(explanation), "window": number(window.all_tokens, window.all_scored, bars)}
            for k in range(1, window.n_scored + 1):
                prompt = words.fill("prompt", {**shown, **marks, "token": str(k)})
                asks.append(
                    Ask(
                        "simulate",
                        words.fill("system", marks),
                        prompt,
                        max_tokens=20,
                        schema=integer_schema(["v"], STEPS),
                        logprobs=self.logprobs,
                        parse=lambda reply: read_integers(reply, ["v"], STEPS),
                    )
                )
        return asks

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[Reply]:
        said = iter([in_order(answer, STEPS) for answer in answers])
        replies = []
        for window in windows:
            own = [next(said) for _ in range(window.n_scored)]
            failed = next((one for one in own if one.values is None), None)
            replies.append(failed or Reply(tuple(value for one in own for value in one.values or ())))
        return replies


GROUPS = {"sparse": 60, "dense": 2, "digits": 60, "echo": 4, "decisions": 12, "token": 1}
"""Windows in one call, by simulator."""
SIMULATORS = tuple(GROUPS)


def simulator_named(name: str, logprobs: int = 0, group: int | None = None) -> Simulator:
    """One of SIMULATORS; `logprobs` alternatives where the model gives them; `group` windows in a call."""
    made: dict[str, Callable[[int], Simulator]] = {
        "sparse": lambda size: Sparse(logprobs, size),
        "dense": lambda size: Dense(logprobs, size),
        "digits": lambda size: Digits(size),
        "echo": lambda size: Echo(logprobs or ECHO_ALTERNATIVES, size),
        "decisions": lambda size: Decisions(size),
        "token": lambda size: TokenByToken(logprobs, size),
    }
    return made[name](GROUPS[name] if group is None else group)
