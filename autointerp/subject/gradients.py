"""How the log-probability of a next token changes with the activations at hook points, to first order.

A vector of zeros is added at every position of each hook point, and the log-probability is differentiated by it: what
is added at one hook point passes through the ones behind it, so a gradient holds all that it does downstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.subject.model import Subject
from autointerp.subject.patching import written_at


@dataclass(frozen=True)
class NextTokenGradients:
    """Of the log-probability, in nats, of a token behind the last one that was read."""

    token: int
    logp: float
    by_hook: dict[str, Tensor]
    """[L, d] float32: by hook point, what a unit of each coordinate at each position adds to it."""


def next_token_gradients(
    subject: Subject, tokens: Int[Tensor, " L"], hooks: Sequence[str], token: int | None = None
) -> NextTokenGradients:
    """`token`: the one whose log-probability is differentiated; None: the likeliest.

    Raises ValueError where TransformerLens keeps a hook point switched off.
    """
    probes: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def added(activation: Float[Tensor, "1 L *d"], hook: Any) -> Tensor:  # noqa: ARG001 - by that name
            probe = torch.zeros_like(activation, requires_grad=True)
            probes[name] = probe
            return activation + probe

        return written_at(name), added

    with torch.inference_mode(mode=False), torch.enable_grad():
        ids = tokens.clone()[None]
        logits = subject.bridge.run_with_hooks(ids, return_type="logits", fwd_hooks=[watch(name) for name in hooks])
        logp = logits[0, -1].float().log_softmax(dim=-1)
        chosen = int(logp.argmax()) if token is None else token
        names = list(probes)
        gradients = torch.autograd.grad(logp[chosen], [probes[name] for name in names], allow_unused=True)
    by_hook = {}
    for name, gradient in zip(names, gradients, strict=True):
        probe = probes[name]
        filled = torch.zeros_like(probe) if gradient is None else gradient
        by_hook[name] = filled.detach().reshape(len(tokens), -1).float()
    return NextTokenGradients(chosen, float(logp[chosen].detach()), by_hook)
