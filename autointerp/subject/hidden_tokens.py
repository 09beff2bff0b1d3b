"""Activations of the model where some tokens are hidden: they keep their place, and no token sees them.

The plain model runs with an attention mask that has holes. Not every model can: some count positions by the mask, some
have no attention that a mask could touch. So it is tried out on a context first: with no hole the activations must be
those of the bridge, and what stands in a hole must not matter for the tokens behind it.
"""

from __future__ import annotations

import contextlib
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.subject.hook_places import hook_places, is_close, tolerance_of
from autointerp.subject.model import Subject


class _SiteSeen(Exception):
    """Ends a forward pass; no error."""


@dataclass(frozen=True)
class HiddenTokens:
    """The plain model, and where in it the hook point is."""

    model: Any
    module: torch.nn.Module
    side: str
    factor: float

    @torch.inference_mode()
    def activations(self, tokens: Int[Tensor, "R L"], hidden: Bool[Tensor, "R L"]) -> Float[Tensor, "R L d"]:
        """At the hook point. Where every token that one could see is hidden, nothing is said of it."""
        seen: list[Tensor] = []

        def keep(value: Any) -> None:
            value = value[0] if isinstance(value, tuple) else value
            seen.append(value.detach().reshape(*tokens.shape, -1).float() * self.factor)
            raise _SiteSeen

        def inputs(_module: Any, values: Any, named: Any) -> None:
            keep(values if values else named["hidden_states"])

        if self.side == "output":
            handle: Any = self.module.register_forward_hook(lambda _m, _i, value: keep(value))
        else:
            handle = self.module.register_forward_pre_hook(inputs, with_kwargs=True)
        places = torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)
        try:
            with contextlib.suppress(_SiteSeen):
                self.model(tokens, attention_mask=(~hidden).long(), position_ids=places, use_cache=False)
        finally:
            handle.remove()
        return seen[0]


def hidden_tokens(subject: Subject, hook: str, tokens: Int[Tensor, " L"]) -> HiddenTokens | None:
    """None where the model cannot be run so; `tokens`: the context that it is tried on."""
    place = hook_places(subject, [hook]).get(hook)
    if place is None or place.module is None or subject.reference is None or len(tokens) < 3:
        return None
    model = subject.reference if subject.plain is None else subject.plain.model
    if "position_ids" not in inspect.signature(model.forward).parameters or getattr(model.config, "alibi", False):
        return None
    tried = HiddenTokens(model, model.get_submodule(place.module), place.side, place.factor)
    hole = len(tokens) // 2
    other = tokens.clone()
    other[hole] = (tokens[hole] + 1) % subject.d_vocab
    hidden = torch.zeros(3, len(tokens), dtype=torch.bool, device=tokens.device)
    hidden[1:, hole] = True
    try:
        whole, mine, theirs = tried.activations(torch.stack([tokens, tokens, other]), hidden)
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError):
        return None
    limit = tolerance_of(subject)
    same = is_close(whole, subject.activations(tokens[None], [hook])[hook][0], limit)
    blind = is_close(theirs[hole + 1 :], mine[hole + 1 :], limit) and is_close(mine[:hole], whole[:hole], limit)
    return tried if same and blind else None
