"""Reply -> status: is it what was asked for? Pure, the same for a live reply, one of the log and one of a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autointerp.llm.asks import Ask, Form, InvalidReply, Status
from autointerp.llm.wire.replies import ProviderReply
from autointerp.llm.wire.structured import check_value, read_json


@dataclass(frozen=True)
class Outcome:
    """The status of a reply, why, and, where it is ok, what it says."""

    status: Status
    reason: str = ""
    data: Any = None


def outcome_of(ask: Ask, reply: ProviderReply) -> Outcome:
    """Judges one reply. Only `ask.parse` may raise, and only by a mistake in it."""
    if reply.refused:
        return Outcome("refused", reply.refused)
    if ask.form == "chat" and ask.logprobs and reply.text.strip() and not reply.tokens:
        return Outcome("unsupported", "the server answered without the log probabilities that were asked for")
    if reply.truncated:
        return Outcome("truncated", f"cut after {reply.usage.output_tokens if reply.usage else '?'} tokens")
    return _BY_FORM[ask.form](ask, reply)


def _chat(ask: Ask, reply: ProviderReply) -> Outcome:
    if reply.unfinished and not (reply.stop_reason == "" and ask.schema is not None):  # a schema shows a cut itself
        return Outcome("invalid", f"no finished answer (stop reason {reply.stop_reason[:80] or 'none'})")
    if not reply.text.strip():
        aside = f"; {reply.aside:,} characters of reasoning and no answer" if reply.aside else ""
        return Outcome("empty", f"no text (stop reason {reply.stop_reason or 'none'}){aside}")
    value: Any = reply.text
    if ask.schema is not None:
        try:
            value = read_json(reply.text)
            check_value(value, ask.schema)
        except InvalidReply as error:
            return Outcome("invalid", str(error)[:300])
        except ValueError as error:
            return Outcome("unparseable", str(error)[:300])
    return _parsed(ask, value)


def _echo(ask: Ask, reply: ProviderReply) -> Outcome:
    tokens = reply.tokens
    if not tokens or all(token.logprob is None for token in tokens):
        return Outcome("unsupported", "the server answered without the prompt's log probabilities")
    if "".join(token.text for token in tokens) not in ("", ask.system + ask.prompt) and not _nearly(ask, reply):
        return Outcome("invalid", "the tokens that came back are not those of the prompt")
    return _parsed(ask, tokens)


def _parsed(ask: Ask, value: Any) -> Outcome:
    try:
        return Outcome("ok", data=ask.parse(value) if ask.parse else value)
    except InvalidReply as error:
        return Outcome("invalid", str(error)[:300])


def _nearly(ask: Ask, reply: ProviderReply) -> bool:
    """Tokens with half a character each, or a leading begin-of-text token, do not join to the prompt exactly."""
    prompt = ask.system + ask.prompt
    texts = {token.text.strip() for token in reply.tokens or () if token.text.strip().isascii()}
    return sum(text in prompt for text in texts) >= 0.9 * len(texts)


def _decisions(ask: Ask, reply: ProviderReply) -> Outcome:
    """One answer a question, of its type, with probabilities that are some. A question may be refused on its own."""
    answers = read_json(reply.text)
    if len(answers) != len(ask.questions):
        return Outcome("invalid", f"{len(answers)} answers to {len(ask.questions)} questions")
    for question, answer in zip(ask.questions, answers, strict=True):
        if not isinstance(answer, dict) or answer.get("name", question.get("name")) != question.get("name"):
            return Outcome("invalid", "the answers are not in the order of the questions")
        if answer.get("type") not in (question["type"], "refusal"):
            return Outcome("invalid", f"a {question['type']} was answered by a {answer.get('type')}")
        chances = [answer.get("probability", 0.0)]
        chances += [other.get("probability") for other in answer.get("probabilities") or ()]
        if not all(isinstance(chance, int | float) and 0 <= chance <= 1 + 1e-6 for chance in chances):
            return Outcome("invalid", "a probability is not between 0 and 1")
        if answer.get("type") == "score" and not _number(answer.get("score")):
            return Outcome("invalid", "a score is no number")
        if answer.get("type") == "predicate" and "probability" not in answer:
            return Outcome("invalid", "a predicate came without its probability")
    if all(answer["type"] == "refusal" for answer in answers):
        return Outcome("refused", "every question was refused")
    return _parsed(ask, answers)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_BY_FORM: dict[Form, Callable[[Ask, ProviderReply], Outcome]] = {
    "chat": _chat,
    "echo": _echo,
    "decisions": _decisions,
}
