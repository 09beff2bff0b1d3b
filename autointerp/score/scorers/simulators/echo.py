"""The simulator `echo`: the prompt's own log probabilities (Bills et al. 2023), on servers that give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.explain.marking import TABS
from autointerp.llm.asks import Answer, Ask
from autointerp.score.scorers.prompt_windows import ShownWindow, one_line
from autointerp.score.scorers.reply_values import (
    ReplyValues,
    mean_of,
    token_starts,
)
from autointerp.score.scorers.simulators.common import (
    STEPS,
    all_failed,
    simulator_template,
)

ECHO_ALTERNATIVES = 15
"""Bills et al. read the fifteen likeliest tokens."""


UNKNOWN = "unknown"


@dataclass(frozen=True)
class Echo:
    """Every activation is written "unknown"; the distribution at its place is read from the echoed prompt."""

    alternatives: int = ECHO_ALTERNATIVES
    group: int = 4
    name: str = "echo"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        words = simulator_template("simulate_echo")
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

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[ReplyValues]:
        (answer,) = answers
        if answer.status != "ok":
            return all_failed(answer, windows)
        tokens = answer.tokens or ()
        text = "".join(token.text for token in tokens)
        first = text.find(answer.ask.prompt)  # some servers echo their token for the beginning of a text
        if first < 0:
            wrong = ReplyValues(None, "unsupported", "the prompt was not echoed as it was sent")
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
                replies.append(ReplyValues(None, "unsupported", reason))
            else:
                replies.append(ReplyValues(tuple(values)))
        return replies
