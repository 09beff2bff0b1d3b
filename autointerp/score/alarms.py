"""False alarms where nothing points to one: how often, and what they cost.

R is the windows that no list of an explanation points to, nearly all of the text where a feature is rare. Of one
feature six of them are looked at, which says nothing about alarms of one in 10,000 tokens; of 500 features it is 3,000.
So the rate is pooled over the features of one dictionary and explainer, and every feature is charged at the pooled
rate: its windows of R count with the mean of p and of p^2 that such windows have. A label that leaves a trigger off its
list gains nothing by it.

1. A window's alarm is taken relative to the feature: p / s and p^2 / s^2, with s^2 the sum of squared activations over
   the number of firing windows.
2. Features are pooled with those that fire about as often: in groups of at least GROUP_OF, by the share of windows that
   fire. Over-broad labels raise alarms in proportion to how often a feature fires, a careless judge does not; groups
   hold for both. A feature whose own windows show that it is unlike its group is a group of its own (`own_alarms.py`).
3. Of each group: the share of its windows of R with an alarm, with exact binomial limits (Clopper & Pearson 1934) for
   n / d windows, d the design effect: the variance of the share over features, over the binomial one, at least 1.
4. How large an alarm is, is pooled over all groups: the mean of the R windows with one and of ELSEWHERE windows more,
   such as the other silent windows with an alarm are (all windows with a prediction, where those are fewer than
   ENOUGH; every feature counts alike): sizes are skewed, and a few alarms tend to look small.
5. Charge = share x size. Limits of the share are each group's own; that of the size is common to all of them.

A charge that is the same for all features of a group is strict where a few labels raise all of its alarms: the mean of
1 / sqrt(1 + x) over them is higher than 1 / sqrt(1 + mean x). Six windows cannot tell the two apart.
`tests/slow/test_unlisted_triggers.py` says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from autointerp.records import Float64, Int64
from autointerp.score.class_names import FIRING, REST
from autointerp.score.metrics import pearson, pearson_status
from autointerp.score.own_alarms import charged_alone
from autointerp.score.sampling import window_weights

GROUP_OF = 50
"""Features that are pooled at least: 300 windows of R."""
GROUPS = 8
"""Groups at most."""
ELSEWHERE = 5
"""Windows that the sizes of alarms outside R count as."""
ENOUGH = 20
"""Silent windows with an alarm from which their sizes are taken."""
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """How often a simulator raises an alarm in windows where nothing asked for one."""

    value: float | None
    """Share of the R windows with an alarm; none where there is no R window."""
    ci_low: float | None
    ci_high: float | None
    """Clopper-Pearson limits of the share of windows."""
    n_alarms: int
    """R windows with an alarm."""
    n: int
    """R windows."""


def residual_alarm_rate(alarms: npt.ArrayLike, classes: npt.ArrayLike, confidence: float = 0.95) -> AlarmRate:
    """The share of R windows with an alarm, pooled over all features given: boolean [..., W], classes [..., W].

    Pool over one (dictionary, explainer): one feature has 6 R windows, 500 have 3,000. The interval is exact
    (binomial, two-sided): with no alarm in n windows its upper end is 1 - 0.025^(1/n), about 3.7 / n.
    """
    rest = np.asarray(classes) == REST
    n, n_alarms = int(rest.sum()), int((np.asarray(alarms, dtype=np.bool_) & rest).sum())
    if n == 0:
        return AlarmRate(None, None, None, 0, 0)
    low, high = _binomial_limits(n_alarms, n, confidence)
    return AlarmRate(n_alarms / n, low, high, n_alarms, n)


def _binomial_limits(hits: float, n: float, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson limits of a share; also of numbers that are not whole, for an effective sample."""
    tail = (1.0 - confidence) / 2.0
    low = float(special.betaincinv(hits, n - hits + 1, tail)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, 1.0 - tail)) if hits < n else 1.0
    return low, high


