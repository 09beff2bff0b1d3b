"""Pass 0: activations of a sample of the explain split's contexts, on which baselines are fitted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.allocation import allocate
from autointerp.hashing import hash64, stream_key
from autointerp.records import Int64
from autointerp.subject.activations import iterate_activations
from autointerp.subject.model import Subject
from autointerp.subject.outliers import past_limit
from autointerp.subject.tokens import TokenFile

SAMPLE_TOKENS = 1 << 18
"""Tokens of the pass 0 sample, at most."""
COVARIANCE_TOKENS = 1 << 13
"""Tokens whose activations random directions beside measured effects take their covariance from."""


@dataclass(frozen=True)
class ActivationSample:
    """Activations of pass 0, on disk: hook -> [N, d] float32.

    Rows stand in the order of the token file; at a hook with a norm limit, those of outliers stand at the end.
    """

    by_hook: dict[str, Tensor]
    share: float
    """Tokens of the sample / tokens of the explain split."""
    norm_limits: Mapping[str, float] = field(default_factory=dict)
    """By hook, the norm past which a token is an outlier; a hook without one has none."""
    n_ordinary: Mapping[str, int] = field(default_factory=dict)
    """Of those hooks, the rows that are no outliers: the first ones."""

    def ordinary(self, hook: str) -> Tensor:
        """What is fitted on: the rows without the outliers, [n, d]."""
        x = self.by_hook[hook]
        return x[: self.n_ordinary.get(hook, len(x))]


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
    norm_limits: Mapping[str, float] | None = None,
) -> ActivationSample:
    """Pass 0: the sample's activations at `hooks`, in files of `folder`.

    `norm_limits`: by hook, the norm past which a token is an outlier; none: there are no outliers.
    """
    contexts = sample_contexts(tokens, seed, n_tokens)
    n = int(tokens.scored(contexts).sum())
    by_hook = {hook: array_on_disk(folder, (n, subject.width(hook))) for hook in hooks}
    limits = norm_limits or {}
    filled = 0
    front, back = dict.fromkeys(hooks, 0), dict.fromkeys(hooks, n)
    for batch in iterate_activations(subject, tokens, hooks, contexts):
        rows = int(batch.scored.sum())
        for hook, activation in batch.by_hook.items():
            x = activation.cpu()[batch.scored]
            kept, apart = x, x[:0]
            if hook in limits and bool((outlier := past_limit(x, limits[hook])).any()):
                kept, apart = x[~outlier], x[outlier]
            by_hook[hook][front[hook] : front[hook] + len(kept)] = kept
            by_hook[hook][back[hook] - len(apart) : back[hook]] = apart
            front[hook], back[hook] = front[hook] + len(kept), back[hook] - len(apart)
        filled += rows
        progress(rows)
    assert filled == n
    share = n / max(1, int(tokens.scored(tokens.contexts_of("explain")).sum()))
    return ActivationSample(by_hook, share, limits, {hook: front[hook] for hook in hooks if hook in limits})


def array_on_disk(folder: Path, shape: tuple[int, int]) -> Tensor:
    """A float32 tensor in a file of `folder` that has no name any more and goes with the tensor."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="pass0-") as file:  # the mapping lives on, the name need not
        allocate(file, 4 * shape[0] * shape[1])
        array = np.memmap(file.name, np.float32, "r+", shape=shape)
    return torch.from_numpy(array)
