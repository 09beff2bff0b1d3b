"""The simulator `token`: a call a token, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.explain.marking import number
from autointerp.llm.asks import Answer, Ask
from autointerp.score.scorers.prompt_windows import ShownWindow, bars_for, one_line
from autointerp.score.scorers.reply_values import (
    ReplyValues,
    in_order,
    integer_schema,
    read_integers,
)
from autointerp.score.scorers.simulators.common import (
    STEPS,
    simulator_template,
)


@dataclass(frozen=True)
class TokenByToken:
    """One call for each token, which sees the whole window."""

    logprobs: int = 0
    group: int = 1
    name: str = "token"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        words = simulator_template("simulate_token")
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

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[ReplyValues]:
        said = iter([in_order(answer, STEPS) for answer in answers])
        replies = []
        for window in windows:
            own = [next(said) for _ in range(window.n_scored)]
            failed = next((one for one in own if one.values is None), None)
            replies.append(failed or ReplyValues(tuple(value for one in own for value in one.values or ())))
        return replies
