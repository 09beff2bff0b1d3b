"""The settings of one model: a section of the run file, for explainers and judges alike.

judge = { provider = "openai", model = "gpt-6-luna", base_url = "http://127.0.0.1:8000/v1" }
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from autointerp.errors import UserError

Provider = Literal["anthropic", "openai"]

_HOME = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
_KEY = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_URL = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL"}


class Price(BaseModel):
    """What a model costs, dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)  # default: as input
    cache_write: float | None = Field(default=None, ge=0)  # default: as input
    batch: float = Field(default=1.0, ge=0, le=1)  # factor on everything in a batch


class CapabilityChanges(BaseModel):
    """What a run file says differently from `capabilities.toml`; the meaning of each key stands in `Capabilities`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling: tuple[Literal["temperature", "top_p", "seed"], ...] | None = None
    logprobs: int | None = Field(default=None, ge=0)
    prompt_logprobs: int | None = Field(default=None, ge=0)
    echo_max_tokens: int | None = Field(default=None, ge=0, le=1)
    structured: Literal["json_schema", "json_object", "prompt"] | None = None
    decisions: bool | None = None
    batch: bool | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    cache: Literal["none", "blocks", "key"] | None = None
    cache_prefix: int | None = Field(default=None, ge=0)
    efforts: tuple[str, ...] | None = None
    effort: str | None = None
    free_effort: str | None = None


class LLMModel(BaseModel):
    """One model on one server. Nothing below `capabilities` changes a reply, and so none of it a request's hash."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Provider
    model: str = Field(min_length=1)
    base_url: str | None = None  # default: the provider's own, or ANTHROPIC_BASE_URL / OPENAI_BASE_URL
    temperature: float | None = Field(default=None, ge=0, le=2)  # default: the server's own; not every model takes one
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    effort: str | None = None  # of reasoning
    service_tier: str | None = None  # "flex", "priority" ...: priced as such
    max_tokens: int | None = Field(default=None, ge=1)  # instead of what the prompt's author allowed a reply
    capabilities: CapabilityChanges | None = None

    price: Price | None = None
    key_env: str | None = None  # the environment variable that holds the key
    concurrency: int = Field(default=64, ge=1, le=4096)
    timeout_s: float = Field(default=120.0, gt=0)  # for one request, from sending to the last byte
    attempts: int = Field(default=6, ge=1, le=50)  # at a request that ends in errors; waiting for a limit is none
    replies: int = Field(default=3, ge=1, le=20)  # paid for at most, where they are not what was asked for
    patience_s: float = Field(default=1800.0, gt=0)  # a server that answers nothing for so long ends the run

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
        host = urlsplit(self.server).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def key(self) -> str:
        """The key, from the environment. Raises UserError, naming the variable, where there is none."""
        name = self.key_env or _KEY[self.provider]
        key = os.environ.get(name, "").strip()
        if key:
            return key
        if self.key_env is None and self.loopback:
            return "none"
        raise UserError(f'{self.provider} "{self.model}" needs a key: set the environment variable {name}')

    def identity(self) -> dict[str, Any]:
        """All that can change a reply: part of the identity of work that this model does."""
        settings = {"price", "key_env", "concurrency", "timeout_s", "attempts", "replies", "patience_s", "base_url"}
        fields = self.model_dump(exclude=settings, include=set(LLMModel.model_fields), exclude_none=True)
        return fields | {"server": self.server}
