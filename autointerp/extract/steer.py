"""Steering: a text goes on with a direction added at every token, as far as moves the output by a stated KL divergence.

1. Of each direction (the feature's, and random ones beside it) the size is looked for at which the model's prediction
   behind the text is `kl` nats away from that of the model as it is: sizes are doubled until it is, then halved in
   between. So directions are compared at what they do, not at how long they are.
2. The text goes on, as it is and with each direction, greedily or drawn by the Gumbel-max trick; all copies get the
   same noise, so that what differs is the direction's doing.
3. Each token that is written keeps its log probability with the direction and without it, behind the same text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.extract.ablate import divergence
from autointerp.hashing import rng_for
from autointerp.records import Float64
from autointerp.subject.steering import SteeredPasses

CLOSE = 1e-3
"""KL as wanted: as a share of it."""
HALVINGS = 40
DOUBLINGS = 16
"""From a thousandth of a typical activation's norm to sixty times it: past that a direction is said not to reach."""
SMALLEST = 1e-3


@dataclass(frozen=True)
class SteeringSizes:
    """How much of each direction is added, [R]; NaN and the largest KL that was seen where it is never reached."""

    size: Float64
    kl: Float64


@dataclass(frozen=True)
class WrittenText:
    """What a copy of the text went on with."""

    tokens: tuple[int, ...]
    logp: tuple[float, ...]
    """Of each token, as the copy has it, nats."""
    logp_as_it_is: tuple[float, ...]
    """Of each token without the direction, behind the same text."""
    kl: tuple[float, ...]
    """Of the prediction of each token, from that without the direction, nats."""


def find_sizes(
    kl_of: Callable[[Float64], Float64], n: int, target: float, typical: float, doublings: int = DOUBLINGS
) -> SteeringSizes:
    """`kl_of` sizes [n] gives the KL of each of `n` directions; `typical` is the norm of an activation.

    The KL need not grow with the size: the size returned lies in the first doubling over which it passes `target`.
    """
    low, high = np.zeros(n), np.full(n, SMALLEST * typical)
    kl = largest = kl_of(high)
    for _ in range(doublings):
        short = kl < target
        if not short.any():
            break
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
        kl = kl_of(high)
        largest = np.fmax(largest, kl)
    reached = kl >= target
    for _ in range(HALVINGS):
        if (np.abs(kl - target) <= CLOSE * target)[reached].all():
            break
        middle = np.where(np.abs(kl - target) <= CLOSE * target, high, (low + high) / 2)
        at = kl_of(middle)
        above = at >= target
        low, high = np.where(above, low, middle), np.where(above, middle, high)
        kl = np.where(above, at, kl)
    return SteeringSizes(np.where(reached, high, np.nan), np.where(reached, kl, largest))


def sizes_for(
    passes: SteeredPasses,
    tokens: Int[Tensor, " L"],
    directions: Float[Tensor, "R d"],
    first: int,
    target: float,
    typical: float,
) -> SteeringSizes:
    """The size of each of `directions`, of norm 1, at which the prediction behind the text moves by `target` nats."""
    as_it_is = passes.open(tokens, torch.zeros_like(directions[:1]), first).logits

    def kl_of(size: Float64) -> Float64:
        scale = torch.from_numpy(size).to(directions)
        return kl_from(as_it_is, passes.open(tokens, directions * scale[:, None], first).logits)

    return find_sizes(kl_of, len(directions), target, typical)


def write_on(
    passes: SteeredPasses,
    tokens: Int[Tensor, " L"],
    added: Float[Tensor, "R d"],
    first: int,
    n: int,
    choose: Callable[[Tensor, int], Tensor],
) -> list[WrittenText]:
    """The text as it is, and with each row of `added`, `n` tokens on."""
    steered = torch.cat([torch.zeros_like(added[:1]), added])
    rows = len(steered)
    # Behind the copies stands each of them once more, with the same tokens and nothing added.
    text = passes.open(tokens, torch.cat([steered, torch.zeros_like(steered)]), first)
    written: list[Tensor] = []
    logp: list[Tensor] = []
    plain: list[Tensor] = []
    kl: list[Tensor] = []
    for step in range(n):
        logits, as_it_is = text.logits[:rows], text.logits[rows:]
        token = choose(logits, step)
        written.append(token)
        for kept, of in ((logp, logits), (plain, as_it_is)):
            kept.append(of.log_softmax(dim=-1).gather(1, token[:, None])[:, 0])
        kl.append(torch.from_numpy(kl_from(as_it_is, logits)))
        if step + 1 < n:
            text.write(token.repeat(2))

    columns = [torch.stack(steps, dim=1).cpu().tolist() for steps in (written, logp, plain, kl)]
    return [WrittenText(*map(tuple, row)) for row in zip(*columns, strict=True)]


def kl_from(as_it_is: Float[Tensor, "A V"], others: Float[Tensor, "R V"]) -> Float64:
    """KL divergence of each row of `others` from its row of `as_it_is`, or from the only one, nats, [R]."""
    whole = as_it_is.expand(len(others), -1)[:, None]
    kl = divergence(whole, others[None, :, None].clone(), torch.zeros_like(whole[..., 0], dtype=torch.long))[1]
    return np.asarray(kl[0, :, 0].double().cpu().numpy())


def greedy(logits: Tensor, step: int) -> Tensor:
    """The likeliest token of each row."""
    del step
    return logits.argmax(dim=-1)


def drawn(temperature: float, seed: int) -> Callable[[Tensor, int], Tensor]:
    """A token of each row by its probability at this temperature: the same noise in all rows."""

    def choose(logits: Tensor, step: int) -> Tensor:
        noise = rng_for(seed, "steer", step).gumbel(size=logits.shape[-1])
        return (logits.double().cpu() / temperature + torch.from_numpy(noise)).argmax(dim=-1).to(logits.device)

    return choose
