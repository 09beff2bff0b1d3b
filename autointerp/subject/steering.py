"""The model with a vector added at a hook point at every token from one on, and its text going on token by token.

Several copies of one text run side by side, each with a vector of its own. Two ways with the same results, as in
`patching.py`: `WholeSteering` runs the bridge on all of the text again for each token; `CachedSteering` runs the plain
model behind the keys and values that it has kept. Whether the plain model agrees is tried out on the text before it is
used. Only the logits of the last token are ever held, one row a copy.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.model import Subject
from autointerp.subject.patching import agreement, changed_at, plain_module, typical_norm, written_at
from autointerp.subject.sample_pass import BEFORE_UNEMBEDDING, logits_of


@runtime_checkable
class SteeredText(Protocol):
    """Copies of a text, each with its own vector added."""

    @property
    def logits(self) -> Float[Tensor, "R V"]:
        """float32, of what comes after the last token of each copy."""
        ...

    def write(self, tokens: Int[Tensor, " R"]) -> None:
        """Puts a token behind each copy."""
        ...


@runtime_checkable
class SteeredPasses(Protocol):
    """Runs texts with vectors added."""

    def open(self, tokens: Int[Tensor, " L"], added: Float[Tensor, "R d"], first: int) -> SteeredText:
        """`R` copies; each has its vector added at its tokens from `first` on, also at those that are written."""
        ...


def steered_passes(subject: Subject, hook: str, tokens: Int[Tensor, " L"], first: int) -> SteeredPasses:
    """The faster of the two that gives the bridge's logits on this text. Raises InputError where what is added at the
    hook point reaches no logit."""
    whole = WholeSteering(subject, hook)
    kick = torch.randn(1, subject.width(hook), generator=torch.Generator().manual_seed(0)).to(subject.device)
    added = torch.cat([torch.zeros_like(kick), kick * typical_norm(subject, hook, tokens) / kick.norm()])
    expected = _tried(whole, tokens, added, first)
    change = (expected[:, 1] - expected[:, 0]).abs().max()
    if not bool(change > 0):
        raise InputError(f'"{subject.name}": what is added at "{hook}" changes no logit')
    place = plain_module(subject, hook)
    if place is None:
        return whole
    quick = CachedSteering(*place)
    try:
        same = (_tried(quick, tokens, added, first) - expected).abs().max() <= agreement(subject) * change
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError):  # an architecture with a cache of its own kind
        return whole
    return quick if bool(same) else whole


def _tried(passes: SteeredPasses, tokens: Tensor, added: Tensor, first: int) -> Tensor:
    """Logits behind the text, and behind another token after it, [2, R, V]."""
    text = passes.open(tokens, added, first)
    behind = text.logits
    text.write(tokens[-1].expand(len(added)))
    return torch.stack([behind, text.logits])


@dataclass(frozen=True)
class WholeSteering:
    """The bridge, from the first token on, for each token again."""

    subject: Subject
    hook: str

    def open(self, tokens: Tensor, added: Tensor, first: int) -> SteeredText:
        return WholeText(self, tokens.expand(len(added), -1), added, first)


class _StreamSeen(Exception):
    """Ends a forward pass; no error."""


class WholeText:
    """Copies of a text that is read from its beginning each time."""

    def __init__(self, passes: WholeSteering, tokens: Tensor, added: Tensor, first: int) -> None:
        self._passes, self._tokens, self._added, self._first = passes, tokens, added, first
        self.logits = self._read()

    def write(self, tokens: Tensor) -> None:
        self._tokens = torch.cat([self._tokens, tokens[:, None]], dim=1)
        self.logits = self._read()

    @torch.inference_mode()
    def _read(self) -> Tensor:
        subject, last = self._passes.subject, []

        def steer(activation: Tensor, hook: Any) -> Tensor:  # noqa: ARG001 - by that name
            flat = activation.reshape(*self._tokens.shape, -1).clone()
            flat[:, self._first :] += self._added[:, None].to(flat.dtype)
            return flat.reshape(activation.shape)

        def end(stream: Tensor, hook: Any) -> None:  # noqa: ARG001 - by that name
            last.append(stream[:, -1].detach())
            raise _StreamSeen

        with contextlib.suppress(_StreamSeen):
            subject.bridge.run_with_hooks(
                self._tokens,
                return_type=None,
                fwd_hooks=[(written_at(self._passes.hook), steer), (BEFORE_UNEMBEDDING, end)],
            )
        return logits_of(subject, last[0])


def _plus_from(added: Tensor, first: int, value: Tensor) -> Tensor:
    """[n, L, d] with [n, d] added to each token from the `first` on."""
    value = value.clone()
    value[:, first:] += added[:, None].to(value.dtype)
    return value


@dataclass(frozen=True)
class CachedSteering:
    """The plain model, on what is new only."""

    model: Any
    module: torch.nn.Module
    side: str

    def open(self, tokens: Tensor, added: Tensor, first: int) -> SteeredText:
        return CachedText(self, tokens.expand(len(added), -1), added, first)


class CachedText:
    """Copies of a text whose keys and values are kept."""

    def __init__(self, passes: CachedSteering, tokens: Tensor, added: Tensor, first: int) -> None:
        from transformers import DynamicCache

        self._passes, self._added = passes, added
        self._cache = DynamicCache(config=passes.model.config)
        self.logits = self._read(tokens, first)

    def write(self, tokens: Tensor) -> None:
        self.logits = self._read(tokens[:, None], 0)

    @torch.inference_mode()
    def _read(self, tokens: Tensor, first: int) -> Tensor:
        handle = changed_at(self._passes.module, self._passes.side, partial(_plus_from, self._added, first))
        try:
            output = self._passes.model(tokens, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        finally:
            handle.remove()
        logits: Tensor = output.logits[:, -1].float()
        return logits
