"""The tokens and pairs that a feature's activation mass stands on: the tables that a store keeps.

1. The heaviest tokens of each feature, and its heaviest pairs (`grams.py`).
2. `n_seen` of a token: how often the explain split holds it at a scored place.
3. `n_seen` of a pair likewise. The pairs of a dense feature were counted on a sample of the places
   (`pair_sample.py`). Their `n_seen` is counted on the same places, and scaled up as their mass is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from autointerp.extract.summary.grams import pair_table, token_table
from autointerp.extract.summary.pair_sample import place_levels
from autointerp.extract.summary.summary import Summary
from autointerp.records import Bool, GramTable, Int64
from autointerp.subject.tokens import TokenFile

TOP_GRAMS = 256
"""Tokens, and pairs, of which a feature's activation mass is stored."""


def gram_tables(summary: Summary, tokens: TokenFile) -> tuple[GramTable, GramTable]:
    """The heaviest tokens and the heaviest pairs of each feature of a summary, with `n_seen`."""
    return heavy_tokens(summary, tokens), heavy_pairs(summary, tokens)


def heavy_tokens(summary: Summary, tokens: TokenFile) -> GramTable:
    """The heaviest tokens of each feature."""
    heavy = token_table(summary.tokens, summary.frequent, TOP_GRAMS)
    return replace(heavy, n_seen=tokens.count_tokens("explain", summary.plan.d_vocab)[heavy.token])


def heavy_pairs(summary: Summary, tokens: TokenFile) -> GramTable:
    """The heaviest pairs of each feature."""
    levels = summary.pair_level.cpu().numpy()
    pairs = pair_table(summary.pairs, levels, TOP_GRAMS, summary.plan.d_vocab)
    return replace(pairs, n_seen=_pairs_seen(pairs, levels, summary, tokens))


def _pairs_seen(pairs: GramTable, levels: Int64, summary: Summary, tokens: TokenFile) -> Int64:
    """How often each pair of the table stands in the explain split, whether its feature fires or not."""
    d_vocab = summary.plan.d_vocab
    pair = (pairs.previous.astype(np.int64) + 1) * d_vocab + pairs.token
    of_entry = np.repeat(levels, np.diff(pairs.start))
    n_seen = np.zeros(len(pair), dtype=np.int64)
    for level in np.unique(of_entry).tolist():
        mine = of_entry == level

        def sampled(contexts: Int64, level: int = level) -> Bool:
            place = np.broadcast_to(np.arange(tokens.context_length), (len(contexts), tokens.context_length))
            context = np.broadcast_to(contexts[:, None], place.shape)
            columns = (torch.from_numpy(column.reshape(-1).copy()) for column in (context, place))
            return np.asarray(place_levels(summary.plan.seed, *columns).numpy() >= level).reshape(place.shape)

        n_seen[mine] = tokens.count_pairs("explain", pair[mine], d_vocab, sampled if level else None) << level
    return n_seen
