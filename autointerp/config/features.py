"""How a run file chooses features of a dictionary."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autointerp.config.section import Section


class FeatureSample(Section):
    """A sample of features, chosen by hash."""

    sample: int = Field(gt=0)
    """How many features; the same ones on every run with the same seed."""


FeatureChoice = (
    Literal["all"] | FeatureSample | list[Annotated[int, Field(ge=0)]] | Annotated[str, Field(pattern=r"^\d+:\d+$")]
)


FEATURE_CHOICES = 'give "all", numbers from 0 up [0, 7], a range "0:1000" or { sample = 500 }'
