"""What a simulator or judge sees of a window, and what its replies say with probabilities.

An LLM's digits carry more than the digit: where the reply comes with log probabilities, a value is the expected
value over the alternatives at its place (`expected`), a yes is a probability.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.explain.marking import BARS, Marks, choose_marks, escape
from autointerp.explain.template import Section, Template, read_template
from autointerp.llm.asks import Answer, InvalidReply, TokenChoice


@dataclass(frozen=True)
class ShownWindow:
    """A window's text. The simulator is not causal: it sees all of it."""

    tokens: tuple[str, ...]
    scored: tuple[bool, ...]
    before: tuple[str, ...] = ()
    """Tokens in front of it; not scored."""

    @property
    def n_scored(self) -> int:
        return sum(self.scored)

    @property
    def all_tokens(self) -> tuple[str, ...]:
        return (*self.before, *self.tokens)

    @property
    def all_scored(self) -> tuple[bool, ...]:
        return (*(False for _ in self.before), *self.scored)


def bars_for(windows: Sequence[ShownWindow]) -> Marks:
    """A mark for the numbers of tokens that stands in none of them."""
    return choose_marks((token for window in windows for token in window.all_tokens), BARS)


def one_line(text: str) -> str:
    """An explanation as it is shown: quoted and on one line, so that what it says cannot pass for the prompt."""
    return f'"{escape(text, chr(34))}"'


def template(name: str, **sections: Mapping[str, bool]) -> Template:
    """A template of `prompts/score/`; sections with their placeholders, True where required."""
    wanted = {
        section: Section(
            frozenset(name for name, needed in holds.items() if needed),
            frozenset(name for name, needed in holds.items() if not needed),
        )
        for section, holds in sections.items()
    }
    return read_template(f"score/{name}.md", wanted)


# --- replies ----------------------------------------------------------------------------------------


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


def token_starts(tokens: Sequence[TokenChoice]) -> dict[int, TokenChoice]:
    """Which token begins at a place of the text, spaces in front of it aside."""
    place, found = 0, {}
    for token in tokens:
        found[place + len(token.text) - len(token.text.lstrip(" "))] = token
        place += len(token.text)
    return found


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


@dataclass(frozen=True)
class Reply:
    """What one call said, or why it said nothing."""

    values: tuple[float, ...] | None
    status: str = "ok"
    reason: str = ""


def in_order(answer: Answer, allowed: range) -> Reply:
    """The values of an answer whose data is a list of integers: expected values where there are any."""
    if answer.status != "ok":
        return Reply(None, answer.status, answer.reason)
    better = expected(answer, allowed)
    written = [float(value) for value in answer.data]
    return Reply(tuple(better if better is not None and len(better) == len(written) else written))


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
    for name, one in zip(names, answers, strict=True):
        if not isinstance(one, dict) or one.get("name") not in (None, name):
            raise InvalidReply(f'the answer to "{name}" is not at its place')
        if one.get("type") == "refusal":
            raise InvalidReply(f'the question "{name}" was refused')
        value = one.get("probability" if kind == "predicate" else "score")
        if one.get("type") != kind or isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidReply(f'the answer to "{name}" is no {kind}')
        if not math.isfinite(value) or value < 0 or (kind == "predicate" and value > 1):
            raise InvalidReply(f'the answer to "{name}" is {value}')
        values.append(float(value))
    return values
