"""Which features are measured by the stages of `[effects]`: the same in each."""

from __future__ import annotations

from collections.abc import Mapping

from autointerp.config.run_file import RunConfig
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.prepare import choose_scored
from autointerp.records import Int64


def choose_measured(config: RunConfig, dictionaries: Mapping[str, Selected]) -> dict[str, Int64]:
    """By dictionary, the features that `effects.features` chooses of those extracted; it is not `"none"`."""
    choice = config.effects.features
    assert choice != "none"
    return {
        name: choose_scored(choice, of.features, of.dictionary.n_features, config.seed, name, "effects.features")
        for name, of in dictionaries.items()
    }
