"""How a run file chooses features of a dictionary."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class FeatureSample(BaseModel):
    """A hash sample of features."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: int = Field(gt=0)


FeatureChoice = (
    Literal["all"] | FeatureSample | list[Annotated[int, Field(ge=0)]] | Annotated[str, Field(pattern=r"^\d+:\d+$")]
)


FEATURE_CHOICES = 'give "all", numbers from 0 up [0, 7], a range "0:1000" or { sample = 500 }'
