"""A scripted LLM: a function from Ask to Answer that reads prompts as a person would, and remembers what it was asked.

It answers from the prompt alone, and with its own small rules, so that good explanations score and bad ones do not:
an explanation names tokens in quotes; a token fires where it is named.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from autointerp.config.llm_model import LLMModel
from autointerp.explain.marking import MARKS, escape, unescape
from autointerp.hashing import content_hash
from autointerp.llm.asks import Answer, Ask, InvalidReply

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class ScriptedLLM:
    """`fail` may name a status for an ask; replies are kept as a reply log keeps them."""

    def __init__(self, fail: Callable[[Ask], str | None] = lambda _ask: None) -> None:
        self.fail = fail
        self.sent: list[Ask] = []
        self.kept: dict[tuple[str, int], str] = {}
        self.models: Counter[str] = Counter()

    def answers(self, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
        held: list[Answer] = []
        for ask in asks:
            held.append(self.answer(ask, model))
            if len(held) > 5:  # not in the order asked
                yield held.pop(2)
        yield from reversed(held)

    def close(self) -> None:
        """There is nothing to let go of."""

    def reply(self, ask: Ask) -> Any:
        """What is written."""
        return reply_to(ask)

    def answer(self, ask: Ask, model: LLMModel) -> Answer:
        request = content_hash([model.identity(), ask.system, ask.prompt, ask.schema, ask.questions, ask.form])
        status = self.fail(ask)
        if status is not None:
            return Answer(ask, request, status, f"scripted {status}")  # type: ignore[arg-type]
        cached = (request, ask.sample) in self.kept
        if not cached:
            self.sent.append(ask)
            self.models[model.model] += 1
            self.kept[request, ask.sample] = json.dumps(self.reply(ask))
        text = self.kept[request, ask.sample]
        try:
            data = ask.parse(json.loads(text)) if ask.parse else json.loads(text)
        except InvalidReply as error:
            return Answer(ask, request, "invalid", str(error), text=text)
        return Answer(ask, request, "ok", text=text, data=data, model=f"{model.model}-2026", cached=cached)


def reply_to(ask: Ask) -> Any:
    return _REPLIES[ask.kind](ask)


def marks(ask: Ask) -> tuple[str, str]:
    """What stands before and after a marked token in a prompt."""
    for pair in MARKS:
        if f"between {pair.open} and {pair.close}" in ask.system:
            return pair.open, pair.close
    raise AssertionError("no marks")


def _explain(ask: Ask) -> dict[str, Any]:
    """Names the tokens that were marked most often."""
    begin, end = marks(ask)
    marked = re.findall(f"{re.escape(begin)}([^{end}]*){re.escape(end)}", ask.prompt)
    times = Counter(unescape(token.rpartition("·")[0] or token) for token in marked)
    heaviest = [token for token, _ in times.most_common(3)]
    promoted = re.search(r"likelier to come next, the strongest first: (.*)", ask.prompt)
    quoted = ", ".join(f'"{escape(token, chr(34))}"' for token in heaviest)
    answer = {
        "fires": f"Fires on {quoted}." if heaviest else "Fires on nothing.",
        "lexicon": [{"token": token, "after": "", "strength": 8} for token in heaviest],
        "promotes": promoted[1] if promoted else "",
        "triggers": heaviest,
    }
    return {key: value for key, value in answer.items() if f'- "{key}":' in ask.system}


def named(ask: Ask) -> set[str]:
    """Tokens that the explanation of a prompt quotes."""
    line = next(line for line in ask.prompt.splitlines() if line.startswith("Explanation: "))
    text = unescape(line.removeprefix("Explanation: ")[1:-1])
    return {unescape(token) for token in _QUOTED.findall(text)}


def lines(ask: Ask, letter: str) -> list[tuple[int, str]]:
    """Number and text of the lines of a prompt that begin with this letter and a number."""
    return [(int(k), text) for k, text in re.findall(rf"^{letter}(\d+): (.*)$", ask.prompt, re.MULTILINE)]


def _simulate(ask: Ask) -> dict[str, Any]:
    tokens, hits = named(ask), []
    bar = re.search(r"in front of the token: (\S)1", ask.system)
    assert bar is not None
    for window, line in lines(ask, "w"):
        parts = line.split(bar[1])
        for number, text in zip(parts[1::2], parts[2::2], strict=True):
            if unescape(text) in tokens:
                hits.append({"w": window, "t": int(number), "v": 8})
    return {"fires": hits}


def _detect(ask: Ask) -> dict[str, int]:
    tokens = named(ask)
    return {f"e{k}": int(any(escape(token) in line for token in tokens)) for k, line in lines(ask, "e")}


def _fuzz(ask: Ask) -> dict[str, int]:
    tokens = named(ask)
    begin, end = marks(ask)
    found = {}
    for k, line in lines(ask, "e"):
        marked = re.findall(f"{re.escape(begin)}([^{end}]*){re.escape(end)}", line)
        found[f"e{k}"] = int(any(unescape(token) in tokens for token in marked))
    return found


def _rate(ask: Ask) -> dict[str, int]:
    tokens = named(ask)
    letters = {token.strip()[:2] for token in tokens}
    return {f"t{k}": 9 if unescape(text[1:-1]).strip()[:2] in letters else 1 for k, text in lines(ask, "t")}


def questions(ask: Ask) -> dict[str, list[str]]:
    """The excerpts below each question of a prompt."""
    excerpts: dict[str, list[str]] = {}
    for line in ask.prompt.splitlines():
        if re.fullmatch(r"q\d+:", line):
            excerpts[line[:-1]] = []
        elif excerpts and re.match(r"\d: ", line):
            excerpts[list(excerpts)[-1]].append(line[3:])
    return excerpts


def _choose(ask: Ask) -> dict[str, int]:
    """The first excerpt that holds a token that the explanation names."""
    tokens = [escape(token) for token in named(ask)]
    return {
        name: next((i for i, line in enumerate(lines, 1) if any(token in line for token in tokens)), 1)
        for name, lines in questions(ask).items()
    }


def _intrude(ask: Ask) -> dict[str, int]:
    """The excerpt whose marked tokens stand in the fewest others, in all questions taken together."""
    begin, end = marks(ask)
    marked = {
        name: [set(re.findall(f"{re.escape(begin)}([^{end}]*){re.escape(end)}", line)) for line in lines]
        for name, lines in questions(ask).items()
    }
    times = Counter(token.strip() for of in marked.values() for tokens in of for token in tokens)
    common = {
        name: [max((times[t.strip()] for t in tokens), default=0) for tokens in of] for name, of in marked.items()
    }
    return {name: 1 + counts.index(min(counts)) for name, counts in common.items()}


def _generate(ask: Ask) -> dict[str, str]:
    """Texts that hold what the explanation names, and texts that do not."""
    tokens = [token.strip() or token for token in sorted(named(ask))] or ["nothing"]
    said = {f"fires{i}": f"Here the {tokens[i % len(tokens)]} stands, and {tokens[0]} again." for i in range(1, 5)}
    return said | {f"silent{i}": f"A plain line of number {i}, without it." for i in range(1, 5)}


_REPLIES: dict[str, Callable[[Ask], Any]] = {
    "explain": _explain,
    "simulate": _simulate,
    "detect": _detect,
    "fuzz": _fuzz,
    "logits": _rate,
    "logits_hard": _rate,
    "discriminate": _choose,
    "intrude": _intrude,
    "intrude_internal": _intrude,
    "generate": _generate,
    "intervene": _choose,
}