@dataclass(frozen=True)
class Charges:
    """What the windows of R of each feature are charged with: mean sums of p and of p^2 over the tokens of a window."""

    value: Float64  # [F, 2]
    low: Float64  # [F, 2] at the lower limit of the group's share of windows
    high: Float64  # [F, 2] at the upper one
    small: Float64  # [F, 2] at the lower limit of the size of an alarm
    large: Float64  # [F, 2] at the upper one
    group: Int64  # [F] features that are charged at one share


def pooled_charges(
    window_moments: npt.ArrayLike, classes: npt.ArrayLike, sizes: npt.ArrayLike, confidence: float = 0.95
) -> Charges:
    """Steps 1 to 5, of all features of one dictionary and explainer: [F, W, 6], [F, W], [F, H].

    A feature without answered windows of R is charged as those of its group are. No feature: no charge.
    """
    moments, kinds = np.asarray(window_moments, dtype=np.float64), np.asarray(classes, dtype=np.int64)
    size = np.asarray(sizes, dtype=np.float64)
    weight, scale2 = window_weights(kinds, size), alarm_scales(moments, kinds, size)
    unit = np.where(scale2 > 0, scale2, 1.0)
    relative = np.stack([moments[..., 2] / np.sqrt(unit)[:, None], moments[..., 4] / unit[:, None]], axis=-1)
    rest, alarm = kinds == REST, (kinds >= 0) & (moments[..., 4] > 0) & (scale2 > 0)[:, None]
    alarms = alarm & rest
    group = pools(size, alarms.sum(axis=1), rest.sum(axis=1))
    elsewhere = alarm & (kinds > FIRING[-1]) & ~rest
    other = elsewhere if elsewhere.sum() >= ENOUGH else alarm & ~rest
    of_feature = (weight * other).sum(axis=1, keepdims=True)
    sizes_of = _size(relative[alarms], relative[other], (weight / np.where(of_feature > 0, of_feature, 1.0))[other])
    charge = np.zeros((5, len(moments), 2))
    for g in range(int(group.max(initial=-1)) + 1):
        mine = group == g
        charge[:, mine] = _charge(alarms[mine].sum(axis=1), rest[mine].sum(axis=1), *sizes_of, confidence)[:, None]
    charge *= np.where(scale2 > 0, np.stack([np.sqrt(unit), unit]), 0.0).T
    value, low, high, small, large = charge
    return Charges(value, low, high, small, large, group)


@dataclass(frozen=True)
class AlarmLimits:
    """By how much the scores of n features would fall and rise at the limits of their charges, and what these cost."""

    of_share: Float64  # [n, 2] down and up, at the limits of the share of windows: at least 0
    of_size: Float64  # [n, 2] at those of the size of an alarm
    cost: Float64  # [n] by how much the score would be higher without the charge
    group: Int64  # [n] features that are charged at one share: they fall and rise together

    def take(self, index: npt.ArrayLike) -> AlarmLimits:
        """Those at these places, or where the mask is true; -1: of a feature that is charged nothing."""
        at = np.asarray(index)
        at = np.flatnonzero(at) if at.dtype == np.bool_ else at.astype(np.int64)
        there = at >= 0
        empty = not len(self.cost)
        rows = np.where(there, at, 0)

        def of(values: Float64) -> Float64:
            taken = np.zeros((at.size, *values.shape[1:])) if empty else values[rows]
            return np.where(there.reshape(-1, *[1] * (values.ndim - 1)), taken, 0.0)

        group = np.zeros(at.size, np.int64) if empty else np.where(there, self.group[rows], 0)
        return AlarmLimits(of(self.of_share), of(self.of_size), of(self.cost), group)

    def of_mean(self) -> tuple[float, float]:
        """Down and up for the mean over them: groups are independent, so their parts add in squares; the size is common
        to all."""
        n = len(self.cost)
        if n == 0:
            return 0.0, 0.0
        limits = []
        for side in (0, 1):
            by_group = np.bincount(self.group, self.of_share[:, side]) / n
            limits.append(float(np.hypot(np.sqrt((by_group**2).sum()), self.of_size[:, side].mean())))
        return limits[0], limits[1]


