"""The trials of a metric, and the self-test that puts every metric through them.

    extra, missing   does the score of a planted feature fall by LEAST_LOSS or more from the true label to the wrong?
    ranking          the known-neuron test: is the true label first among the true labels of all planted features, one
                     that claims nothing and one that claims everything? Of features that were planted on the very same
                     grams the others' labels do not count
    unrelated        a pipeline that must fail: labels of planted features, scored on features that fire by a Gaussian
                     embedding of the tokens; is the mean score that of chance?
    blind            is it that of chance where a judge reads nothing?

Chance is what the metric's row says; where that depends on the feature, what a label gets that claims nothing or
everything, whichever is more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from autointerp.hashing import hash64, stream_key
from autointerp.records import Float64
from autointerp.score.metric import Measured, Metric
from autointerp.score.scorers.protocol import Scorer
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.selftest.figures import Excess, LossCounts, MetricFigures, Ranking
from autointerp.score.selftest.planted import KINDS, LABELS, PlantedFeature, Planter, RuleLabel
from autointerp.score.selftest.planted_others import MakeDistractors
from autointerp.score.selftest.replies import CannotAnswer
from autointerp.score.selftest.shown_lines import LineReader, choose_end, stock_of
from autointerp.score.selftest.sources import (
    NOTHING,
    CensusSource,
    FeatureGroup,
    PredictionSource,
    PublishedSource,
    ScorerSource,
    everything,
    group_of,
)
from autointerp.score.selftest.test_material import SelftestMaterial
from autointerp.score.selftest.text import SelftestText

DENSITIES = (1e-2, 1e-3, 1e-4)
N_FEATURES = 24
"""Planted features of each density."""
LEAST_LOSS = 0.01
RANKED_EVERY = 4
"""Of the planted features one in so many has the labels of all ranked."""
N_UNRELATED, N_IGNORANT = 4, 2
"""Labels that each Gaussian feature is scored with: of planted features; those that claim nothing and everything."""
OF_EFFECTS = ("rated", "picked")
"""Shapes of predictions that have nothing to do with how often a feature fires."""
NOT_COUNTED = "underpowered"
"""Status of a value that is in no mean of a run either."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class SelftestPlan:
    """What decides the figures."""

    seed: int = 0
    n_features: int = N_FEATURES
    """Of each density."""
    densities: tuple[float, ...] = DENSITIES
    """Falling."""
    scorers: Mapping[str, Scorer] = field(default_factory=lambda: SCORERS)
    """Those to try, by name."""
    own: Sequence[Metric] = ()
    """Metrics of the user's own."""

    @property
    def n_predictions(self) -> int:
        """Predictions that are made, for a bar of progress."""
        n = self.n_features * len(self.densities)
        ranked = len(range(0, n, RANKED_EVERY))
        lookups = n * len(LABELS) + ranked * (n + N_IGNORANT) + n * (N_UNRELATED + N_IGNORANT)
        return 2 * lookups + len(self.scorers) * (lookups + n)


def self_test(
    text: SelftestText, plan: SelftestPlan, distractors: MakeDistractors, advance: Advance = lambda _n: None
) -> list[MetricFigures]:
    """The figures of every metric that reads a prediction of these scorers. Raises ValueError where the text is too
    short, and AutointerpError where a class of the user's fails."""
    end = choose_end(text.texts)
    material, planter = SelftestMaterial(text, plan.seed, end), Planter(text, plan.seed)
    features: list[PlantedFeature] = []
    unrelated: list[PlantedFeature] = []
    for density in plan.densities:
        features += planter.features(density, plan.n_features, 1 + len(features))
    for density in plan.densities:
        unrelated += planter.gaussian(density, plan.n_features, 1 + len(features) + len(unrelated))
    ignorant = (NOTHING, everything(text.n_vocabulary))
    labels = [*ignorant, *(label for feature in features for label in feature.labels.values())]
    reader = LineReader(text.texts, end)
    stock = stock_of(reader, material.corpus)
    sources: list[PredictionSource] = [
        CensusSource(material, plan.own),
        PublishedSource(material, plan.scorers, plan.own),
        *(
            ScorerSource(scorer, reader, labels, plan.own, stock, is_own=name not in SCORERS)
            for name, scorer in plan.scorers.items()
        ),
    ]
    planted = group_of(material, features, distractors, together=True)
    bench = _Bench(planted, group_of(material, unrelated, distractors), ignorant, plan, advance)
    return [figures for source in sources for figures in bench.try_out(source)]


