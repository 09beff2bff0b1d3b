"""The section `[score]`: what is scored, by whom, and on which features."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from autointerp.config.dictionary import FeatureChoice, FeatureSample
from autointerp.config.llm_model import LLMModel
from autointerp.config.section import Section, refuse_later, refuse_twice
from autointerp.words import LATER_SCORERS, SCORERS


class Judge(LLMModel):
    """The LLM that simulates and judges from explanations."""

    simulate: Literal["sparse", "dense", "digits", "echo", "decisions", "token"] = "sparse"
    judgements: Literal["json", "decisions"] = "json"
    logprobs: int = Field(default=0, ge=0, le=20)  # alternatives at each token, where the model gives them
    windows_per_call: int | None = Field(default=None, ge=1)
    items_per_call: int | None = Field(default=None, ge=1)  # 1: every item by itself; default: all of a feature
    context: int = Field(default=16, ge=0, le=64)  # tokens shown in front of a simulated window
    controls: int = Field(default=100, ge=0)  # features a dictionary on which the controls are judged
    embedded: bool = False  # judge the embedded explainers' texts too; always where there are no others


class ScoreStage(Section):
    """What is scored. The census always runs over all features; the sample on `features`."""

    scorers: list[Literal["simulation", "detection", "fuzzing", "logits"]] = Field(
        default=["simulation", "detection", "fuzzing", "logits"]
    )
    judge: Judge | None = None
    features: FeatureChoice = FeatureSample(sample=500)
    bootstrap: int = Field(default=1000, ge=100, le=100_000)
    margin: float = Field(default=0.02, gt=0, lt=1)

    @field_validator("scorers", mode="before")
    @classmethod
    def _scorers(cls, scorers: Any) -> Any:
        if isinstance(scorers, list):
            for scorer in scorers:
                refuse_later("scorer", scorer, LATER_SCORERS, SCORERS)
            refuse_twice(scorers)
        return scorers
