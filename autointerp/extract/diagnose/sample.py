"""What diagnostics look at: activations on a sample of tokens, the neurons beside them, and each token alone.

1. The sample: the contexts of the explain split of smallest hash, until they hold SAMPLE_TOKENS scored tokens (the
   first of those that baselines are fitted on).
2. Neurons: the activations after the nonlinearity (`hook_post`) of the nearest MLP (`nearest_mlp`), on the same tokens.
3. Tokens alone: the activations at the hook in the context [BOS, token], or [token] where the subject has no BOS, of
   every token that stands in the explain split.

All lie in files of the work folder whose names are gone already: they take disk, not memory, and no clearing up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.records import Int64
from autointerp.subject.baselines import array_on_disk, sample_contexts, take_sample
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

SAMPLE_TOKENS = 1 << 16
ROWS = 2_048
"""Rows that are read together."""
ALONE_AT_ONCE = 256
"""Tokens alone in one forward pass."""


@dataclass(frozen=True)
class DiagnosticSample:
    """N tokens of the sample, V different tokens alone."""

    by_hook: dict[str, Tensor]
    """[N, d] float32, rows by token, of one token in the order of the token file"""
    token: Int64
    """[N] the token of each row, as an index into `vocabulary`, rising"""
    vocabulary: Int64
    """[V] token ids, rising"""
    alone: dict[str, Tensor]
    """[V, d] float32"""
    neurons: dict[str, str | None]
    """hook -> hook of the nearest MLP's neurons; None where there is none"""
    centred: dict[str, CentredNeurons]
    """By hook of neurons."""


@dataclass(frozen=True)
class CentredNeurons:
    """The neurons of an MLP on the sample, once for all dictionaries."""

    values: Tensor
    """[N, n] float32 without their means, rows as in `DiagnosticSample`"""
    variance: Tensor
    """[n] sum of squares, float64"""


def nearest_mlp(hook: str, n_layers: int) -> int | None:
    """The block whose MLP is nearest to a hook point; None where it is in no block, and at neither end.

    Before a block (`hook_resid_pre`, `hook_in`): the MLP of the block before it, which wrote there last; before the
    first block, and at the embedding, the first one. Anywhere else in a block: its own.
    """
    if re.match(r"hook_(embed|pos_embed)|embed\.|pos_embed\.", hook):
        return 0
    if re.match(r"ln_final|unembed", hook):
        return n_layers - 1
    inside = re.match(r"blocks\.(\d+)\.", hook)
    if inside is None:
        return None
    block = int(inside[1])
    return max(block - 1, 0) if re.fullmatch(r"blocks\.\d+\.hook_(resid_pre|in)", hook) else block


def neurons_of(subject: Subject, hook: str) -> str | None:
    """The hook point of the nearest MLP's neurons; None where the subject has none that can be read."""
    block = nearest_mlp(hook, subject.n_layers)
    mlp_hook = f"blocks.{block}.mlp.hook_post"
    try:
        subject.width(mlp_hook)
    except InputError:
        return None
    return mlp_hook


def take_diagnostic_sample(
    subject: Subject, tokens: TokenFile, hooks: Sequence[str], seed: int, folder: Path, progress: Callable[[int], None]
) -> DiagnosticSample:
    """The sample for dictionaries at these hooks. `progress` is told of tokens."""
    neurons = {hook: neurons_of(subject, hook) for hook in hooks}
    of_neurons = sorted({name for name in neurons.values() if name is not None})
    contexts = sample_contexts(tokens, seed, SAMPLE_TOKENS)
    sample = take_sample(subject, tokens, sorted({*hooks, *of_neurons}), seed, folder, SAMPLE_TOKENS, progress)
    vocabulary = np.flatnonzero(tokens.count_tokens("explain", subject.d_vocab))
    token = np.searchsorted(vocabulary, tokens.tokens[contexts][tokens.scored(contexts)])
    by_token = torch.from_numpy(np.argsort(token, kind="stable"))
    return DiagnosticSample(
        by_hook={hook: _in_order(sample.by_hook[hook], by_token, folder) for hook in dict.fromkeys(hooks)},
        token=np.sort(token),
        vocabulary=vocabulary,
        alone=_alone(subject, vocabulary, hooks, folder, progress),
        neurons=neurons,
        centred={hook: _centred(sample.by_hook[hook], by_token, folder) for hook in of_neurons},
    )


def _in_order(rows: Tensor, order: Tensor, folder: Path) -> Tensor:
    """The rows in another order: what is read portion by portion later then lies side by side."""
    ordered = array_on_disk(folder, (len(rows), rows.shape[1]))
    for first in range(0, len(rows), ROWS):
        some = slice(first, first + ROWS)
        ordered[some] = rows[order[some]]
    return ordered


def _centred(rows: Tensor, order: Tensor, folder: Path) -> CentredNeurons:
    mean, variance = torch.zeros((2, rows.shape[1]), dtype=torch.float64)
    for first in range(0, len(rows), ROWS):
        mean += rows[first : first + ROWS].double().sum(dim=0)
    mean = (mean / max(len(rows), 1)).float()
    for first in range(0, len(rows), ROWS):
        variance += (rows[first : first + ROWS] - mean).square_().sum(dim=0)
    values = _in_order(rows, order, folder)
    for first in range(0, len(rows), ROWS):
        values[first : first + ROWS] -= mean
    return CentredNeurons(values, variance)


def _alone(
    subject: Subject, vocabulary: Int64, hooks: Sequence[str], folder: Path, progress: Callable[[int], None]
) -> dict[str, Tensor]:
    rows = {hook: array_on_disk(folder, (len(vocabulary), subject.width(hook))) for hook in hooks}
    padded = np.resize(vocabulary, -(-len(vocabulary) // ALONE_AT_ONCE) * ALONE_AT_ONCE)  # batches of one shape
    for first in range(0, len(vocabulary), ALONE_AT_ONCE):
        ids = torch.from_numpy(padded[first : first + ALONE_AT_ONCE]).to(subject.device)[:, None]
        if subject.bos is not None:
            ids = torch.cat([torch.full_like(ids, subject.bos), ids], dim=1)
        n = min(ALONE_AT_ONCE, len(vocabulary) - first)
        for hook, activation in subject.activations(ids, sorted(set(hooks))).items():
            rows[hook][first : first + n] = activation[:n, -1].cpu()
        progress(n)
    return rows