@dataclass(frozen=True)
class _Bench:
    planted: FeatureGroup
    unrelated: FeatureGroup
    ignorant: Sequence[RuleLabel]
    plan: SelftestPlan
    advance: Advance

    def try_out(self, source: PredictionSource) -> Iterator[MetricFigures]:
        """The figures of each metric of a source."""
        if not source.rows:
            return
        try:
            wrong = {name: self._predicted(source, self.planted, self._own_labels(name)) for name in LABELS}
            ranked_rows = list(range(0, len(self.planted), RANKED_EVERY))
            ranked = self.planted.some(ranked_rows)
            candidates = [*self._own_labels("true"), *self.ignorant]
            same = np.array(
                [[one.rule.grams == candidates[row].rule.grams for row in ranked_rows] for one in candidates]
            )
            same[ranked_rows, np.arange(len(ranked_rows))] = False
            by_label = [self._predicted(source, ranked, [label] * len(ranked)) for label in candidates]
            drawn = [self._predicted(source, self.unrelated, labels) for labels in self._other_labels()]
            ignorant = [self._predicted(source, self.unrelated, [label] * len(drawn[0])) for label in self.ignorant]
            blind = self._blind(source)
        except CannotAnswer as reason:
            for scorer, metric in source.rows:
                yield MetricFigures(scorer, metric.name, metric.design, metric.version, reason=str(reason))
            return
        for scorer, metric in source.rows:
            values = {name: _values(metric, predictions) for name, predictions in wrong.items()}
            bare = MetricFigures(scorer, metric.name, metric.design, metric.version)
            yield replace(
                bare,
                extra=self._losses(metric, values["true"], values["extra"]),
                missing=self._losses(metric, values["true"], values["missing"]),
                ranking=ranking_of(np.where(same, np.nan, _each_values(metric, by_label)), ranked_rows),
                unrelated=excess_of(metric, _each_values(metric, drawn), _each_values(metric, ignorant)),
                blind=_worst(metric, blind),
                reason=_lacking(metric, wrong["true"]),
            )

    def _predicted(self, source: PredictionSource, group: FeatureGroup, labels: Sequence[RuleLabel]) -> Sequence[Any]:
        predictions = source.predict(group, labels)
        self.advance(len(group))
        return predictions

    def _blind(self, source: PredictionSource) -> dict[str, Sequence[Any]]:
        predictions = source.blindly(self.planted)
        self.advance(len(self.planted) * source.judged)
        return predictions

    def _own_labels(self, name: str) -> list[RuleLabel]:
        return [feature.labels[name] for feature in self.planted.features]

    def _other_labels(self) -> Iterator[list[RuleLabel]]:
        """True labels of planted features for the Gaussian ones, each label once in each list."""
        labels, n = self._own_labels("true"), len(self.unrelated)
        for draw in range(N_UNRELATED):
            order = np.argsort(hash64(stream_key(self.plan.seed, "unrelated", draw), np.arange(n)), kind="stable")
            yield [labels[row] for row in order.tolist()]

    def _losses(self, metric: Metric, true: Float64, wrong: Float64) -> LossCounts:
        """By density; what a feature does to tokens has nothing to do with it."""
        features = self.planted.features
        density = np.array([feature.density for feature in features])
        groups = [density == wanted for wanted in self.plan.densities]
        if metric.reads in OF_EFFECTS:
            groups = [np.ones(len(density), dtype=np.bool_)]
        both = ~np.isnan(true) & ~np.isnan(wrong)
        lost = both & (np.where(both, true - wrong, 0.0) >= LEAST_LOSS)
        of_kind = {kind: np.array([feature.kind == kind for feature in features]) for kind in KINDS}
        lost_in, of_in, asked = ([int((what & group).sum()) for group in groups] for what in (lost, both, both | True))
        kinds = {kind: (int((lost & mine).sum()), int((both & mine).sum())) for kind, mine in of_kind.items()}
        return LossCounts(tuple(lost_in), tuple(of_in), tuple(asked), kinds)


