"""A label gains nothing by leaving triggers off its list: what it fires on all the same is charged.

Dictionaries of 100 features at a density of 1e-4, with labels that are right but for firing EXTRA times too often. The
same predictions are scored twice: once all that the label fires on is listed, once nothing of it. (A lookup lists some
silent windows in both.) The mean of 60 windows a feature must lie within its interval of the mean over all tokens, and
the two means within each other's.

What a charge at one rate cannot know is who raised the alarms: where a tenth or half of the labels raise all of them,
the mean is charged too much. Figures of these, and of dictionaries with mixed densities, are printed too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from rare_worlds import LENGTH, N_DOCUMENTS, N_WINDOWS, PER_DOCUMENT, POOL, RESERVOIR, place

from autointerp.compare.clustered import mean_interval
from autointerp.compare.interval import Interval
from autointerp.score import estimator as est
from autointerp.score.alarms import alarm_limits, pooled_charges
from autointerp.score.class_names import LISTS, REST
from autointerp.score.metrics import pearson
from autointerp.score.quotas import QUOTAS_60, allocate, shared_out
from autointerp.score.sampling import class_sizes, classify, firing_limits, pad_windows, window_weights

pytestmark = pytest.mark.slow
N_FEATURES, N_EXPERIMENTS = 100, 40


@dataclass(frozen=True)
class Feature:
    """Its windows that are not empty: all others hold neither a firing nor a prediction."""

    moments: np.ndarray  # [n, 6]
    maximum: np.ndarray  # [n]
    truth: float


def make_feature(rng: np.random.Generator, density: float, extra: float, stray: float = 0.0) -> Feature:
    """`extra` false alarms a firing, clustered by document as firings are; `stray` ones a token, anywhere."""
    firing = place(rng, int(density * N_WINDOWS * LENGTH))
    effect = np.exp(rng.normal(0, 0.3, N_DOCUMENTS))[firing // LENGTH // PER_DOCUMENT]
    activation = rng.gamma(1.5, 2.0, firing.size) * effect * rng.lognormal(0, 1)
    spurious = place(rng, int(extra * firing.size)) if extra else np.zeros(0, np.int64)
    if stray:
        spurious = np.union1d(spurious, rng.integers(0, N_WINDOWS * LENGTH, int(stray * N_WINDOWS * LENGTH)))
    spurious = np.setdiff1d(spurious, firing)
    t = np.concatenate([activation, np.zeros(spurious.size)])
    said = activation * np.exp(rng.normal(0, 0.3, firing.size))
    p = np.concatenate([said, rng.permutation(np.resize(activation, spurious.size))])
    _, window = np.unique(np.concatenate([firing, spurious]) // LENGTH, return_inverse=True)
    n = int(window.max()) + 1
    sums = [np.bincount(window, values, n) for values in (t, p, t * t, p * p, t * p)]
    moments = np.stack([np.full(n, float(LENGTH)), *sums], axis=1)
    maximum = np.zeros(n)
    np.maximum.at(maximum, window, t)
    totals = moments.sum(axis=0)
    totals[0] = N_WINDOWS * LENGTH
    return Feature(moments, maximum, float(pearson(totals)))


def sample(rng: np.random.Generator, of: Feature, listed: bool) -> tuple[np.ndarray, ...]:
    """Moments and classes of 60 windows, sizes and candidates of the classes. A lookup's list is the second one."""
    firing, silent = np.flatnonzero(of.maximum > 0), np.flatnonzero(of.maximum == 0)
    top = firing[np.argsort(-of.maximum[firing], kind="stable")[:20]]
    kept = np.setdiff1d(rng.permutation(firing)[:RESERVOIR], top)
    silent = silent[rng.random(silent.size) < POOL / N_WINDOWS]
    n_empty = int(rng.binomial(N_WINDOWS - len(of.moments), POOL / N_WINDOWS))
    n_lookup = min(2 * len(firing) * POOL // N_WINDOWS + 1, n_empty // 2)
    fires = np.concatenate([top, kept])
    none = np.zeros(fires.size, bool)
    kinds = classify(of.maximum[fires], np.isin(fires, top), none, none, firing_limits(of.maximum[firing]))
    index = np.concatenate([fires, silent])
    kinds = np.concatenate([kinds, np.full(silent.size, LISTS[0] if listed else REST)])
    available = np.bincount(kinds, minlength=LISTS[1] + 1)
    available[LISTS[1]] += n_lookup
    available[REST] += n_empty - n_lookup
    drawn = allocate(available, shared_out(QUOTAS_60, 2, LISTS[1] + 1))
    empty = np.array([float(LENGTH), 0, 0, 0, 0, 0])
    rows, classes = [], []
    for h, n in enumerate(drawn.tolist()):
        members = index[kinds == h]
        chosen = rng.choice(available[h], n, replace=False) if n else np.zeros(0, np.int64)
        there = members[chosen[chosen < members.size]]
        rows += [of.moments[there], np.tile(empty, (n - there.size, 1))]
        classes += [h] * n
    return np.concatenate(rows), np.array(classes), class_sizes(N_WINDOWS, len(firing), available), available


def mean_of(rng: np.random.Generator, features: list[Feature], listed: bool) -> tuple[float, Interval]:
    """The mean of the dictionary as it is charged, with its interval; and as it would be with R at 0."""
    drawn = [sample(rng, one, listed) for one in features]
    moments, classes = pad_windows([one[0] for one in drawn], [one[1] for one in drawn])
    sizes, available = np.array([one[2] for one in drawn]), np.array([one[3] for one in drawn])
    charges = pooled_charges(moments, classes, sizes)
    value = est.pearson_framed(moments, classes, sizes, available, charge=charges.value).value
    totals = np.einsum("fw,fwk->fk", window_weights(classes, sizes), est.frame_moments(moments, classes, charges.value))
    limits = alarm_limits(totals, sizes[:, REST], charges)
    everyone = np.arange(len(features))
    interval = mean_interval(value, everyone)
    assert interval is not None
    return float(est.pearson_framed(moments, classes, sizes, available).value.mean()), interval.and_limits(
        *limits.of_mean()
    )


@dataclass
class Results:
    truth: np.ndarray
    free: np.ndarray
    """Means with R at 0."""
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def coverage(self) -> float:
        return float(((self.low <= self.truth) & (self.truth <= self.high)).mean())

    def __str__(self) -> str:
        return (
            f"truth {self.truth.mean():.3f}, R at 0 {self.free.mean():.3f}, charged {self.value.mean():.3f} "
            f"[{self.low.mean():.3f}, {self.high.mean():.3f}], coverage {self.coverage:.2f}"
        )


def experiments(
    extra: np.ndarray, density: np.ndarray | None = None, stray: float = 0.0, n: int = N_EXPERIMENTS
) -> dict[bool, Results]:
    """With nothing and with everything listed."""
    rows: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}
    for seed in range(n):
        rng = np.random.default_rng([seed, 7])
        densities = np.full(extra.size, 1e-4) if density is None else density
        features = [make_feature(rng, d, x, stray) for d, x in zip(densities, extra, strict=True)]
        truth = float(np.mean([one.truth for one in features]))
        for listed, found in rows.items():
            free, interval = mean_of(rng, features, listed)
            found.append((truth, free, interval.value, interval.low, interval.high))
    return {listed: Results(*np.array(found).T) for listed, found in rows.items()}


