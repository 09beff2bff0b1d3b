"""A subject that learnt nothing: each weight matrix drawn again, with its own mean and variance.

Dictionaries of such models can look as interpretable as those of trained ones (Heap et al. 2025, "Sparse autoencoders
can interpret randomly initialized transformers"): a score that does not fall here says nothing about what was learnt.

Redrawn, from a normal distribution: every parameter of two or more dimensions, as the model stores it (GPT-2's queries,
keys and values are one matrix; tied embeddings stay tied). Kept: biases and the norms' weights, which have too few
entries to have a distribution worth keeping, and the model's shape and tokenizer. With `embeddings = False` token and
position embeddings and the unembedding are kept too (the paper has both variants). Each matrix has a generator of its
own, from the seed and its name.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from autointerp.hashing import rng_for


@torch.no_grad()
def rerandomise(model: nn.Module, seed: int, embeddings: bool = True) -> int:
    """Redraws the matrices of `model` in place; returns how many."""
    kept = set() if embeddings else _embeddings(model)
    n = 0
    for name, weight in model.named_parameters():
        if weight.ndim < 2 or id(weight) in kept:
            continue
        rng = rng_for(seed, "rerandomise", name)
        drawn = torch.from_numpy(rng.standard_normal(tuple(weight.shape), dtype=np.float32))
        values = weight.double()
        weight.copy_(drawn.to(weight.device).double() * values.std(correction=0) + values.mean())
        n += 1
    return n


def _embeddings(model: nn.Module) -> set[int]:
    kept = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    unembedding = getattr(model, "get_output_embeddings", lambda: None)()
    return kept | ({id(unembedding.weight)} if unembedding is not None else set())