def alarm_limits(totals: npt.ArrayLike, rest: npt.ArrayLike, charges: Charges) -> AlarmLimits:
    """From the weighted moments [n, 6] of whole features, charges in them, and how many windows of R each has, [n]."""
    sums, size = np.asarray(totals, dtype=np.float64), np.asarray(rest, dtype=np.float64)

    def score(charge: Float64) -> Float64:
        moved = sums.copy()
        moved[:, [2, 4]] += size[:, None] * (charge - charges.value)
        return np.where(pearson_status(moved) == "ok", pearson(moved), 0.0)

    now = score(charges.value)

    def sides(low: Float64, high: Float64) -> Float64:
        return np.maximum(np.stack([now - score(high), score(low) - now], axis=1), 0.0)

    of_share, of_size = sides(charges.low, charges.high), sides(charges.small, charges.large)
    return AlarmLimits(of_share, of_size, score(np.zeros_like(charges.value)) - now, charges.group)


def alarm_scales(moments: Float64, classes: Int64, sizes: Float64) -> Float64:
    """Step 1: s^2 of each feature, [F]; 0 where it does not fire."""
    n_firing = sizes[:, list(FIRING)].sum(axis=1)
    energy = (window_weights(classes, sizes) * moments[..., 3]).sum(axis=1)
    return np.asarray(energy / np.where(n_firing > 0, n_firing, 1.0), dtype=np.float64)


def pools(sizes: Float64, alarms: Int64, windows: Int64) -> Int64:
    """Step 2: groups of about equal numbers, by rising share of firing windows, and behind them those of one feature:
    [F, H], and of each feature the windows of R with an alarm, and all: [F], [F] -> [F]."""
    share = sizes[:, list(FIRING)].sum(axis=1) / np.maximum(sizes.sum(axis=1), 1.0)
    n = max(1, min(GROUPS, share.size // GROUP_OF))
    group = np.empty(share.size, dtype=np.int64)
    group[np.argsort(share, kind="stable")] = np.arange(share.size) * n // max(share.size, 1)
    alone = np.zeros(share.size, dtype=np.bool_)
    for g in range(n):
        alone[group == g] = charged_alone(alarms[group == g], windows[group == g])
    group[alone] = n + np.arange(alone.sum())
    return group


def _size(own: Float64, other: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """Step 4: mean relative alarm, and its relative error at 95 %, [2], [2]: `own` [n, 2] of R, `other` [m, 2] with
    weights [m]."""
    total = float(weight.sum())
    shares = np.concatenate([np.ones(len(own)), weight * (ELSEWHERE / total if total > 0 else 0.0)])
    if not shares.sum() > 0:
        return np.zeros(2), np.zeros(2)
    amounts = np.concatenate([own, other])
    mean = shares @ amounts / shares.sum()
    variance = shares @ (amounts - mean) ** 2 / shares.sum()
    error = NORMAL_95 * np.sqrt(variance / shares.sum())
    return mean, error / np.where(mean > 0, mean, 1.0)


def _charge(hits: Int64, n: Int64, size: Float64, error: Float64, confidence: float) -> Float64:
    """Steps 3 and 5 of one group: charge, and at the lower and the upper limit of the share and of the size, [5, 2].
    By feature: R windows with an alarm, and all of them."""
    n_all, hits_all = int(n.sum()), int(hits.sum())
    if n_all == 0:
        return np.zeros((5, 2))
    share, effect = hits_all / n_all, _design_effect(n, hits)
    low, high = _binomial_limits(hits_all / effect, n_all / effect, confidence)
    of_size = share * size * np.stack([np.maximum(1.0 - error, 0.0), 1.0 + error])
    return np.concatenate([np.array([share, low, high])[:, None] * size, of_size])


def _design_effect(n: Int64, hits: Int64) -> float:
    """By how much the variance of the share over features exceeds the binomial one; at least 1."""
    share, used = hits.sum() / n.sum(), int((n > 0).sum())
    if used < 2 or not 0 < share < 1:
        return 1.0
    over_features = used / (used - 1) * float(((hits - share * n) ** 2).sum()) / float(n.sum()) ** 2
    return float(max(1.0, over_features / (share * (1.0 - share) / float(n.sum()))))
