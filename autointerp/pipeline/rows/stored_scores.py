"""One dictionary's scores by one explainer, read back: means and comparisons are functions of stored rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from autointerp.pipeline.rows.census_rows import SCORER
from autointerp.records import N_BLOCKS, Bool, Float64, Int64
from autointerp.score import metrics
from autointerp.score.alarms import (
    AlarmLimits,
    AlarmRate,
    alarm_limits,
    pooled_charges,
    residual_alarm_rate,
)
from autointerp.score.class_names import CLASSES, NOT_SAMPLED, REST, class_numbers
from autointerp.score.estimator import block_moments, frame_moments
from autointerp.score.metric_registry import metric_named
from autointerp.score.sampling import pad_windows
from autointerp.store.columns import to_csr
from autointerp.store.query import Queryable

_SCORES = """
SELECT explainer, scorer, metric, design, feature, CASE WHEN status <> 'underpowered' THEN value END AS value,
       status IN ('dead', 'rare') AS absent
FROM scores WHERE run = $run
"""
_SIMULATIONS = """
SELECT s.feature, s.class, s.size_class, s.truth, s.prediction, s.scored, s.status = 'ok' AS answered, c.document_block
FROM simulations s JOIN contexts c USING (context)
WHERE s.dictionary = $dictionary AND s.explainer = $explainer AND s.scorer = $scorer
      AND s.run IS NOT DISTINCT FROM $run
      AND s.feature IN (SELECT unnest($features))
ORDER BY s.feature, s.context, s.window_start
"""


About = tuple[str, str, str]
"""Scorer, metric and design."""
FRAMED = ("pearson_framed", "sample")
"""Metric and design whose alarms are charged."""


@dataclass(frozen=True)
class StoredScores:
    """The scores by one explainer, scorer, metric and design."""

    features: Int64  # [n] rising
    values: Float64  # [n] nan: none, or one of status `underpowered`, which is not to be trusted
    absent: Bool  # [n] dead and rare features

    def __len__(self) -> int:
        return len(self.features)

    @property
    def known(self) -> Bool:
        """[n] those with a value."""
        return ~np.isnan(self.values)


@dataclass(frozen=True)
class DictionaryScores:
    """One dictionary's scores by one explainer."""

    dictionary: str
    kind: str
    hook: str
    matched_to: str | None
    natural_of: str | None
    partner: Mapping[int, int]  # feature -> the feature it is matched to; only matched ones
    unit: Mapping[int, int]  # feature -> unit, of baselines
    scores: Mapping[About, StoredScores]
    moments: Mapping[str, tuple[Int64, Float64]]  # metric -> (features, [features, B, 6])
    alarms: AlarmRate
    limits: AlarmLimits  # of the features behind moments["pearson_framed"]

    @property
    def abouts(self) -> list[About]:
        """Scorer, metric and design of all scores."""
        return sorted(self.scores)

    def alarm_limits(self, about: About, features: Int64) -> AlarmLimits | None:
        """What the alarms that these features are charged with may move, nothing where one has no sample; None where
        none are charged."""
        if about[1:] != FRAMED or FRAMED[0] not in self.moments:
            return None
        numbers, _ = self.moments[FRAMED[0]]
        return self.limits.take(places_of(features, numbers))

    def blocks(self, about: About) -> tuple[Int64, Float64] | None:
        """Features and their moments by document block, [features, B, 6]; None where none are stored."""
        _, metric, design = about
        known = metric_named(metric, design)
        return self.moments.get(metric) if known is not None and known.by_document else None


def places_of(features: Int64, among: Int64) -> Int64:
    """Where each stands among rising ones, [n]; -1: nowhere."""
    if not len(among):
        return np.full(len(features), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(among, features), len(among) - 1)
    return np.where(among[at] == features, at, -1)


def read_scores(store: Queryable, run: str) -> dict[str, dict[About, StoredScores]]:
    """All scores that a piece of work gave, by explainer in the order of their names."""
    rows = store.query(_SCORES, run=run)
    if not len(rows):
        return {}
    names: list[list[str]] = []
    numbers = np.zeros(len(rows), dtype=np.int64)
    for name in ("explainer", "scorer", "metric", "design"):
        words = rows[name].combine_chunks().dictionary_encode()
        names.append([str(word) for word in words.dictionary.to_pylist()])
        numbers = numbers * len(words.dictionary) + words.indices.to_numpy()
    feature = rows["feature"].to_numpy().astype(np.int64)
    order = np.lexsort((feature, numbers))
    value = rows["value"].to_numpy()[order]
    absent = rows["absent"].to_numpy(zero_copy_only=False).astype(np.bool_)[order]
    kinds, first = np.unique(numbers[order], return_index=True)
    parts = zip(*(np.split(column, first[1:]) for column in (feature[order], value, absent)), strict=True)
    scores: dict[str, dict[About, StoredScores]] = {name: {} for name in sorted(names[0])}
    places = zip(*(at.tolist() for at in np.unravel_index(kinds, [len(words) for words in names])), strict=True)
    for (explainer, scorer, metric, design), columns in zip(places, parts, strict=True):
        about = names[1][scorer], names[2][metric], names[3][design]
        scores[names[0][explainer]][about] = StoredScores(*columns)
    return scores


