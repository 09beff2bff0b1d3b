"""Pass 2: the score split again, after explaining: every activation handed to the scoring half.

All dictionaries in one forward pass: the model runs as far as the last hook that any of them reads, and each hook's
activations are shared by its dictionaries. (Pass 0, the sample that baselines are fitted on, is in
`subject/baselines`; pass 1, the summaries of all contexts, in `extract/engines`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from autointerp.extract.selected import Selected, on_device
from autointerp.extract.summary.events import encode_events, to_batch
from autointerp.records import EventBatch
from autointerp.subject.activations import INNER, iterate_activations
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

TokensDone = Callable[[int], None]
"""Told how many scored tokens have been added."""


def score_events(
    subject: Subject,
    tokens: TokenFile,
    dictionaries: Mapping[str, Selected],
    progress: TokensDone,
    batch_size: int = INNER,
) -> Iterator[tuple[str, EventBatch]]:
    """Pass 2: every activation of every dictionary on the score split, one inner batch after the other."""
    placed = on_device(dictionaries, subject.device)
    hooks = sorted({dictionary.hook for dictionary, _ in placed.values()})
    for batch in iterate_activations(subject, tokens, hooks, tokens.contexts_of("score"), batch_size):
        for name, (dictionary, selected) in placed.items():
            yield name, to_batch(encode_events(dictionary, batch, tokens, selected), tokens)
        progress(int(batch.scored.sum()))
