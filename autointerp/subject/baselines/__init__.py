"""Baselines: neurons, components and random directions, made as much like the dictionary beside them as can be.

A baseline unit is `relu(s (x.d - mu) - theta)`:

1. A hash sample of the explain split's contexts (pass 0) gives activations at the hook: sample.py. Tokens of enormous
   norm (`subject/outliers.py`) are left out of all fits but the count of what a unit is matched to, and fire no unit;
   with `evidence.exclude_outliers = false` they are tokens like all others.
2. Directions. Each kind makes its own, in a module with a row, `KindRow`, that registry.py lists: coordinates.py,
   components.py, random_directions.py, fresh_sae.py; own.py for the user's own.
3. mu is the mean of x.d; s the sign of its skewness: fit.py.
4. theta is put where the unit fires as often, on the same sample, as the feature it is paired with: matching.py.
   Pairs are drawn by hash without replacement; where units run out they are used again, and counted.
   A feature with too few firings leaves its unit unmatched: it never fires, and stays in denominators.

Unmatched kinds (no `match`) stand at their natural density: theta 0; neurons in both signs, as features
i and i + d, and not centred; directions centred, by the larger skewness (at none: positive). Components past the rank
never fire. `NAME@natural` has the units of the matched baseline NAME, feature by feature, at theta 0: twins.py.
"""

from __future__ import annotations

from autointerp.subject.baselines.counting import n_baseline_features
from autointerp.subject.baselines.fit import threshold_for
from autointerp.subject.baselines.making import make_units
from autointerp.subject.baselines.matching import Target, count_firings, match_order
from autointerp.subject.baselines.own import BaselineKind
from autointerp.subject.baselines.random_directions import FAMILIES, Draw, directions
from autointerp.subject.baselines.sample import (
    COVARIANCE_TOKENS,
    ActivationSample,
    array_on_disk,
    sample_contexts,
    take_sample,
)
from autointerp.subject.baselines.twins import base_name, natural_name, natural_twin

__all__ = [
    "COVARIANCE_TOKENS",
    "FAMILIES",
    "ActivationSample",
    "BaselineKind",
    "Draw",
    "Target",
    "array_on_disk",
    "base_name",
    "count_firings",
    "directions",
    "make_units",
    "match_order",
    "n_baseline_features",
    "natural_name",
    "natural_twin",
    "sample_contexts",
    "take_sample",
    "threshold_for",
]
