"""What asks will cost, before anything is sent: for `--dry-run`.

Prompt tokens are chars/4, or what the model has been seen to count; written tokens are what replies of that kind took
so far, or all that they may take. The provider's caching is not counted on. Asks that the log can answer are free.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autointerp.config.llm_model import LLMModel
from autointerp.llm.asks import Ask
from autointerp.llm.money.prices import Channel, Prices
from autointerp.llm.wire.capabilities import as_found, capabilities_of
from autointerp.llm.wire.render import CHARS_PER_TOKEN, Request, render
from autointerp.reply_log import ReplyLookup

_CHUNK = 1024


@dataclass(frozen=True)
class Estimate:
    """One kind of call."""

    kind: str
    calls: int  # to be sent
    cached: int  # in the reply log already
    input_tokens: int
    output_tokens: int
    cost_usd: float
    most_usd: float
    """Where every reply is as long as it may be."""


def estimate(
    asks: Iterable[Ask],
    model: LLMModel,
    log: ReplyLookup | None = None,
    *,
    channel: Channel = "live",
    usual: Mapping[str, float] | None = None,
    replays: bool = True,
) -> list[Estimate]:
    """By kind, in order of appearance. Raises ConfigError for wishes and prices as the calls themselves would.

    `usual`: tokens written by kind, where the log has too few replies to tell. Without `replays` nothing is taken from
    the log but what it says of lengths.
    """
    probed = log.probed() if log else ()
    shown = {wish for server, name, wish in probed if (server, name) == (model.server, model.model)}
    known, prices = as_found(capabilities_of(model), model, shown), Prices(model)
    per_char = (log and log.tokens_per_char(model.server, model.model)) or 1 / CHARS_PER_TOKEN
    typical = dict(usual or {}) | (log.typical_output(model.server, model.model) if log else {})
    sums: dict[str, list[float]] = {}
    asked: set[tuple[str, int]] = set()
    stream = iter(asks)
    while chunk := list(itertools.islice(stream, _CHUNK)):
        requests = [(ask, render(ask, model, known)) for ask in chunk]
        keys = [(request.hash, ask.sample) for ask, request in requests]
        logged = log.look_up(keys) if log and replays else {}
        for ask, request in requests:
            key = (request.hash, ask.sample)
            row = sums.setdefault(ask.kind, [0, 0, 0, 0, 0, 0])
            if key in asked or (key in logged and logged[key].good):
                row[1] += 1
                continue
            asked.add(key)
            read, written = _tokens(request, per_char, typical.get(ask.kind))
            cost = prices.expected(read, written, channel)
            most = prices.expected(read, request.max_tokens, channel)
            row[:] = [a + b for a, b in zip(row, (1, 0, read, written, cost, most), strict=True)]
    return [
        Estimate(kind, int(row[0]), int(row[1]), int(row[2]), int(row[3]), row[4], row[5]) for kind, row in sums.items()
    ]


def _tokens(request: Request, per_char: float, typical: float | None) -> tuple[int, int]:
    written = request.max_tokens if typical is None else min(request.max_tokens, round(typical))
    return round(request.chars * per_char), written