def _values(metric: Metric, predictions: Sequence[Any]) -> Float64:
    """The scores, nan where there is none that counts."""
    measured = metric.of(predictions)
    return np.array([math.nan if _lacks(one) else one.value for one in measured], dtype=np.float64)


def _each_values(metric: Metric, parts: Sequence[Sequence[Any]]) -> Float64:
    """Those of several sets of predictions about the same features, [sets, features]."""
    return np.stack([_values(metric, part) for part in parts])


def _lacks(measured: Measured) -> bool:
    return measured.value is None or measured.status == NOT_COUNTED


def _lacking(metric: Metric, predictions: Sequence[Any]) -> str:
    """Why features have no score, where some have none: the commonest status."""
    statuses = Counter(measured.status for measured in metric.of(predictions) if _lacks(measured))
    return statuses.most_common(1)[0][0] if statuses else ""


def ranking_of(values: Float64, rows: Sequence[int]) -> Ranking | None:
    """Scores [labels, features]; the true label of feature i is that of row `rows[i]`. Ties share their ranks."""
    known = [(values[:, i], row) for i, row in enumerate(rows) if not np.isnan(values[row, i])]
    if 2 * len(known) < len(rows):
        return None
    first, reciprocal = [], []
    for scores, row in known:
        above, tied = int((scores > scores[row]).sum()), int((scores == scores[row]).sum())
        first.append(1.0 / tied if above == 0 else 0.0)
        reciprocal.append(float(np.mean(1.0 / (above + 1 + np.arange(tied)))))
    return Ranking(float(np.mean(first)), float(np.mean(reciprocal)), len(known), len(values))


def excess_of(metric: Metric, values: Float64, ignorant: Float64, by: str = "") -> Excess | None:
    """Of scores [draws, features]; `ignorant` is what labels that know nothing get, [labels, features]. The mean over
    features with Student's interval."""
    known_least = np.where(np.isnan(ignorant), -np.inf, ignorant).max(axis=0)
    over_chance = values - (known_least if metric.chance is None else metric.chance)
    known = np.isfinite(over_chance)
    has = known.any(axis=0)
    n = int(has.sum())
    if n < 2 or 2 * n < over_chance.shape[1]:
        return None
    of_feature = (np.where(known, over_chance, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))[has]
    mean, error = float(of_feature.mean()), float(of_feature.std(ddof=1) / np.sqrt(n))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Excess(mean, mean - half, mean + half, n, "ignorance" if metric.chance is None else "chance", by)


def _worst(metric: Metric, blind: Mapping[str, Sequence[Any]]) -> Excess | None:
    """Of the judges that read nothing, the one that is farthest from chance, as far as its interval tells."""
    if not blind:
        return None
    values = {rule: _values(metric, predictions)[None] for rule, predictions in blind.items()}
    ignorant = np.concatenate([values["none"], values["all"]])
    tried = [excess_of(metric, own, ignorant, rule) for rule, own in values.items()]
    known = [excess for excess in tried if excess is not None]
    return max(known, key=lambda excess: (max(excess.low, -excess.high, 0.0), abs(excess.mean)), default=None)
