"""The section `[explain]`: who writes explanations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from autointerp.config.llm_model import LLMModel
from autointerp.config.own_code import NAME, PYTHON
from autointerp.config.section import Section, refuse_twice
from autointerp.errors import nearest
from autointerp.words import (
    CONTEXT_LOOKUP,
    EMBEDDED,
    FROM_MEASURED,
    HUMAN,
    LEXICAL,
    LEXICAL_CONTROLS,
    NO_LABEL,
    PRESETS,
    RANKINGS,
)


class LLMExplainer(LLMModel):
    """An LLM that writes explanations: an entry `{ provider = ..., model = ... }` of `explainers`.

    With `best_of` or `revise` it writes several drafts of each, and the run's judge chooses between them on the select
    split: `pipeline/asking/drafts.py`.
    """

    preset: str = "default"
    """What it is asked for and what it is shown. Ours: `default` (a sentence and a lexicon of tokens with strengths),
    `sentence`, `lexicon`; published: `bills`, `bricken`, `delphi`."""
    prompt: str | None = None
    """The path of a prompt of your own, instead of the preset's words."""
    evidence: Literal["input", "output", "both", "measured", "all"] = "both"
    """What it is shown: `input`, text on which the feature fires; `output`, tokens that it promotes directly; `both` of
    these; `measured`, tokens that measurably rise where it is clamped; or `all` three. With the last two it explains
    the features of `effects.features` only."""
    best_of: int = Field(default=1, ge=1, le=64)
    """How many drafts it writes; the judge keeps the best on the select split."""
    revise: int = Field(default=0, ge=0, le=16)
    """How many times it revises, each time shown windows of the select split that the judge got wrong."""
    probe: int = Field(default=0, ge=0, le=4)
    """How many times it writes four texts on which the feature should fire and four on which it should not, sees what
    the feature does on them, and answers again. Needs no judge."""

    @property
    def sees_measured(self) -> bool:
        """Whether it is shown what was measured."""
        return self.evidence in ("measured", "all")

    @property
    def chooses(self) -> bool:
        """Whether a judge chooses between drafts."""
        return self.best_of > 1 or self.revise > 0

    @property
    def refines(self) -> bool:
        """Whether it writes several drafts."""
        return self.chooses or self.probe > 0

    @model_validator(mode="after")
    def _sees_what_it_revises(self) -> LLMExplainer:
        for key in ("revise", "probe"):
            if getattr(self, key) and self.evidence in ("output", "measured"):
                raise ValueError(
                    f'{key} = {getattr(self, key)} shows text, and evidence = "{self.evidence}" is to see none; give '
                    f'evidence = "both" or "input", or leave {key} out'
                )
        return self

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise ValueError(f'there is no preset "{preset}"{nearest(preset, PRESETS)}; there is {", ".join(PRESETS)}')
        return preset

    @property
    def name(self) -> str:
        """What its explanations are called: model/preset/evidence, with the user's own words the file's name; behind it
        how they are refined: /best3, /revise1, /best3+probe1+revise1."""
        words = self.preset if self.prompt is None else Path(self.prompt).stem
        refined = [f"best{self.best_of}"] * (self.best_of > 1)
        refined += [f"{key}{n}" for key, n in (("probe", self.probe), ("revise", self.revise)) if n]
        return "/".join([self.model, words, self.evidence, *(["+".join(refined)] if refined else [])])


class PythonExplainer(Section):
    """An explainer of your own: an entry `{ python = "module:Class" }` of `explainers`.

    Its protocol is `autointerp.Explainer`; with `embedded = true` it is `autointerp.EmbeddedExplainer`.
    """

    python: str = Field(pattern=PYTHON)
    """The class: `module:Class`."""
    given: str | None = Field(default=None, alias="name", pattern=NAME)
    """What its rows are called; default: `module:Class`."""
    embedded: bool = False
    """Whether it explains a whole dictionary from its tables and brings a lookup to simulate by, as `lexical` does."""

    @property
    def name(self) -> str:
        return self.given or self.python


class ImportedExplainer(Section):
    """Labels that were imported into the store: an entry `{ imported = "neuronpedia" }` of `explainers`.

    `autointerp import` writes them; the run judges them on its sample of features, as it does its own.
    """

    imported: str = Field(pattern=NAME)
    """What `autointerp import --explainer` called them; `neuronpedia` unless it was told otherwise."""

    @property
    def name(self) -> str:
        return self.imported


