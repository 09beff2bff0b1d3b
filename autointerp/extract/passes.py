"""The passes over the tokens, all dictionaries in one forward pass.

    pass 1   every context: the summary of each dictionary
    pass 2   the score split again, after explaining: every activation handed to the scoring half

(Pass 0, the sample that baselines are fitted on, is in `subject/baselines.py`.) The model runs as far as
the last hook that any dictionary reads; each hook's activations are shared by its dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from autointerp.extract.events import encode_events, to_batch
from autointerp.extract.pass_one import PassOne
from autointerp.extract.shards import cut_rounds, cut_shards
from autointerp.extract.summary import EXPLAIN_POOL, Summary, SummaryPlan
from autointerp.records import EventBatch, Int64
from autointerp.subject.activations import INNER, iterate_activations
from autointerp.subject.dictionary import Dictionary
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

Progress = Callable[[int], None]
"""Told how many scored tokens have been added."""


@dataclass(frozen=True)
class Selected:
    """A dictionary and the features of it that are extracted."""

    dictionary: Dictionary
    features: Int64  # rising

    def mask(self) -> Tensor | None:
        """[n_features] bool; None where all are selected."""
        if len(self.features) == self.dictionary.n_features:
            return None
        mask = torch.zeros(self.dictionary.n_features, dtype=torch.bool)
        mask[torch.from_numpy(self.features)] = True
        return mask


def on_device(
    dictionaries: Mapping[str, Selected], device: torch.device
) -> dict[str, tuple[Dictionary, Tensor | None]]:
    placed = {}
    for name, chosen in dictionaries.items():
        mask = chosen.mask()
        placed[name] = (chosen.dictionary.to(device), None if mask is None else mask.to(device))
    return placed


def summarise(
    subject: Subject,
    tokens: TokenFile,
    dictionaries: Mapping[str, Selected],
    contexts: Int64,
    *,
    seed: int,
    top: int,
    score_windows: int,
    progress: Progress,
    batch_size: int = INNER,
    random: int = EXPLAIN_POOL,
    select_windows: int = 64,
    left: int = 0,
) -> dict[str, Summary]:
    """Pass 1 over `contexts` (all of them, or some: summaries merge), all features at once.

    `random`: how many random windows will be asked for, at most; their activations take memory. `left`: tokens
    before the peak of an exemplar that are shown.
    """
    placed = on_device(dictionaries, subject.device)
    widths = {name: dictionary.n_features for name, (dictionary, _) in placed.items()}
    plans = {
        name: SummaryPlan(
            n, subject.d_vocab, seed, top, score_windows, random, select_windows, tokens.window, left
        )
        for name, n in widths.items()
    }  # fmt: skip
    rounds = cut_rounds(widths, sum(widths.values()))
    work = PassOne(subject, tokens, placed, plans, cut_shards(tokens.n_contexts, tokens.context_length), rounds)
    for n in work.run(batch_size, contexts):
        progress(n)
    return {piece.dictionary: summary for piece, summary in work.summaries.items()}


def score_events(
    subject: Subject,
    tokens: TokenFile,
    dictionaries: Mapping[str, Selected],
    progress: Progress,
    batch_size: int = INNER,
) -> Iterator[tuple[str, EventBatch]]:
    """Pass 2: every activation of every dictionary on the score split, one inner batch after the other."""
    placed = on_device(dictionaries, subject.device)
    hooks = sorted({dictionary.hook for dictionary, _ in placed.values()})
    for batch in iterate_activations(subject, tokens, hooks, tokens.contexts_of("score"), batch_size):
        for name, (dictionary, selected) in placed.items():
            yield name, to_batch(encode_events(dictionary, batch, tokens, selected), tokens)
        progress(int(batch.scored.sum()))
