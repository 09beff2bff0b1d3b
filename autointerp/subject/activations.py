"""Activations of contexts, in inner batches of a fixed size.

Matrix products may differ in their last bits with the shape of a batch. So a forward pass always takes
INNER contexts, cut at the same places of the token file and padded at its end: the same context gives
the same activations whatever portion it was asked for in, and in whatever order. `batch_size` only says
how many contexts are read and brought to the device at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Int64
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

INNER = 8
"""Contexts in one forward pass: on a CPU 8 of 128 tokens take a sixth less time than 32, which leave its cache."""


@dataclass(frozen=True)
class ActivationBatch:
    """Activations of one inner batch; rows of contexts that were not asked for are not `wanted`."""

    contexts: Int64  # [INNER] context numbers; the last one repeated where the file ends
    wanted: Tensor  # [INNER] bool
    scored: Tensor  # [INNER, L] bool: a token that counts, in a wanted context
    by_hook: dict[str, Tensor]  # [INNER, L, d] float32


def inner_batches(contexts: Int64) -> list[int]:
    """Numbers of the inner batches that hold any of these contexts."""
    return [int(number) for number in np.unique(np.asarray(contexts) // INNER)]


def contexts_of_inner(number: int, tokens: TokenFile) -> Int64:
    """Contexts of an inner batch, the last one repeated where the file ends. [INNER]"""
    return np.minimum(number * INNER + np.arange(INNER), tokens.n_contexts - 1).astype(np.int64)


def iterate_activations(
    subject: Subject, tokens: TokenFile, hooks: Sequence[str], contexts: Int64, batch_size: int = INNER
) -> Iterator[ActivationBatch]:
    """Activations at `hooks` of the inner batches that hold `contexts`, in the order of the file."""
    asked = np.zeros(-(-tokens.n_contexts // INNER) * INNER, dtype=bool)
    asked[contexts] = True
    numbers = inner_batches(contexts)
    at_a_time = -(-batch_size // INNER)
    for first in range(0, len(numbers), at_a_time):
        places = np.array(numbers[first : first + at_a_time])[:, None] * INNER + np.arange(INNER)
        rows = np.minimum(places, tokens.n_contexts - 1).astype(np.int64)
        ids = torch.from_numpy(np.asarray(tokens.tokens[rows]).astype(np.int64)).to(subject.device)
        for i in range(len(rows)):
            wanted = asked[places[i]]
            scored = torch.from_numpy(tokens.scored(rows[i]) & wanted[:, None])
            yield ActivationBatch(rows[i], torch.from_numpy(wanted), scored, subject.activations(ids[i], hooks))
