"""Pass 0: activations of a sample of the explain split's contexts, on which baselines are fitted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.hashing import hash64, stream_key
from autointerp.records import Int64
from autointerp.subject.activations import iterate_activations
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

SAMPLE_TOKENS = 1 << 18
"""Tokens of the pass 0 sample, at most."""


@dataclass(frozen=True)
class ActivationSample:
    """Activations of pass 0, on disk: hook -> [N, d] float32, rows in the order of the token file."""

    by_hook: dict[str, Tensor]
    share: float
    """Tokens of the sample / tokens of the explain split."""


def sample_contexts(tokens: TokenFile, seed: int, n_tokens: int = SAMPLE_TOKENS) -> Int64:
    """Contexts of the explain split of smallest hash, until they hold `n_tokens` scored tokens; rising."""
    contexts = tokens.contexts_of("explain")
    order = contexts[np.argsort(hash64(stream_key(seed, "pass 0"), contexts), kind="stable")]
    reached = np.cumsum(tokens.scored(order).sum(axis=1))
    return np.sort(order[: int(np.searchsorted(reached, n_tokens)) + 1])


def take_sample(
    subject: Subject,
    tokens: TokenFile,
    hooks: Sequence[str],
    seed: int,
    folder: Path,
    n_tokens: int = SAMPLE_TOKENS,
    progress: Callable[[int], None] = lambda _: None,
) -> ActivationSample:
    """Pass 0: the sample's activations at `hooks`, in files of `folder`."""
    contexts = sample_contexts(tokens, seed, n_tokens)
    n = int(tokens.scored(contexts).sum())
    by_hook = {hook: array_on_disk(folder, (n, subject.width(hook))) for hook in hooks}
    filled = 0
    for batch in iterate_activations(subject, tokens, hooks, contexts):
        rows = int(batch.scored.sum())
        for hook, activation in batch.by_hook.items():
            by_hook[hook][filled : filled + rows] = activation.cpu()[batch.scored]
        filled += rows
        progress(rows)
    assert filled == n
    return ActivationSample(by_hook, share=n / max(1, int(tokens.scored(tokens.contexts_of("explain")).sum())))


def array_on_disk(folder: Path, shape: tuple[int, int]) -> Tensor:
    """A float32 tensor in a file of `folder` that has no name any more and goes with the tensor."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="pass0-", delete=False) as file:
        array = np.memmap(file.name, np.float32, "w+", shape=shape)
    Path(file.name).unlink()  # the mapping lives on, the name need not
    return torch.from_numpy(array)
