"""Which features are measured by the stages of `[effects]`: the same in each; a matched baseline's are the partners of
its target's, so that pairs can be compared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autointerp.config.features import FeatureChoice
from autointerp.pipeline.plan.prepare import choose_scored
from autointerp.pipeline.stages.context import StageContext
from autointerp.records import Int64
from autointerp.store.evidence import dictionary_row

_PARTNERS = "SELECT feature, matched_feature FROM features WHERE dictionary = $dictionary ORDER BY feature"


def choose_measured(context: StageContext, names: Iterable[str]) -> dict[str, Int64]:
    """By dictionary, the features that `effects.features` chooses of those extracted; it is not `"none"`."""
    choice = context.config.effects.features
    assert choice != "none"
    return {name: _chosen_of(context, name, choice, "effects.features") for name in names}


def choose_placed(context: StageContext, names: Iterable[str]) -> dict[str, Int64]:
    """By dictionary, those that `effects.geometry_features` chooses; it is not `"none"`."""
    choice = context.config.effects.geometry_features
    assert choice != "none"
    return {name: _chosen_of(context, name, choice, "effects.geometry_features") for name in names}


def _chosen_of(context: StageContext, name: str, choice: FeatureChoice, key: str) -> Int64:
    config, facts = context.config, dictionary_row(context.store, name)
    if facts["matched_to"] is not None:
        theirs = set(_chosen_of(context, facts["matched_to"], choice, key).tolist())
        rows = context.store.rows(_PARTNERS, dictionary=name)
        return np.array([row["feature"] for row in rows if row["matched_feature"] in theirs], dtype=np.int64)
    extracted, n = context.prepared.features[name], facts["n_features"]
    return choose_scored(choice, extracted, n, config.seed, name, key)
