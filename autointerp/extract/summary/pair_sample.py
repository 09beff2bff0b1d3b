"""On which tokens a dense feature's pairs are counted.

Nearly every firing of a dense feature is at a pair that it has not fired at before: a table of its pairs
would take most of the time of pass 1 and hold the few heaviest only. So the pairs of a feature with far more
than PAIR_EVENTS firing tokens are counted on a hash sample of the tokens: of share 2^-level, the level
being such that PAIR_EVENTS / 2 to PAIR_EVENTS of its firings fall into the sample. The places are the
same for all features of a level, and those of a higher level are among those of a lower one: which
place is in which sample depends on the seed and the place alone.

The level is fixed before pass 1, from a pilot: the firings on a few inner batches chosen by hash. So it
depends on nothing that comes later, and the result stays the same in any order and on any workers.

What is stored is scaled by 1 / share, occurrences as well as masses. With n sampled firings of a pair, its
mass has a relative standard error of about 1 / sqrt(n); mass over occurrences, which explainers read, is
the mean over the sampled occurrences.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.segments import hash64
from autointerp.hashing import hash64 as hash_array
from autointerp.hashing import stream_key
from autointerp.records import SPLITS
from autointerp.subject.activations import INNER, iterate_activations
from autointerp.subject.dictionary import Dictionary
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

PAIR_EVENTS = 16_384
"""Firing tokens of a feature whose pairs are counted, about; below it all of them."""
DENSEST = 16
"""No pilot where a feature that fires on one token in so many would not exceed PAIR_EVENTS."""
PILOT_BATCHES = 6
DEEPEST = 40


def place_levels(seed: int, context: Tensor, position: Tensor) -> Tensor:
    """The highest level whose sample holds a place, int64: at least l with probability 2^-l."""
    u = hash64(stream_key(seed, "pair sample"), context, position).double() / float(1 << 63)
    return -torch.frexp(u).exponent.long()


def pair_levels(
    subject: Subject, tokens: TokenFile, placed: Mapping[str, tuple[Dictionary, Tensor | None]], seed: int
) -> dict[str, Tensor]:
    """The level of every feature, [n_features] int64, by dictionary."""
    levels = {
        name: torch.zeros(dictionary.n_features, dtype=torch.int64, device=subject.device)
        for name, (dictionary, _) in placed.items()
    }
    contexts = tokens.contexts_of("explain")
    if len(contexts) * tokens.context_length <= DENSEST * PAIR_EVENTS:
        return levels
    batches = np.unique(contexts // INNER)
    chosen = batches[np.argsort(hash_array(stream_key(seed, "pilot"), batches), kind="stable")[:PILOT_BATCHES]]
    pilot = contexts[np.isin(contexts // INNER, chosen)]
    firing = {name: torch.zeros_like(level) for name, level in levels.items()}
    n_pilot = 0
    hooks = sorted({dictionary.hook for dictionary, _ in placed.values()})
    for batch in iterate_activations(subject, tokens, hooks, pilot):
        rows = batch.scored.reshape(-1).to(subject.device)
        n_pilot += int(rows.sum())
        for name, (dictionary, _) in placed.items():
            x = batch.by_hook[dictionary.hook]
            x = x.reshape(-1, x.shape[-1])[rows]
            for first in range(0, len(x), PORTION):
                firing[name] += (dictionary.encode(x[first : first + PORTION]) > 0).sum(dim=0)
    n_explain = tokens.facts(SPLITS[0])["n_tokens"]
    for name, count in firing.items():
        expected = count.double() * (n_explain / max(n_pilot, 1))
        levels[name] = (expected / PAIR_EVENTS).clamp(min=1.0).log2().ceil().long().clamp(max=DEEPEST)
    return levels


PORTION = 256
"""Rows of the pilot encoded at once."""
