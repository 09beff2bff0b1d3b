"""The section `[score]`: what is scored, by whom, and on which features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from autointerp.config.features import FeatureChoice, FeatureSample
from autointerp.config.llm_model import LLMModel
from autointerp.config.own_code import OwnCode
from autointerp.config.section import Section, refuse_twice
from autointerp.words import SCORERS, USUAL_SCORERS


class Judge(LLMModel):
    """The LLM that simulates and judges from explanations."""

    simulate: Literal["sparse", "dense", "digits", "echo", "decisions", "token"] = "sparse"
    """How it writes predicted activations: `sparse`, only the tokens that fire; `dense`, a number for every token;
    `digits`, a digit for every token; `echo`, read from the log probabilities of the prompt; `decisions`, through the
    Decisions API; `token`, one call for each token."""
    judgements: Literal["json", "decisions"] = "json"
    """How it answers yes or no: as one JSON object, or through the Decisions API."""
    logprobs: int = Field(default=0, ge=0, le=20)
    """Alternatives asked for at each token, where the model gives log probabilities; 0: none."""
    windows_per_call: int | None = Field(default=None, ge=1)
    """Windows in one simulation request at most; default: what suits `simulate`, all of a feature for `sparse`. Lower
    it for a model with a short context."""
    items_per_call: int | None = Field(default=None, ge=1)
    """Windows in one detection or fuzzing request; default: all of a feature."""
    context: int = Field(default=16, ge=0, le=64)
    """Tokens shown in front of a simulated window."""
    controls: int = Field(default=100, ge=0)
    """Features of each dictionary on which it judges the controls."""
    embedded: bool = False
    """Whether it judges the texts of `lexical` and of your own embedded explainers too; it always does where there are
    no others."""


def _form_of_scorer(entry: Any) -> str:
    return "Own" if isinstance(entry, dict | OwnCode) else "Built-in"


if TYPE_CHECKING:  # what is listed in a table cannot be a type for mypy
    ScorerWord = str
else:
    ScorerWord = Literal[SCORERS]
ScorerEntry = Annotated[
    Annotated[ScorerWord, Tag("Built-in")] | Annotated[OwnCode, Tag("Own")], Discriminator(_form_of_scorer)
]


class ScoreSection(Section):
    """What is scored. The census always runs over all features; the sample on `features`."""

    scorers: list[ScorerEntry] = Field(default=list(USUAL_SCORERS))
    """What is predicted from the explanation: activations, which windows fire, which marks are right, which tokens are
    promoted (`logits`: beside random ones, as published; `logits_hard`: beside ones that are hard to tell); or a class
    of your own as `{ python = "module:Class", name = "mine" }`, see `autointerp.Scorer`."""
    metrics: list[OwnCode] = Field(default=[])
    """Metrics of your own beside the built-in ones, as `{ python = "module:Class" }`, see `autointerp.OwnMetric`."""
    judge: Judge | None = None
    """The LLM that predicts; without one, only explainers with a lookup are scored."""
    features: FeatureChoice = FeatureSample(sample=500)
    """Features of each dictionary that are scored on a sample of windows: `"all"`, `[0, 7]`, `"0:1000"` or
    `{ sample = 500 }`. Where prediction is free, all features are scored on all tokens too."""
    threshold: float = Field(default=0.05, gt=0, lt=1)
    """What metrics named `..._thresholded` count as firing: activations above this share of the feature's largest one
    on the explain split. The others count every activation above 0."""
    margin: float = Field(default=0.02, gt=0, lt=1)
    """Two dictionaries are `equivalent` where the interval of their difference lies within plus and minus this."""

    bootstrap: int | None = Field(default=None, exclude=True)
    """Does nothing any more: intervals are computed and need no resamples. Run files that have it are read, and `run`
    says so once."""

    @field_validator("scorers", mode="before")
    @classmethod
    def _scorers(cls, scorers: Any) -> Any:
        if isinstance(scorers, list):
            refuse_twice(scorers)
        return scorers