@pytest.mark.parametrize("extra", [3.0, 11.0])
def test_listing_fewer_triggers_pays_nothing(extra: float) -> None:
    found = experiments(np.full(N_FEATURES, extra))
    unlisted, listed = found[False], found[True]
    print(f"fires {extra:g} times too much: nothing listed: {unlisted}; all listed: {listed}")
    assert unlisted.free.mean() > unlisted.truth.mean() + 0.35, "what was paid before"
    assert abs(unlisted.value.mean() - unlisted.truth.mean()) < 0.06
    assert abs(listed.value.mean() - listed.truth.mean()) < 0.03
    assert min(unlisted.coverage, listed.coverage) >= 0.85
    # each within the interval of the other
    agree = (unlisted.low <= listed.value) & (listed.value <= unlisted.high)
    assert agree.mean() >= 0.85
    joint = np.hypot(unlisted.value - unlisted.low, listed.high - listed.value)
    assert (np.abs(unlisted.value - listed.value) <= np.maximum(joint, unlisted.high - unlisted.value)).mean() >= 0.9


def test_a_label_without_alarms_is_charged_nothing() -> None:
    found = experiments(np.zeros(N_FEATURES), n=10)[False]
    print(f"no alarms: {found}")
    np.testing.assert_allclose(found.value, found.free)
    assert np.all(found.low < found.value - 0.05), "600 windows exclude no alarms in half a percent of the windows"


@pytest.mark.parametrize("stray", [0.0, 1e-4])
def test_features_are_charged_with_those_that_fire_as_often(stray: float) -> None:
    """Densities from 1e-4 to 1e-3, alarms in proportion to them, or at one rate everywhere."""
    density = np.geomspace(1e-4, 1e-3, 150)
    found = experiments(np.full(150, 0.0 if stray else 3.0), density, stray, n=12)[False]
    print(f"densities 1e-4 to 1e-3, {'stray alarms' if stray else 'three times too much'}: {found}")
    assert abs(found.value.mean() - found.truth.mean()) < 0.06
    assert found.coverage >= 0.75


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_alarms_of_a_few_labels_are_charged_to_all(share: float) -> None:
    """The strict side: the charge is higher than the truth, and the rank of the two ways to list is kept."""
    extra = np.where(np.arange(N_FEATURES) < share * N_FEATURES, 11.0, 0.0)
    found = experiments(np.random.default_rng(0).permutation(extra), n=12)[False]
    print(f"{share:.0%} of the labels raise all alarms: {found}")
    assert found.value.mean() < found.truth.mean()
    assert found.free.mean() > found.truth.mean()