Floors = Mapping[str, Mapping[About, float | None]]
"""Dictionary -> scorer, metric and design -> floor."""


def read_floors(store: Queryable, run: str, explainer: str) -> dict[About, float | None]:
    """The floors that `run`, a piece of work of stage means, found for an explainer."""
    rows = store.rows(_FLOORS, run=run, explainer=explainer)
    return {(row["scorer"], row["metric"], row["design"]): row["floor"] for row in rows}


_FLOORS = "SELECT scorer, metric, design, floor FROM dictionary_scores WHERE run = $run AND explainer = $explainer"


@dataclass(frozen=True)
class SampleSums:
    """The sampled windows of n features by document block, windows of R at their charge."""

    features: Int64  # [n] rising
    blocks: Float64  # [n, B, 6]
    limits: AlarmLimits  # [n]
    alarms: AlarmRate


def read_sample(
    store: Queryable,
    dictionary: str,
    explainer: str,
    features: Sequence[int],
    scorer: str = SCORER,
    run: str | None = None,
) -> SampleSums:
    """The stored simulations of those of `features` that have any."""
    parts = []
    for first in range(0, len(features), _AT_ONCE):
        chunk = sorted(features)[first : first + _AT_ONCE]
        about = {"dictionary": dictionary, "explainer": explainer, "scorer": scorer, "run": run}
        rows = store.query(_SIMULATIONS, **about, features=chunk)
        if len(rows):
            parts.append(_windows(rows))
    return _sums_of(parts) if parts else _no_sums()


def _sums_of(parts: Sequence[_Windows]) -> SampleSums:
    numbers = np.concatenate([part.features for part in parts]) if parts else np.zeros(0, np.int64)
    moments, classes = pad_windows(
        [row for part in parts for row in part.moments], [row for part in parts for row in part.classes]
    )
    of_block = np.zeros(classes.shape, dtype=np.int64)
    for at, own in enumerate(row for part in parts for row in part.blocks):
        of_block[at, : len(own)] = own
    sizes = np.concatenate([part.sizes for part in parts]) if parts else np.zeros((0, len(CLASSES)))
    charges = pooled_charges(moments, classes, sizes)
    framed = frame_moments(moments, classes, charges.value)
    by_block = block_moments(framed, classes, sizes, of_block, N_BLOCKS)
    limits = alarm_limits(by_block.sum(axis=1), sizes[:, REST], charges)
    return SampleSums(numbers, by_block, limits, residual_alarm_rate(moments[..., 4] > 0, classes))


@cache
def _no_sums() -> SampleSums:
    """Of no features."""
    return _sums_of(())


_AT_ONCE = 1024
"""Features read at once: 60 windows each."""


@dataclass(frozen=True)
class _Windows:
    """Windows of some features, feature by feature."""

    features: Int64
    moments: list[Float64]  # [windows, 6] each
    classes: list[Int64]
    blocks: list[Int64]
    sizes: Float64  # [features, H]


def _windows(rows: pa.Table) -> _Windows:
    feature = rows["feature"].to_numpy().astype(np.int64)
    words = rows["class"].combine_chunks().dictionary_encode()
    kinds = class_numbers(map(str, words.dictionary.to_pylist()))[words.indices.to_numpy()]
    truth, prediction, scored = (
        to_csr(rows[name])[1].reshape(len(rows), -1) for name in ("truth", "prediction", "scored")
    )
    answered = rows["answered"].to_numpy() & ~(np.isnan(prediction) & scored).any(axis=1)
    values = metrics.moments(truth, prediction, scored & answered[:, None])
    numbers, first = np.unique(feature, return_index=True)
    sizes = np.zeros((len(numbers), len(CLASSES)))
    sizes[np.searchsorted(numbers, feature), kinds] = rows["size_class"].to_numpy()
    at, classes = first[1:], np.where(answered, kinds, NOT_SAMPLED)
    blocks = rows["document_block"].to_numpy().astype(np.int64)
    return _Windows(numbers, np.split(values, at), np.split(classes, at), np.split(blocks, at), sizes)
