"""Stage context_effects: what features depend on and what they do to the tokens behind, on their strongest contexts; or
the reason why it could not be measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.extract.context_effects import ContextEffects, Replacements, depend, earlier_tokens
from autointerp.extract.feature_reader import FeatureReader
from autointerp.extract.following import FollowingEffects, follow
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.context_rows import TopExemplar, context_rows, following_rows, top_exemplars
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.pipeline.stages.measured_effects import measure_each, silent_rows
from autointerp.records import Int64
from autointerp.store.writer import Transaction
from autointerp.subject.dictionary import written_hook
from autointerp.subject.hidden_tokens import HiddenTokens, hidden_tokens

STAGE = "context_effects"
AT_ONCE = 1024
"""Exemplars whose rows are written together."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other."""
    missing = by_dictionary(works)
    dictionaries = context.open(missing)
    effects = context.config.effects
    chosen = choose_measured(context, missing)
    with context.report.stage("contexts", effects.exemplars * sum(map(len, chosen.values())), "exemplars") as advance:

        def write(transaction: Transaction, work: Work) -> int:
            name = str(work.dictionary)
            measured = _DictionaryContexts(context, work, name, dictionaries[name], advance)
            return measured.write(transaction, chosen[name])

        measure_each(context, missing, write)


@dataclass
class _DictionaryContexts:
    """The contexts of one dictionary's features."""

    context: StageContext
    work: Work
    name: str
    chosen: Selected
    advance: Callable[[int], None]

    def __post_init__(self) -> None:
        subject, tokens = self.context.prepared.subject, self.context.tokens
        self.dictionary = self.chosen.dictionary.to(subject.device)
        self.hook_out = written_hook(self.dictionary)
        self.limit = self.context.norm_limits([self.dictionary.hook]).get(self.dictionary.hook)
        counts = np.asarray(tokens.count_tokens("explain", subject.d_vocab), dtype=np.float64)
        self.replacements = Replacements(np.cumsum(counts), self.context.config.seed, self.name)
        self._hiding: list[HiddenTokens | None] = []
        self._wrong: str | None = None

    def write(self, transaction: Transaction, features: Int64) -> int:
        """Writes the rows of these features, and returns how many."""
        effects = self.context.config.effects
        exemplars = list(top_exemplars(self.context.store, self.name, features, effects.exemplars))
        n = sum(
            self._write(transaction, exemplars[first : first + AT_ONCE]) for first in range(0, len(exemplars), AT_ONCE)
        )
        if self._wrong is not None:
            n += transaction.append(
                "failures", failure_rows(STAGE, self.name, [None], None, [None], ["not_possible"], [self._wrong])
            )
        silent = sorted(set(features.tolist()) - {exemplar.feature for exemplar in exemplars})
        n += silent_rows(transaction, self.work, silent, "explain")
        self.advance(effects.exemplars * len(features) - len(exemplars))
        return n

    def _write(self, transaction: Transaction, exemplars: Sequence[TopExemplar]) -> int:
        depended: list[tuple[TopExemplar, ContextEffects]] = []
        followed: list[tuple[TopExemplar, FollowingEffects]] = []
        for exemplar in exemplars:
            reader = self._reader(exemplar)
            if (effects := self._depend(reader, exemplar)) is not None:
                depended.append((exemplar, effects))
            if (behind := self._follow(reader, exemplar)) is not None:
                followed.append((exemplar, behind))
            self.advance(1)
        n = 0
        if depended:
            n += transaction.append("context_effects", context_rows(self.work.key, self.name, depended))
        if followed:
            n += transaction.append("following_effects", following_rows(self.work.key, self.name, followed))
        return n

    def _ids(self, context: int) -> Int64:
        tokens = self.context.tokens
        return np.asarray(tokens.tokens[context][: int(tokens.n_valid[context])]).astype(np.int64)

    def _reader(self, exemplar: TopExemplar) -> FeatureReader:
        """Whether tokens can be hidden is tried out on the first exemplar."""
        subject = self.context.prepared.subject
        if not self._hiding:
            ids = torch.from_numpy(self._ids(exemplar.context)).to(subject.device)
            self._hiding.append(hidden_tokens(subject, self.dictionary.hook, ids))
        return FeatureReader(subject, self.dictionary, exemplar.feature, self.limit, self._hiding[0])

    def _depend(self, reader: FeatureReader, exemplar: TopExemplar) -> ContextEffects | None:
        """None: it is not asked for, or there is nothing in front."""
        effects = self.context.config.effects
        ids = self._ids(exemplar.context)
        special = np.isin(ids, list(self.context.prepared.subject.special))
        earlier = earlier_tokens(special, exemplar.peak, effects.context_before)
        if exemplar.rank >= effects.context_exemplars or not len(earlier):
            return None
        drawn = self.replacements.draw(ids[earlier], exemplar.feature, exemplar.context, exemplar.peak)
        return depend(reader, ids, special, exemplar.peak, earlier, drawn)

    def _follow(self, reader: FeatureReader, exemplar: TopExemplar) -> FollowingEffects | None:
        """None: nothing stands behind, or the dictionary does not say what its features write."""
        if self._wrong is not None:
            return None
        ids = torch.from_numpy(self._ids(exemplar.context)).to(reader.subject.device)
        counted = self.context.tokens.scored(np.array([exemplar.context]))[0][: len(ids)]
        try:
            return follow(reader, self.hook_out, ids, counted, exemplar.context)
        except InputError as error:
            self._wrong = str(error)
            return None
