"""What is asked of an LLM and what comes back, before any provider's form: the contract between prompts and client.

An `Ask` is rendered by `explain` and `score`; the client sends it to a provider, stores every attempt, and gives an
`Answer`, whatever happened. A failure is a status with a reason, never an exception, a zero or a missing answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Form = Literal["chat", "echo", "decisions"]
"""chat: messages; echo: the prompt's own token probabilities (completions with echo); decisions: typed questions."""

Status = Literal[
    "ok",
    "refused",  # the model declined
    "truncated",  # cut at max_tokens
    "too_long",  # not sent: prompt and reply do not fit into the context
    "prompt_cut",  # the server read less than the prompt, and answered all the same
    "empty",  # no text
    "unparseable",  # not JSON
    "invalid",  # JSON, but not what was asked for: keys, counts, ranges
    "unsupported",  # the server answered without what was asked for: logprobs, schema
    "api_error",  # no usable reply after all attempts
    "over_budget",  # not sent: it would have passed max_usd
    "waiting",  # filed or in a batch, no reply yet: the same command, run again, gets it
]


TOO_LONG: Status = "too_long"


class InvalidReply(ValueError):
    """Raised by `Ask.parse`: the reply is JSON, but not what was asked for. The message says why, in one line."""


@dataclass(frozen=True)
class TokenChoice:
    """One token of a reply or prompt, with its alternatives."""

    text: str
    logprob: float | None  # none for the first token of a prompt
    top: tuple[tuple[str, float], ...] = ()  # (text, log probability), the token itself among them


@dataclass(frozen=True)
class Ask:
    """One question. All but `about`, `parse` and `sample` is rendered into the request and decides its hash."""

    kind: str  # explain | simulate | detect | fuzz | logits
    system: str  # what many asks share: stands first, so that it can be cached
    prompt: str
    max_tokens: int
    form: Form = "chat"
    schema: dict[str, Any] | None = None  # JSON schema: objects with fixed keys, enums; no counts, no ranges
    logprobs: int = 0  # alternatives wanted for each output (chat) or prompt (echo) token; 0: none
    questions: tuple[dict[str, Any], ...] = ()  # decisions: name, type, instructions ...
    sample: int = 0  # number of this draw of the same request
    about: dict[str, Any] = field(default_factory=dict, compare=False)  # dictionary, feature, explainer ...
    parse: Callable[[Any], Any] | None = field(default=None, compare=False)
    """Strict validation of the decoded JSON (or of the text, without a schema); its result is `Answer.data`.
    Raises InvalidReply."""


@dataclass(frozen=True)
class Answer:
    """What came back for an `Ask`; `data` is there only where `status` is ok."""

    ask: Ask
    request: str  # hash of the whole rendered request
    status: Status
    reason: str = ""
    text: str = ""
    data: Any = None
    tokens: tuple[TokenChoice, ...] | None = None  # of the reply (chat) or of the prompt (echo), where asked for
    model: str = ""  # id that the server returned
    cached: bool = False  # from the reply log: nothing was sent
    cost_usd: float = 0.0  # of all attempts of this call
