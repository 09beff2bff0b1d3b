"""Tokens -> dollars, request by request (tiers are a request's, never a sum's).

A price stated in the run file goes first; a loopback server costs nothing; all else is looked up in genai-prices.
A price that nobody knows is an error that says how to state one.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from autointerp.config.llm_model import LLMModel, Price
from autointerp.errors import ConfigError, nearest
from autointerp.reply_log import Usage

Channel = str  # live | batch | offline


class Prices:
    """Prices of one model. Raises ConfigError where nobody knows them."""

    def __init__(self, model: LLMModel) -> None:
        self._stated = model.price or (Price(input=0, output=0) if model.loopback else None)
        self._model = model
        if self._stated is None:
            self._listed("live", model.service_tier)  # raises here, before anything is sent

    @property
    def free(self) -> bool:
        """Whether nothing here costs anything."""
        return self._stated is not None and self._stated.input == self._stated.output == 0

    def cost(self, usage: Usage, channel: Channel = "live", tier: str | None = None) -> float:
        """Dollars for one reply."""
        if self._stated is not None:
            return _stated_cost(self._stated, usage, channel)
        return float(self._listed(channel, tier or self._model.service_tier)(usage))

    def expected(self, input_tokens: int, output_tokens: int, channel: Channel = "live") -> float:
        """Dollars for a request of so many tokens, without caching."""
        return self.cost(Usage(input_tokens, output_tokens), channel)

    def worst(self, input_tokens: int, max_tokens: int, channel: Channel = "live") -> float:
        """Dollars at most for a request of so many tokens: nothing read from a cache, all of it written to one."""
        plain = self.expected(input_tokens, max_tokens, channel)
        return max(plain, self.cost(Usage(input_tokens, max_tokens, 0, input_tokens), channel))

    def _listed(self, channel: Channel, tier: str | None) -> Any:
        context = {} if tier in (None, "standard", "default", "auto", "standard_only") else {"service_tier": tier}
        if channel == "batch":
            context = {"processing": "batch"}
        price = _look_up(self._model.provider, self._model.model, tuple(sorted(context.items())), self._model.hosted)
        if price is None:
            near = nearest(self._model.model, _listed_names(self._model.provider)) if self._model.hosted else ""
            raise ConfigError(
                f'the price of {self._model.provider} "{self._model.model}" is not known; state it, in dollars per '
                f"million tokens: price = {{ input = 0.10, output = 0.50 }}{near}"
            )
        return price


def _stated_cost(price: Price, usage: Usage, channel: Channel) -> float:
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    micro = plain * price.input + usage.cache_read_tokens * read + usage.cache_write_tokens * write
    micro += usage.output_tokens * price.output
    return micro * (price.batch if channel == "batch" else 1.0) / 1e6


def _listed_names(provider: str) -> list[str]:
    """The models of a provider whose prices are listed."""
    from genai_prices.data_snapshot import get_snapshot

    return [model.id for known in get_snapshot().providers if known.id == provider for model in known.models]


@functools.cache
def _look_up(provider: str, model: str, context: tuple[tuple[str, str], ...], hosted: bool) -> Any:
    """A function from usage to dollars, by today's prices; None where the model is not listed.

    Another server's prices are not the provider's: a compatible address that is not loopback has to state its own.
    """
    if not hosted:
        return None
    from genai_prices import Usage as Counted
    from genai_prices import calc_price

    now = datetime.now(UTC)

    @functools.lru_cache(4096)
    def price(usage: Usage) -> Decimal:
        counted = Counted(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
        )
        calculation: Any = calc_price(
            counted, model, provider_id=provider, genai_request_timestamp=now, price_context=dict(context) or None
        )
        return Decimal(calculation.total_price)

    try:
        price(Usage(1000, 1000))
    except LookupError:
        return None
    return price
