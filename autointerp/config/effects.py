"""The section `[effects]`: on which features, and how often, it is measured what a feature does to the output."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from autointerp.config.features import FeatureChoice, FeatureSample
from autointerp.config.section import Section

Nats = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


class EffectsSection(Section):
    """What a feature does to the output, measured: it is taken away where it fires, and the model goes on without it.
    (What it does directly is computed for all features, and needs no settings.)"""

    features: FeatureChoice | Literal["none"] = FeatureSample(sample=8)
    """Features of each dictionary on which it is measured: `"all"`, `[0, 7]`, `"0:1000"`, `{ sample = 8 }`, or
    `"none"`."""
    positions: int = Field(default=4, ge=1, le=1024)
    """Firing tokens of a feature, drawn at random from each of the splits explain and score."""
    after: int = Field(default=16, ge=0, le=1024)
    """Positions behind the token at which the change is read too."""
    exemplars: int = Field(default=2, ge=1, le=1024)
    """Top exemplars of a feature in which it is taken away at every token, to see what that does to the tokens that
    follow."""
    context_exemplars: int = Field(default=1, ge=0, le=1024)
    """Of those, the ones whose earlier tokens are removed, masked and replaced, to see what the activation depends
    on."""
    context_before: int = Field(default=8, ge=1, le=1024)
    """How many tokens in front of the strongest one are tried."""

    sensitivity_positions: int = Field(default=1, ge=0, le=1024)
    """Firing tokens of a feature at which steps of many sizes are made along its direction and others; 0: none."""
    change_contexts: int = Field(default=32, ge=0, le=4096)
    """Contexts of each of the splits explain and score in which a feature is clamped at its maximum, to see which
    tokens become likelier; 0: none."""
    change_tokens: int = Field(default=4, ge=1, le=64)
    """Tokens in a row at which it is clamped there, and at which the change is read."""
    steer_kl: Nats | Annotated[list[Nats], Field(min_length=1, max_length=16)] = Field(default=[0.25, 0.5, 1.0])
    """For the scorer `intervention`: the nats by which each feature's direction moves the prediction. Of several the
    least is taken at which features are told apart as well as at any, on the split select, the same for all
    dictionaries of a run."""
    steered_texts: int = Field(default=4, ge=3, le=64)
    """For the scorer `intervention`: texts that the model writes with each feature's direction added."""
    steered_tokens: int = Field(default=20, ge=1, le=512)
    """Tokens of each."""
    output_factor: float = Field(default=10.0, ge=0, le=1e6, allow_inf_nan=False)
    """How many times its largest activation every feature is amplified by, behind the prompt, for its output score; 0:
    none."""
    output_prompt: str = Field(default="From my experience,", min_length=1)
    """The neutral prompt at whose last token it is amplified."""

    geometry_features: FeatureChoice | Literal["none"] = FeatureSample(sample=128)
    """Features of each dictionary whose directions are held against the others' and against neurons'; `"none"`: no
    geometry and no similarity of dictionaries. Matches in the other dictionaries are looked for of all features."""
    geometry_tokens: int = Field(default=8192, ge=256, le=65_536)
    """Tokens of the explain split on which dictionaries are held against each other, and their description lengths
    measured."""

    def of_ablation(self) -> dict[str, Any]:
        """The settings of the stage `ablate`."""
        return self.model_dump(mode="json", include={"features", "positions", "after"})

    def of_contexts(self) -> dict[str, Any]:
        """The settings of the stage `context_effects`."""
        return self.model_dump(mode="json", include={"features", "exemplars", "context_exemplars", "context_before"})

    def of_sensitivity(self) -> dict[str, Any]:
        """The settings of the stage `sensitivity`."""
        return self.model_dump(mode="json", include={"features", "sensitivity_positions"})

    def of_token_changes(self) -> dict[str, Any]:
        """The settings of the stage `token_changes`."""
        return self.model_dump(mode="json", include={"features", "change_contexts", "change_tokens"})

    def of_steered_texts(self) -> dict[str, Any]:
        """The settings of the stage `steered_texts`."""
        settings = self.model_dump(mode="json", include={"features", "steered_texts", "steered_tokens"})
        return settings | {"steer_kl": list(self.strengths)}

    def of_output_scores(self) -> dict[str, Any]:
        """The settings of the stage `output_scores`; it is of all features."""
        return self.model_dump(mode="json", include={"output_factor", "output_prompt"})

    def of_geometry(self) -> dict[str, Any]:
        """The settings of the stages `geometry` and `similarity`."""
        return self.model_dump(mode="json", include={"geometry_features", "geometry_tokens"})

    @property
    def strengths(self) -> tuple[float, ...]:
        """Those of `steer_kl`, rising."""
        return tuple(sorted(set(self.steer_kl))) if isinstance(self.steer_kl, list) else (self.steer_kl,)

    @property
    def clamps(self) -> bool:
        """Whether features are clamped."""
        return self.features != "none" and self.change_contexts > 0

    @property
    def scores_output(self) -> bool:
        """Whether features get an output score."""
        return self.features != "none" and self.output_factor > 0
