"""The section `[effects]`: on which features, and how often, it is measured what a feature does to the output."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autointerp.config.features import FeatureChoice, FeatureSample
from autointerp.config.section import Section


class EffectsSection(Section):
    """What a feature does to the output, measured: it is taken away where it fires, and the model goes on without it.
    (What it does directly is computed for all features, and needs no settings.)"""

    features: FeatureChoice | Literal["none"] = FeatureSample(sample=16)
    """Features of each dictionary on which it is measured: `"all"`, `[0, 7]`, `"0:1000"`, `{ sample = 16 }`, or
    `"none"`."""
    positions: int = Field(default=8, ge=1, le=1024)
    """Firing tokens of a feature, drawn at random from each of the splits explain and score."""
    after: int = Field(default=16, ge=0, le=1024)
    """Positions behind the token at which the change is read too."""
