"""The sections `[[dictionary]]`: the sets of features, read from files or made as baselines."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autointerp.config.section import Section
from autointerp.words import RANDOM_KINDS

DictionaryKind = Literal[
    "auto", "planted", "neurons", "residual_basis", "pca", "ica",
    "random_isotropic", "random_covariance", "activation_difference", "random_init_sae",
]  # fmt: skip


class FeatureSample(Section):
    """A sample of features, chosen by hash."""

    sample: int = Field(gt=0)
    """How many features; the same ones on every run with the same seed."""


FeatureChoice = (
    Literal["all"] | FeatureSample | list[Annotated[int, Field(ge=0)]] | Annotated[str, Field(pattern=r"^\d+:\d+$")]
)


FEATURE_CHOICES = 'give "all", numbers from 0 up [0, 7], a range "0:1000" or { sample = 500 }'


class Dictionary(Section):
    """One set of features: files (`path`), or a baseline (`kind`)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What its rows are called in the store: letters, digits, `.`, `_` and `-`."""
    path: str | None = None
    """A folder or file, `hf://OWNER/REPOSITORY/FOLDER@REVISION`, a release of SAELens as `sae-lens:RELEASE/ID`, or
    `bundled:NAME`."""
    format: Literal["auto", "saelens", "dictionary_learning", "sparsify", "openai", "gemma_scope"] = "auto"
    """The library whose files they are; `auto` tells it from the names of the files."""
    kind: DictionaryKind = "auto"
    """A baseline, which has no path; or `planted` for features that are known by construction. `auto`: what the files
    are."""
    hook: str | None = None
    """Where it reads, as TransformerLens calls it: `blocks.8.hook_resid_pre`; default: what the files say, or the hook
    of `match`."""
    features: FeatureChoice = "all"
    """Which features are extracted: `"all"`, `[0, 7]`, `"0:1000"` or `{ sample = 500 }`."""
    match: str | None = None
    """For a baseline, the dictionary that it is matched to: the same hook, and each unit fires as often as the feature
    that it is paired with."""
    like: str | None = None
    """For `random_init_sae`, the dictionary whose architecture it has."""
    natural: bool = False
    """For a matched baseline, adds the same units at their natural density as `NAME@natural`; they are shown and never
    compared."""
    n_features: int | None = Field(default=None, gt=0)
    """For a baseline, its size; default: as many as the dictionary that it is matched to."""

    @model_validator(mode="after")
    def _path_or_kind(self) -> Dictionary:
        from_files = self.kind in ("auto", "planted")
        if from_files and self.path is None:
            raise ValueError(f'dictionary "{self.name}" needs a path, or a kind such as "neurons"')
        if not from_files and self.path is not None:
            raise ValueError(f'dictionary "{self.name}" has both a path and kind = "{self.kind}"')
        fresh = self.kind == "random_init_sae"
        if fresh and (self.like is None) == (self.match is None):
            raise ValueError(
                f'dictionary "{self.name}" needs like = "a dictionary" (its architecture, at its natural density) or '
                'match = "a dictionary" (its densities)'
            )
        if self.like is not None and not fresh:
            raise ValueError(f'dictionary "{self.name}": only kind = "random_init_sae" is like another')
        if self.like is not None and self.n_features is not None:
            raise ValueError(
                f'dictionary "{self.name}" has the width of "{self.like}": choose with features = ..., not n_features'
            )
        if self.natural and self.match is None:
            raise ValueError(f'dictionary "{self.name}": natural = true is for matched baselines; this one is natural')
        if not from_files and not fresh and self.hook is None and self.match is None:
            raise ValueError(f'dictionary "{self.name}" (kind = "{self.kind}") needs a hook')
        if from_files and self.match is not None:
            raise ValueError(f'dictionary "{self.name}" is read from files: only baselines are matched')
        if self.kind in RANDOM_KINDS and self.match is None and self.n_features is None:
            raise ValueError(f'dictionary "{self.name}" needs n_features, or match = "a dictionary"')
        return self
