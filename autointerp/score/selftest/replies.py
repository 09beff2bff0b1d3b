"""Replies to questions by their JSON schema: from what is said of each line and token to what a scorer reads.

    fires    {"fires": [{"w": 1, "t": 4, "v": 10}]}   the numbered tokens that fire, with a value
    tokens   {"w1": {"t1": 0, "t2": 7}}               a value for each numbered token
    items    {"e1": 0, "e2": 1}                       a value for each line
    choice   {"odd": 3}                               the line that differs most from the others
    options  {"q1": 3, "q2": 5}                       the line of each question that fits best
    texts    {"fires1": "...", "silent1": "..."}      those that fit best, and those that fit worst

What is said is a share from 0 to 1; a value is the nearest of those that the schema allows. A question of another form
cannot be answered, and that is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autointerp.llm.asks import Answer, Ask, InvalidReply
from autointerp.records import Float32
from autointerp.score.selftest.shown_lines import ShownLine, question_of

_NUMBERED = re.compile(r"[A-Za-z]+(\d+)")


class CannotAnswer(Exception):
    """The question is of a form that is not known here; the message says why."""


def answer_by(
    ask: Ask, lines: Mapping[str, ShownLine], fit: Mapping[str, float], of_tokens: Mapping[str, Float32]
) -> Answer:
    """The answer that says so of each line (`fit`) and of each token of it, as the client hands it over: written, read
    and checked. Raises CannotAnswer."""
    text = json.dumps(_reply(ask, lines, fit, of_tokens))
    try:
        data = ask.parse(json.loads(text)) if ask.parse is not None else json.loads(text)
    except InvalidReply as error:
        return Answer(ask, "", "invalid", str(error), text=text)
    return Answer(ask, "", "ok", text=text, data=data)


def _reply(
    ask: Ask, lines: Mapping[str, ShownLine], fit: Mapping[str, float], of_tokens: Mapping[str, Float32]
) -> dict[str, Any]:
    properties = (ask.schema or {}).get("properties")
    if not isinstance(properties, dict) or not properties:
        raise CannotAnswer("its questions have no schema of an object with named values")
    if not lines:
        raise CannotAnswer("its questions show no tokens on lines of their own")
    if list(properties) == ["fires"]:
        return {"fires": _fires(properties["fires"], lines, of_tokens)}
    if wants_texts(ask):
        return _texts(list(properties), fit)
    if set(map(question_of, lines)) == set(properties):
        return {name: _option(form, name, fit) for name, form in properties.items()}
    if len(properties) == 1 and not set(properties) & set(lines):
        [(name, form)] = properties.items()
        return {name: _choice(form, fit)}
    if missing := [name for name in properties if name not in lines]:
        raise CannotAnswer(f'its questions ask for "{missing[0]}" and show no line of that name')
    return {
        name: _numbered(form, lines[name], of_tokens[name]) if form.get("type") == "object" else _level(form, fit[name])
        for name, form in properties.items()
    }


def _fires(form: Mapping[str, Any], lines: Mapping[str, ShownLine], of_tokens: Mapping[str, Float32]) -> list[Any]:
    values = form.get("items", {}).get("properties", {})
    if set(values) != {"w", "t", "v"}:
        raise CannotAnswer('its questions ask for a list of other things than "w", "t" and "v"')
    hits = []
    for name, line in lines.items():
        for place in np.flatnonzero((of_tokens[name] > 0) & (line.number > 0)).tolist():
            hit = {"w": _number_of(name), "t": int(line.number[place])}
            hits.append({**hit, "v": _level(values["v"], float(of_tokens[name][place]))})
    return hits


def _numbered(form: Mapping[str, Any], line: ShownLine, strength: Float32) -> dict[str, Any]:
    at = {int(number): float(share) for number, share in zip(line.number, strength, strict=True) if number > 0}
    if missing := [name for name in form["properties"] if _number_of(name) not in at]:
        raise CannotAnswer(f'its questions ask for "{missing[0]}" and show no token of that number')
    return {name: _level(value, at[_number_of(name)]) for name, value in form["properties"].items()}


def _level(form: Mapping[str, Any], share: float) -> Any:
    if form.get("type") == "boolean":
        return share >= 0.5
    allowed = form.get("enum", [0, 1] if form.get("type") in ("integer", "number") else [])
    if not allowed or not all(isinstance(value, int | float) for value in allowed):
        raise CannotAnswer("its questions ask for values that are no numbers")
    return sorted(allowed)[min(int(share * len(allowed)), len(allowed) - 1)]


def _choice(form: Mapping[str, Any], fit: Mapping[str, float]) -> Any:
    """The first of those lines that differ most from the middle one."""
    by_number = {_number_of(name): share for name, share in fit.items()}
    shares = [fit.get(option) if isinstance(option, str) else by_number.get(option) for option in form.get("enum", [])]
    known = [share for share in shares if share is not None]
    if len(known) < 2 or len(known) < len(shares):
        raise CannotAnswer("its questions ask for a choice among what stands on no lines")
    return form["enum"][int(np.argmax(np.abs(np.array(known) - np.median(known))))]


def _option(form: Mapping[str, Any], question: str, fit: Mapping[str, float]) -> Any:
    """The first of those lines of a question that fit best."""
    shares = [fit.get(f"{question}.{option}") for option in form.get("enum", [])]
    known = [share for share in shares if share is not None]
    if not known or len(known) < len(shares):
        raise CannotAnswer("its questions ask for a choice among what stands on no lines")
    return form["enum"][int(np.argmax(known))]


def wants_texts(ask: Ask) -> bool:
    """Whether a question asks for nothing but texts."""
    properties = (ask.schema or {}).get("properties", {})
    return bool(properties) and all(of.get("type") == "string" and "enum" not in of for of in properties.values())


def _texts(names: Sequence[str], fit: Mapping[str, float]) -> dict[str, Any]:
    ordered = sorted(fit, key=lambda text: -fit[text])
    fires = [name for name in names if name.startswith("fires")]
    silent = [name for name in names if name not in fires]
    if len(ordered) < len(names):
        raise CannotAnswer(f"its questions ask for {len(names)} texts, and there are {len(ordered)}")
    return dict(zip((*fires, *silent), (*ordered[: len(fires)], *ordered[len(ordered) - len(silent) :]), strict=True))


def _number_of(name: str) -> int:
    numbered = _NUMBERED.fullmatch(name)
    return int(numbered[1]) if numbered is not None else 0
