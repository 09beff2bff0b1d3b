"""What all stages of a run share: what is missing, what is done, dictionaries that are open, what scores stand on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from math import inf
from typing import Any

from torch import Tensor

from autointerp.errors import AutointerpError
from autointerp.extract.selected import Selected
from autointerp.pipeline.asking.asker import Asking
from autointerp.pipeline.asking.materials_of_run import Materials
from autointerp.pipeline.fitted_dictionaries import open_fitted
from autointerp.pipeline.hook_norms import norms_at
from autointerp.pipeline.plan.prepare import Prepared
from autointerp.pipeline.plan.work import Work, done_keys
from autointerp.pipeline.rows.list_rows import write_lists
from autointerp.progress import Reporter
from autointerp.score.scorers.logit_effects import CentredUnembedding
from autointerp.store.writer import StoreWriter, Transaction
from autointerp.subject.baselines import COVARIANCE_TOKENS, take_sample
from autointerp.subject.norms import HookNorms
from autointerp.subject.tokens import TokenFile

SECONDS_APART = 5.0
"""Of snapshots in the middle of a stage: each is a copy of the whole store."""


class StageContext:
    """A prepared run under way: its tokens, its store, what asks LLMs."""

    def __init__(
        self, prepared: Prepared, tokens: TokenFile, store: StoreWriter, report: Reporter, asking: Asking
    ) -> None:
        self.prepared, self.tokens, self.store, self.report, self.asking = prepared, tokens, store, report, asking
        self.config = prepared.config
        self.dictionary_names = [entry.name for entry in self.config.dictionary]
        self._publish_again = -inf
        self._opened: dict[str, Selected] = {}
        self._norms: dict[str, HookNorms] = {}
        self._ordinary: dict[str, Tensor] = {}
        self.materials = Materials(prepared, tokens, store)

    # --- what there is to do

    def missing(self, stage: str) -> list[Work]:
        """What is missing of a stage."""
        done = self.done_keys(stage)
        return [work for work in self.prepared.works if work.stage == stage and work.key not in done]

    def links_left(self, work: Work) -> list[Work]:
        """Its links that are left to do, the oldest first."""
        return work.links_left(self.done_keys(work.stage))

    def done_keys(self, stage: str) -> set[str]:
        """The keys of all work of a stage that is done, also of other runs."""
        return done_keys(self.store, stage)

    def n_features(self, names: Iterable[str]) -> int:
        """Features that are extracted."""
        return sum(len(self.prepared.features[name]) for name in names)

    def mark_done(self, transaction: Transaction, work: Work, n_rows: int, seconds: float) -> None:
        """Says so, with the rows."""
        transaction.mark_done(work.stage, work.key, work.dictionary, n_rows, seconds, work.explainer, work.scorer)

    def publish_at_times(self) -> None:
        """`publish`, unless readers saw progress moments ago."""
        if time.monotonic() >= self._publish_again:
            self.publish()

    def publish(self) -> None:
        """Readers see the run's progress; a snapshot that cannot be made does not stop it."""
        self._publish_again = time.monotonic() + SECONDS_APART
        try:
            self.store.publish_snapshot()
        except AutointerpError as error:
            self.report.say(f"no snapshot for readers: {error}")

    # --- tests

    def settle_lists(self, name: str) -> None:
        """Makes rows of what is listed of the features that are tested: their windows are drawn by it, once."""
        if new := self.materials.new_lists(name):
            with self.store.transaction() as transaction:
                write_lists(transaction, name, new)

    def texts_are_there(self, name: str) -> bool:
        """Whether no explainer's texts are waited for: what tests explanations is drawn by what all of them list."""
        return all(dictionary != name for dictionary, _ in self.asking.unexplained)

    # --- the model and dictionaries

    @cached_property
    def unembedding(self) -> CentredUnembedding:
        """What each token's logit reads."""
        return CentredUnembedding(self.prepared.subject.unembedding())

    def open(self, names: Iterable[str]) -> dict[str, Selected]:
        """These dictionaries, baselines fitted (pass 0 runs where they are not there yet)."""
        names = list(names)
        missing = [name for name in names if name not in self._opened]
        if missing:
            self._opened |= open_fitted(self.prepared, self.tokens, self.store, missing, self.report, self.norm_limits)
        return {name: self._opened[name] for name in names}

    def norms(self, hooks: Iterable[str]) -> dict[str, HookNorms]:
        """The norms at these hooks: as they are stored, else measured."""
        wanted = [hook for hook in dict.fromkeys(hooks) if hook not in self._norms]
        if wanted:
            self._norms |= norms_at(self.prepared, self.tokens, self.store, wanted)
        return {hook: self._norms[hook] for hook in hooks}

    def norm_limits(self, hooks: Iterable[str]) -> dict[str, float]:
        """By hook, the norm past which a token is an outlier; none where outliers count like all others."""
        if not self.config.evidence.exclude_outliers:
            return {}
        return {hook: measured.norm_limit for hook, measured in self.norms(hooks).items()}

    def ordinary_activations(self, hook: str) -> Tensor:
        """[N, d] activations at some tokens of the explain split, outliers left out: read once for all dictionaries and
        stages that draw random directions spread as these are."""
        if hook not in self._ordinary:
            sample = take_sample(
                self.prepared.subject, self.tokens, [hook], self.config.seed, self.prepared.work_folder,
                COVARIANCE_TOKENS, norm_limits=self.norm_limits([hook]),
            )  # fmt: skip
            self._ordinary[hook] = sample.ordinary(hook)
        return self._ordinary[hook]


def explainers_of(works: Iterable[Work]) -> list[str]:
    """The explainers that pieces of work are about."""
    return [work.explainer for work in works if work.explainer is not None]


def flat(groups: Iterable[Iterable[str]]) -> list[str]:
    """All of all groups, in order."""
    return [item for group in groups for item in group]


def now() -> datetime:
    """As the store's timestamps: UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def columns_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows as columns."""
    return {column: [row[column] for row in rows] for column in rows[0]}


def by_dictionary(works: Iterable[Work]) -> dict[str, list[Work]]:
    """Works of a stage that is done for one dictionary after the other."""
    works_of: dict[str, list[Work]] = {}
    for work in works:
        assert work.dictionary is not None
        works_of.setdefault(work.dictionary, []).append(work)
    return works_of