RESERVED = frozenset({*LEXICAL_CONTROLS, *RANKINGS, NO_LABEL, HUMAN, *EMBEDDED})
"""Names of explainers that are autointerp's own."""


def _form_of_explainer(entry: Any) -> str:
    if isinstance(entry, dict):
        return "Python" if "python" in entry else "Imported" if "imported" in entry else "LLM"
    if isinstance(entry, LLMExplainer | PythonExplainer | ImportedExplainer):
        return type(entry).__name__.removesuffix("Explainer")
    return "Human" if entry == HUMAN else "Embedded"


if TYPE_CHECKING:  # what is listed in a table cannot be a type for mypy
    EmbeddedWord = str
else:
    EmbeddedWord = Literal[EMBEDDED]
ExplainerEntry = Annotated[
    Annotated[EmbeddedWord, Tag("Embedded")]
    | Annotated[Literal["human"], Tag("Human")]
    | Annotated[LLMExplainer, Tag("LLM")]
    | Annotated[PythonExplainer, Tag("Python")]
    | Annotated[ImportedExplainer, Tag("Imported")],
    Discriminator(_form_of_explainer),
]


class ExplainSection(Section):
    """Which explainers write explanations."""

    explainers: list[ExplainerEntry] = Field(default=["lexical", "context_lookup", "token_lookup"], min_length=1)
    """`lexical` writes labels and needs no LLM. `lexical_input` says where a feature fires and nothing else,
    `lexical_direct` what it promotes directly, `lexical_measured` what measurably rises where it is clamped,
    `lexical_all` all of these; the last two label the features of `effects.features`. `context_lookup` and
    `token_lookup` are tables, ceilings and no labels; `context_lookup` comes with `lexical`, named or not. `human`
    stands for what people wrote with `autointerp label`; a table is an LLM, a Python class, or what `autointerp import`
    took in."""

    @field_validator("explainers")
    @classmethod
    def _ceiling_beside_lexical(cls, explainers: list[ExplainerEntry]) -> list[ExplainerEntry]:
        if LEXICAL not in explainers or CONTEXT_LOOKUP in explainers:
            return explainers
        after = explainers.index(LEXICAL) + 1
        return [*explainers[:after], CONTEXT_LOOKUP, *explainers[after:]]

    @model_validator(mode="after")
    def _different(self) -> ExplainSection:
        refuse_twice(self.names)
        for entry in self.explainers:
            if not isinstance(entry, str) and entry.name in RESERVED:
                raise ValueError(f'an explainer of your own cannot be named "{entry.name}"')
        return self

    @property
    def names(self) -> list[str]:
        """What each explainer's rows are called."""
        return [entry if isinstance(entry, str) else entry.name for entry in self.explainers]

    @property
    def embedded(self) -> list[str]:
        """Those that need no LLM and simulate by a lookup."""
        own = [entry.name for entry in self.own_embedded]
        return [entry for entry in self.explainers if isinstance(entry, str) and entry != HUMAN] + own

    @property
    def from_measured(self) -> list[str]:
        """Those that are shown what was measured, and label no other features."""
        asking = [entry.name for entry in self.explainers if isinstance(entry, LLMExplainer) and entry.sees_measured]
        return [entry for entry in self.explainers if isinstance(entry, str) and entry in FROM_MEASURED] + asking

    @property
    def own_embedded(self) -> list[PythonExplainer]:
        """Those of the embedded ones that are the user's own."""
        return [entry for entry in self.explainers if isinstance(entry, PythonExplainer) and entry.embedded]

    @property
    def human(self) -> bool:
        """Whether what people wrote with `autointerp label` is judged."""
        return HUMAN in self.explainers

    @property
    def imported(self) -> list[str]:
        """What `autointerp import` took in and is judged."""
        return [entry.name for entry in self.explainers if isinstance(entry, ImportedExplainer)]

    @property
    def kept(self) -> list[str]:
        """Explainers whose labels no run writes: people, and what was imported."""
        return [HUMAN] * self.human + self.imported

    @property
    def asking(self) -> list[LLMExplainer | PythonExplainer]:
        """The others: they are asked about each feature, and judged."""
        return [
            entry
            for entry in self.explainers
            if isinstance(entry, LLMExplainer) or (isinstance(entry, PythonExplainer) and not entry.embedded)
        ]
