"""How a run file chooses features of a dictionary."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from autointerp.config.section import Section


class FeatureSample(Section):
    """A sample of features, chosen by hash."""

    sample: int = Field(gt=0)
    """How many features; the same ones on every run with the same seed."""
    strata: bool = False
    """Of `[score]` only: drawn by strata of density and token entropy, so that rare ones are among them; `autointerp
    whole STORE` weighs them back to the whole dictionary. Else all features are as likely."""

    @model_serializer(mode="wrap")
    def _as_before(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not set: the identity of a plain sample is that of stores that are there."""
        return {key: value for key, value in serialise(self).items() if key != "strata" or value}


FeatureChoice = (
    Literal["all"] | FeatureSample | list[Annotated[int, Field(ge=0)]] | Annotated[str, Field(pattern=r"^\d+:\d+$")]
)


FEATURE_CHOICES = 'give "all", numbers from 0 up [0, 7], a range "0:1000" or { sample = 500 }'
