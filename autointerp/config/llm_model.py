"""The settings of one model: a section of the run file, for explainers and judges alike.

judge = { provider = "openai", model = "gpt-6-luna", base_url = "http://127.0.0.1:8000/v1" }
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from autointerp.config.section import Section
from autointerp.errors import UserError, nearest

Provider = Literal["anthropic", "openai"]
StructuredForm = Literal["json_schema", "json_object", "structured_outputs", "guided_json", "prompt"]

_HOME = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
_KEY = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_URL = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL"}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number; nothing is looked up."""
    host = host.rstrip(".").lower()
    if host in ("localhost", "localhost.localdomain", "ip6-localhost") or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1
        except (OSError, UnicodeError):
            return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


class Price(Section):
    """What a model costs, dollars per million tokens."""

    input: float = Field(ge=0)
    """Tokens of the prompt."""
    output: float = Field(ge=0)
    """Tokens written, reasoning among them."""
    cache_read: float | None = Field(default=None, ge=0)
    """Tokens read from the prompt cache; default: as `input`."""
    cache_write: float | None = Field(default=None, ge=0)
    """Tokens written to the prompt cache; default: as `input`."""
    batch: float = Field(default=1.0, ge=0, le=1)
    """Factor on all of these in a batch."""


class CapabilityChanges(Section):
    """What a server can do, where it differs from `llm/wire/capabilities.toml`; default of each: as that file says."""

    sampling: tuple[Literal["temperature", "top_p", "seed"], ...] | None = None
    """Which sampling settings the model takes."""
    logprobs: int | None = Field(default=None, ge=0)
    """Alternatives that it gives for each token of a reply; 0: no log probabilities."""
    prompt_logprobs: int | None = Field(default=None, ge=0)
    """Alternatives that it gives for each token of a prompt; 0: none."""
    echo_max_tokens: int | None = Field(default=None, ge=0, le=1)
    """What to ask for where a prompt is only to be read: 0 new tokens, or 1 on servers that take 0 as no limit."""
    structured: StructuredForm | None = None
    """How it is asked for JSON by a schema: `json_schema` (OpenAI), `json_object` with a schema beside it (llama.cpp),
    `structured_outputs` or the older `guided_json` (vLLM), or `prompt`: by the words of the prompt alone. Default: what
    the table says; a server that the table does not know is asked."""
    decisions: bool | None = None
    """Whether it has the Decisions API (`POST /v1/decisions`)."""
    batch: bool | None = None
    """Whether it has the provider's batch API."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """What the server calls the most tokens of a reply."""
    cache: Literal["none", "blocks", "key"] | None = None
    """How the shared beginning of a prompt is marked for caching."""
    cache_prefix: int | None = Field(default=None, ge=0)
    """Tokens below which a beginning is not cached."""
    efforts: tuple[str, ...] | None = None
    """The efforts of reasoning that can be asked for."""
    effort: str | None = None
    """The effort that is sent where the run file names none."""
    free_effort: str | None = None
    """The effort at which sampling settings and log probabilities are allowed; empty: any."""


class LLMModel(Section):
    """One model on one server: an explainer or the judge. Nothing below `capabilities` changes a reply."""

    provider: Provider
    """Whose API the server speaks; `openai` also for vLLM, Ollama, OpenRouter and the like."""
    model: str = Field(min_length=1)
    """The model, as the server calls it."""
    base_url: str | None = None
    """The server; default: ANTHROPIC_BASE_URL or OPENAI_BASE_URL, or the provider's own."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; default: the server's own. A model that takes none is an error."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Share of the probability that is sampled from; default: the server's own."""
    seed: int | None = None
    """Seed of the server, where it takes one."""
    effort: str | None = None
    """Effort of reasoning, as the provider calls it."""
    service_tier: str | None = None
    """`flex`, `priority` ...: asked for and priced as such."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a reply; default: what the prompt needs."""
    capabilities: CapabilityChanges | None = None
    """What the server can do, where the built-in table is wrong or does not know it."""
    context_tokens: int | None = Field(default=None, ge=256)
    """Tokens that a prompt and its reply may have together; default: what the server states, where it does. Simulation
    puts as many windows into a call as fit; no row changes by it."""

    price: Price | None = None
    """What it costs, where the price is not known. An unknown price is an error, but a server on this machine costs
    nothing unless a price stands here."""
    key_env: str | None = None
    """The environment variable that holds the key; default: ANTHROPIC_API_KEY or OPENAI_API_KEY."""
    concurrency: int = Field(default=64, ge=1, le=4096)
    """Requests under way at once."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds for one request, from sending to the last byte."""
    attempts: int = Field(default=6, ge=1, le=50)
    """Attempts at a request that ends in errors; waiting for a rate limit is none."""
    replies: int = Field(default=3, ge=1, le=20)
    """Replies paid for at most, where they are not what was asked for."""
    patience_s: float = Field(default=1800.0, gt=0)
    """Seconds for which a server may answer nothing before the run ends."""

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'base_url = "{url}" is no address; give "http://host:port/v1"')
        if parts.username or parts.password or parts.query:
            raise ValueError("base_url holds a key or a query; keys come from the environment only (key_env)")
        return url.rstrip("/")

    @property
    def server(self) -> str:
        """The base URL that requests go to."""
        return self.base_url or os.environ.get(_URL[self.provider], "").rstrip("/") or _HOME[self.provider]

    @property
    def hosted(self) -> bool:
        """Whether this is the provider's own address."""
        return self.server == _HOME[self.provider]

    @property
    def loopback(self) -> bool:
        """Whether the server is this machine: such a one costs nothing unless a price is stated."""
        return is_loopback(urlsplit(self.server).hostname or "")

    def key(self) -> str:
        """The key, from the environment. Raises UserError, naming the variable, where there is none."""
        name = self.key_env or _KEY[self.provider]
        key = os.environ.get(name, "").strip()
        if key:
            return key
        if self.key_env is None and self.loopback:
            return "none"
        near = nearest(name, [other for other in sorted(os.environ) if other.endswith(("KEY", "KEYS", "TOKEN"))])
        raise UserError(f'{self.provider} "{self.model}" needs a key: set the environment variable {name}{near}')

    def identity(self) -> dict[str, Any]:
        """All that can change a reply: part of the identity of work that this model does."""
        settings = {"price", "key_env", "concurrency", "timeout_s", "attempts", "replies", "patience_s", "base_url"}
        settings |= {"context_tokens"}
        fields = self.model_dump(exclude=settings, include=set(LLMModel.model_fields), exclude_none=True)
        return fields | {"server": self.server}
