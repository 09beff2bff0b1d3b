"""The run file: TOML in, a frozen, fully defaulted configuration out.

An unknown key is an error that names the nearest known one; every message is one line. The sections stand in the
modules beside this one.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.effects import EffectsSection
from autointerp.config.engine import BudgetSection, EngineSection
from autointerp.config.evidence import EvidenceSection
from autointerp.config.explainers import ExplainSection, LLMExplainer
from autointerp.config.judging import ScoreSection
from autointerp.config.section import Section
from autointerp.config.subject_tokens import SubjectSection, TokensSection
from autointerp.errors import nearest
from autointerp.words import HUMAN, OF_MEASURED


class RunConfig(Section):
    """The keys that stand in no section, and the sections."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the run is called: letters, digits, `.`, `_` and `-`."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of every random choice."""
    store: str | None = None
    """Where the store lies; default: `NAME.duckdb` in the working directory."""
    subject: SubjectSection
    """The model under study."""
    tokens: TokensSection
    """The text that it reads."""
    dictionary: list[DictionaryEntry] = Field(min_length=1)
    """The sets of features, one `[[dictionary]]` each; at least one."""
    evidence: EvidenceSection = EvidenceSection()
    """What is kept of the text for each feature."""
    effects: EffectsSection = EffectsSection()
    """On which features it is measured what they do to the output."""
    explain: ExplainSection = ExplainSection()
    """Who writes explanations."""
    score: ScoreSection = ScoreSection()
    """How explanations are scored."""
    budget: BudgetSection = BudgetSection()
    """What may be spent."""
    engine: EngineSection = EngineSection()
    """Where and in what portions it runs."""

    @model_validator(mode="after")
    def _labels_need_a_judge(self) -> RunConfig:
        kept = self.explain.kept
        if kept and self.score.judge is None:
            whose = "a person's label" if kept[0] == HUMAN else "an imported label"
            raise ValueError(f'explainer "{kept[0]}" needs a judge: {whose} has no lookup; give score.judge')
        if len(kept) == len(self.explain.explainers):
            raise ValueError(f'explainer "{kept[0]}" stands beside others; add "lexical"')
        return self

    @model_validator(mode="after")
    def _measured_evidence_is_measured(self) -> RunConfig:
        if self.explain.from_measured and not self.effects.clamps:
            raise ValueError(
                f'explainer "{self.explain.from_measured[0]}" is shown what rises where a feature is clamped, and none '
                "is: give effects.features and effects.change_contexts above 0, or leave the explainer out"
            )
        asked = [entry for entry in self.score.scorers if entry in OF_MEASURED]
        if asked and not self.effects.clamps:
            raise ValueError(
                f'scorer "{asked[0]}" asks what features do where they are clamped or steered, and none is: give '
                "effects.features and effects.change_contexts above 0, or leave the scorer out"
            )
        return self

    @model_validator(mode="after")
    def _drafts_need_a_judge(self) -> RunConfig:
        for entry in self.explain.asking:
            if not isinstance(entry, LLMExplainer) or not entry.chooses:
                continue
            wish = f"best_of = {entry.best_of}" if entry.best_of > 1 else f"revise = {entry.revise}"
            if self.score.judge is None:
                raise ValueError(
                    f'explainer "{entry.name}": with {wish} a judge chooses between drafts, and there is none; give '
                    "score.judge = { provider = ..., model = ... }, or leave best_of and revise out"
                )
            if self.tokens.splits.select == 0:
                raise ValueError(
                    f'explainer "{entry.name}": with {wish} drafts are tried on the select split, and '
                    "tokens.splits.select is 0; give it a share, 0.2 by default"
                )
        return self

    @model_validator(mode="after")
    def _names(self) -> RunConfig:
        names = [dictionary.name for dictionary in self.dictionary]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'two dictionaries are named "{name}"')
        by_name = {dictionary.name: dictionary for dictionary in self.dictionary}
        for dictionary in self.dictionary:
            for key in ("match", "like"):
                other = getattr(dictionary, key)
                if other is None:
                    continue
                if other not in by_name:
                    raise ValueError(
                        f'dictionary "{dictionary.name}": {key} = "{other}" names no dictionary'
                        + nearest(other, [name for name in names if name != dictionary.name])
                    )
                if by_name[other].path is None:
                    raise ValueError(f'dictionary "{dictionary.name}": {key} = "{other}" is itself a baseline')
        return self

    @property
    def store_path(self) -> Path:
        """Where the store lies: `store`, or NAME.duckdb in the working directory."""
        return Path(self.store or f"{self.name}.duckdb")
