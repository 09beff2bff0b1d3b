"""By how much what stands at a hook point changes the output, to first order: the loss of the next token, and the
logits of the tokens that are likeliest there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

LIKELIEST = 2
"""Tokens whose logits are differentiated: each is a pass back."""


@dataclass(frozen=True)
class OutputGradients:
    """At R positions; by how much a unit of each of d coordinates, added there, changes it. float32."""

    loss: Float[Tensor, "R d"]
    """Of the token that comes next, nats."""
    token: Int[Tensor, "R k"]
    """The tokens that are likeliest next as the model is, the likeliest first."""
    logits: Float[Tensor, "R k d"]
    """Of these, the mean over the vocabulary taken off."""

    @staticmethod
    def unknown(added: Float[Tensor, "R d"], d_vocab: int) -> OutputGradients:
        """For what is added at R positions: NaN, and tokens -1."""
        k = min(LIKELIEST, d_vocab)
        nothing = torch.full_like(added, torch.nan)
        return OutputGradients(nothing, torch.full((len(added), k), -1), nothing[:, None].repeat(1, k, 1))

    def take(self, at: Int[Tensor, " n"]) -> OutputGradients:
        """Those at these positions."""
        return OutputGradients(*(getattr(self, name)[at] for name in _NAMES))

    def cpu(self) -> OutputGradients:
        """The same in main memory."""
        return OutputGradients(*(getattr(self, name).cpu() for name in _NAMES))

    @staticmethod
    def together(parts: Sequence[OutputGradients]) -> OutputGradients:
        """One behind the other."""
        return OutputGradients(*(torch.cat([getattr(part, name) for part in parts]) for name in _NAMES))


_NAMES = ("loss", "token", "logits")


def output_gradients(
    logits: Float[Tensor, "R V"], target: Int[Tensor, " R"], probe: Float[Tensor, "R d"]
) -> OutputGradients:
    """`target`: the token that comes next, row by row. Rows are texts of their own, so a pass back serves them all."""
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    token = logits.detach().topk(min(LIKELIEST, logits.shape[1]), dim=1).indices
    centred = logits.gather(1, token) - logits.mean(dim=1, keepdim=True)
    wanted = [*centred.sum(dim=0), loss]  # the loss last: it needs no more of the graph
    gradients = [torch.autograd.grad(one, probe, retain_graph=one is not loss)[0].detach().float() for one in wanted]
    return OutputGradients(gradients[-1], token, torch.stack(gradients[:-1], dim=1))
