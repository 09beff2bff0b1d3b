"""Pass 1: every context once through the subject, the dictionaries' events into summaries.

The contexts are done shard by shard, the features in rounds (`shards.py`). Those of the first round are
summarised during the pass; the events of the others are spooled meanwhile and summarised afterwards, a
round at a time. After any inner batch all of it can be described (`state`), and taken up again (`resume`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.engines.shards import Piece, Shard
from autointerp.extract.engines.spool import Spool
from autointerp.extract.engines.threads import threads_of
from autointerp.extract.score_spool import ScoreSpool
from autointerp.extract.summary.events import Events, encode_events, events_of
from autointerp.extract.summary.frequent import frequent_tokens
from autointerp.extract.summary.pair_sample import pair_levels
from autointerp.extract.summary.state import put_back, take
from autointerp.extract.summary.summary import EXPLAIN, Pools, Summary, SummaryPlan
from autointerp.memory import give_back
from autointerp.records import Int64
from autointerp.subject.activations import INNER, ActivationBatch, contexts_of_inner, iterate_activations
from autointerp.subject.dictionary import Dictionary
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile

Placed = Mapping[str, tuple[Dictionary, Tensor | None]]
"""Dictionaries on the subject's device, each with the mask of its selected features; None: all are."""
Summaries = dict[Piece, Summary]


class PassOne:
    """What the pass over some shards has gathered so far. `plans`: what is kept, by dictionary."""

    def __init__(
        self,
        subject: Subject,
        tokens: TokenFile,
        placed: Placed,
        plans: Mapping[str, SummaryPlan],
        shards: Sequence[Shard],
        rounds: Sequence[Sequence[Piece]],
        spool_folder: Path | None = None,
        score_spool: ScoreSpool | None = None,
    ) -> None:
        """`spool_folder`: where the events of later rounds are kept; needed where there is more than one.

        `score_spool`: keeps the events of the score split for the census.
        """
        assert len(rounds) == 1 or spool_folder is not None
        self.subject, self.tokens, self.placed, self.plans = subject, tokens, placed, plans
        self.shards, self.rounds = shards, rounds
        self._spool = None if len(rounds) == 1 else Spool(spool_folder or Path(), rounds, INNER * tokens.context_length)
        self.score_spool = score_spool
        seed = next(iter(plans.values())).seed
        self._pools = Pools.of(tokens, seed, subject.device)
        self._pair_levels = pair_levels(subject, tokens, placed, seed)
        self._frequent = {
            name: torch.from_numpy(frequent_tokens(tokens, subject.d_vocab, plan.n_features)).to(subject.device)
            for name, plan in plans.items()
        }
        self.summaries = self.empty(0)
        self.next_context = shards[0].first

    def begin(self) -> None:
        """Forgets what was gathered, also in files of an earlier process."""
        self.summaries = self.empty(0)
        self.next_context = self.shards[0].first
        self.remove_spool()
        if self.score_spool:
            self.score_spool.begin()

    def empty(self, number: int) -> Summaries:
        """The summaries of a round that have seen nothing."""
        return {piece: self._summary(piece) for piece in self.rounds[number]}

    def _summary(self, piece: Piece) -> Summary:
        plan = self.plans[piece.dictionary]
        mine = replace(plan, first=piece.first, n_features=piece.last - piece.first, n_all=plan.n_features)
        level = self._pair_levels[piece.dictionary][piece.first : piece.last]
        return Summary(mine, self._pools, self._frequent[piece.dictionary], level, self.subject.device)

    def run(self, batch_size: int, contexts: Int64 | None = None) -> Iterator[int]:
        """Goes on to the end of the shards; yields the scored tokens of each inner batch when they are added.

        `contexts`: only these, rising.
        """
        hooks = sorted({dictionary.hook for dictionary, _ in self.placed.values()})
        with threads_of(self.subject.device) as threads:
            for shard in self.shards:
                mine = np.arange(max(shard.first, self.next_context), shard.last)
                mine = mine if contexts is None else np.intersect1d(mine, contexts)
                for batch in threads.ahead(iterate_activations(self.subject, self.tokens, hooks, mine, batch_size)):
                    number = int(batch.contexts[0]) // INNER
                    events_by_name = threads.each(partial(self._take_in, batch), self.placed)
                    for name, events in zip(self.placed, events_by_name, strict=True):
                        if self._spool:
                            self._spool.add(name, number, events)
                        if self.score_spool:
                            self.score_spool.add(name, number, events)
                    self.next_context = min(int(batch.contexts[0]) + INNER, shard.last)
                    if mine[-1] < self.next_context:
                        _end_shard(self.summaries)
                    give_back()  # what is kept grows between what one batch after the other leaves behind
                    yield int(batch.scored.sum())

    def _take_in(self, batch: ActivationBatch, name: str) -> Events:
        """Adds the events of one dictionary, which shares nothing with another's: several may be added at once."""
        dictionary, selected = self.placed[name]
        events = encode_events(dictionary, batch, self.tokens, selected, self.plans[name].norm_limit)
        for piece, summary in self.summaries.items():
            if piece.dictionary == name:
                summary.add(events, events.count(EXPLAIN))
        return events

    def finished(self) -> Iterator[Summaries]:
        """Round after round, when `run` has come to its end. Only one round's summaries are held at a time."""
        if self._spool:
            self._spool.flush()
        for number in range(len(self.rounds)):
            if number:
                self.summaries = self._replayed(number)
            yield self.summaries
            self.summaries.clear()  # whoever still holds this round must not hold its memory

    def _replayed(self, number: int) -> Summaries:
        assert self._spool is not None
        summaries = self.empty(number)
        ends = [shard.last for shard in self.shards]
        shard = 0
        for record in self._spool.read(number):
            while record.batch * INNER >= ends[shard]:
                _end_shard(summaries)
                shard += 1
            piece = self.rounds[number][record.piece]
            row, feature, value, outliers = (
                torch.from_numpy(column).to(self.subject.device)
                for column in (record.row, record.feature + piece.first, record.value, record.outliers)
            )
            contexts = contexts_of_inner(record.batch, self.tokens)
            n = self.plans[piece.dictionary].n_features
            events = events_of(contexts, self.tokens, n, row, feature, value, outliers)
            summaries[piece].add(events, record.n_explain)
        _end_shard(summaries)
        return summaries

    def state(self) -> tuple[Any, dict[str, Tensor]]:
        """A description (JSON) and the tensors it speaks of, uncopied: write them before going on."""
        description, tensors = take(list(self.summaries.values()))
        sizes = self._spool.flush() if self._spool else []
        score = self.score_spool.flush() if self.score_spool else None
        return {"next_context": self.next_context, "summaries": description, "spool": sizes, "score": score}, tensors

    def resume(self, description: Any, tensors: dict[str, Tensor]) -> None:
        """Goes on from a `state`. Raises ValueError where it is of other work; `begin` then."""
        try:
            put_back(list(self.summaries.values()), description["summaries"], tensors)
            if self._spool:
                self._spool.cut_back(description["spool"])
            if self.score_spool:
                self.score_spool.cut_back(description.get("score"))
            self.next_context = int(description["next_context"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error

    def remove_spool(self) -> None:
        """Removes the files of later rounds."""
        if self._spool:
            self._spool.remove()


def _end_shard(summaries: Summaries) -> None:
    for summary in summaries.values():
        summary.end_shard()
