"""What a (provider, model) takes, from `capabilities.toml` and the run file; what it does not take is refused here.

Nothing is left out of a request in silence, and nothing falls back: a wish that a model does not take is one clear
line before the first call.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from autointerp.config.llm_model import LLMModel, StructuredForm
from autointerp.errors import ConfigError
from autointerp.llm.asks import Ask


@dataclass(frozen=True)
class Capabilities:
    """What one model on one server takes."""

    sampling: tuple[str, ...]
    """Of temperature, top_p, seed."""
    logprobs: int
    """Alternatives for each token of a reply; 0: no log probabilities."""
    prompt_logprobs: int
    """Alternatives for each token of a prompt (completions with echo); 0: none."""
    echo_max_tokens: int
    """What to write for "no new tokens" there: 0, or 1 on servers that read 0 as no limit."""
    structured: StructuredForm
    """How a schema is asked for; prompt: not at all, the words of the prompt must do."""
    decisions: bool
    """POST /v1/decisions."""
    batch: bool
    """The provider's batch API."""
    max_tokens_field: str
    cache: Literal["none", "blocks", "key"]
    """How a shared prefix is marked for caching."""
    cache_prefix: int
    """Tokens below which a prefix is not cached."""
    efforts: tuple[str, ...]
    """Efforts of reasoning that can be asked for."""
    effort: str
    """The one that is sent where the run file says nothing."""
    free_effort: str
    """The effort at which sampling and log probabilities are allowed; empty: any."""


@functools.cache
def _table() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((Path(__file__).parent / "capabilities.toml").read_text(encoding="utf-8"))


def capabilities_of(model: LLMModel) -> Capabilities:
    """The table's rows for this model, then what the run file says. Raises ConfigError for wishes it does not take."""
    known: dict[str, Any] = {}
    for row in _table()[model.provider]:
        if fnmatchcase(model.model, row["match"]):
            known |= row
    if model.capabilities is not None:
        known |= model.capabilities.model_dump(exclude_none=True)
    values: dict[str, Any] = {field.name: known[field.name] for field in fields(Capabilities)}
    for name in ("sampling", "efforts"):
        values[name] = tuple(values[name])
    capabilities = Capabilities(**values)
    _check_settings(model, capabilities)
    return capabilities


def is_listed(model: LLMModel) -> bool:
    """Whether the table has a row about this very model. Of others a server is asked what it can do; of models that
    many serve, too (`asked = true`)."""
    rows = [row for row in _table()[model.provider] if row["match"] != "*" and fnmatchcase(model.model, row["match"])]
    return bool(rows) and not rows[-1].get("asked", False)


FORM = "form "
"""In what is known of a server: `form json_object`."""
ECHO = "echo"
"""Likewise: it was seen to echo a prompt with one new token."""


def as_found(known: Capabilities, model: LLMModel, wishes: Collection[str]) -> Capabilities:
    """With `wishes`, what the server was found to take; what the run file states stands."""
    if is_listed(model):
        return known
    stated = model.capabilities
    if ECHO in wishes and (stated is None or stated.echo_max_tokens is None):
        known = replace(known, echo_max_tokens=1)
    forms = [form for form in get_args(StructuredForm) if f"{FORM}{form}" in wishes]
    if forms and (stated is None or stated.structured is None):
        known = replace(known, structured=forms[0])
    return known


def effort_of(model: LLMModel, capabilities: Capabilities) -> str:
    """The effort of reasoning that is sent; empty: none."""
    return model.effort or capabilities.effort


def _check_settings(model: LLMModel, known: Capabilities) -> None:
    for name in ("temperature", "top_p", "seed"):
        if getattr(model, name) is None:
            continue
        if name not in known.sampling:
            raise _refusal(model, f"does not take {name}", f"leave {name} out")
        if known.free_effort and effort_of(model, known) != known.free_effort:
            raise _refusal(model, f'takes {name} only at effort = "{known.free_effort}"', f"leave {name} or effort out")
    if model.effort is not None and model.effort not in known.efforts:
        there = ", ".join(known.efforts) or "none at all"
        raise _refusal(model, f'does not take effort = "{model.effort}" (it takes {there})', "change or leave it out")


def check_wishes(ask: Ask, model: LLMModel, known: Capabilities) -> None:
    """Raises ConfigError, in one line, where the ask wants what the model does not have."""
    if ask.form == "echo":
        if not known.prompt_logprobs:
            raise _refusal(
                model,
                "gives no log probabilities of the prompt",
                "use a server that does (vLLM), or capabilities = { prompt_logprobs = 5 } if this one does",
            )
        if ask.logprobs > known.prompt_logprobs:
            raise _refusal(model, f"gives {known.prompt_logprobs} alternatives a prompt token, not {ask.logprobs}", "")
        return
    if ask.form == "decisions":
        if not known.decisions:
            raise _refusal(model, "has no Decisions API", "use one that has (gpt-6-luna)")
        if not 1 <= len(ask.questions) <= 400:
            raise _refusal(model, f"takes 1 to 400 questions in a request, not {len(ask.questions)}", "")
        return
    if ask.logprobs:
        if not known.logprobs:
            raise _refusal(model, "gives no log probabilities", "use a judge that does, or a scorer without them")
        if ask.logprobs > known.logprobs:
            raise _refusal(model, f"gives {known.logprobs} alternatives a token, not {ask.logprobs}", "")
        if known.free_effort and effort_of(model, known) != known.free_effort:
            raise _refusal(model, f'gives log probabilities only at effort = "{known.free_effort}"', "leave effort out")


def _refusal(model: LLMModel, what: str, do: str) -> ConfigError:
    return ConfigError(f'{model.provider} "{model.model}" {what}' + (f"; {do}" if do else ""))
