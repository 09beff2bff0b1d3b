"""One `[[dictionary]]` of a run file: a dictionary read from files, or a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from autointerp.config.baseline_kinds import FACTS, KindFacts, facts_of
from autointerp.config.features import FeatureChoice
from autointerp.config.own_code import OwnCode
from autointerp.errors import nearest
from autointerp.words import FORMATS, PLANTED, STUDIED

AUTO = "auto"


def _one_of(value: str, known: Sequence[str]) -> str:
    if value not in known:
        words = [f"'{word}'" for word in known]
        raise ValueError(f"Input should be {', '.join(words[:-1])} or {words[-1]}{nearest(value, known)}")
    return value


def _known_format(value: str) -> str:
    return _one_of(value, (AUTO, *FORMATS))


def _known_kind(value: str) -> str:
    return _one_of(value, (AUTO, PLANTED, *FACTS))


def _not_a_word_of_ours(spec: OwnCode) -> OwnCode:
    """A store tells built-in code from the user's by what rows call it."""
    if spec.name in (AUTO, PLANTED, *STUDIED, *FORMATS, *FACTS):
        raise ValueError(f'code of your own cannot be named "{spec.name}"; give another name, or none')
    return spec


def _form(value: Any) -> str:
    return "Own" if isinstance(value, dict | OwnCode) else "Word"


Own = Annotated[OwnCode, AfterValidator(_not_a_word_of_ours), Tag("Own")]
FormatChoice = Annotated[Annotated[str, AfterValidator(_known_format), Tag("Word")] | Own, Discriminator(_form)]
KindChoice = Annotated[Annotated[str, AfterValidator(_known_kind), Tag("Word")] | Own, Discriminator(_form)]


class DictionaryEntry(BaseModel):
    """One set of features: files (`path`), or a baseline (`kind`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    path: str | None = None
    format: FormatChoice = AUTO
    """auto: told by the files' names; or `{ python = "module:Class" }`, a reader of your own."""
    kind: KindChoice = AUTO
    """A baseline's kind; or `{ python = "module:Class" }`, a kind of your own."""
    hook: str | None = None
    features: FeatureChoice = "all"
    match: str | None = None
    like: str | None = None  # random_init_sae: the dictionary whose architecture it has
    natural: bool = False  # matched baselines: the same units at their natural density too, as NAME@natural
    n_features: int | None = Field(default=None, gt=0)

    @property
    def kind_name(self) -> str:
        """The kind, as messages name it."""
        return self.kind if isinstance(self.kind, str) else self.kind.known_as

    @model_validator(mode="after")
    def _path_or_kind(self) -> DictionaryEntry:
        facts = facts_of(self.kind)
        if facts is None:
            self._check_files()
        else:
            self._check_baseline(facts)
        return self

    def _check_files(self) -> None:
        if self.path is None:
            raise ValueError(f'dictionary "{self.name}" needs a path, or a kind such as "neurons"')
        if self.like is not None:
            raise ValueError(self._only_copies)
        if self.natural and self.match is None:
            raise ValueError(f'dictionary "{self.name}": natural = true is for matched baselines; this one is natural')
        if self.match is not None:
            raise ValueError(f'dictionary "{self.name}" is read from files: only baselines are matched')

    def _check_baseline(self, facts: KindFacts) -> None:
        if self.path is not None:
            raise ValueError(f'dictionary "{self.name}" has both a path and kind = "{self.kind_name}"')
        if isinstance(self.format, OwnCode):
            raise ValueError(f'dictionary "{self.name}" is a baseline: a format is for a dictionary with a path')
        if facts.copies and (self.like is None) == (self.match is None):
            raise ValueError(
                f'dictionary "{self.name}" needs like = "a dictionary" (its architecture, at its natural density) or '
                'match = "a dictionary" (its densities)'
            )
        if self.like is not None and not facts.copies:
            raise ValueError(self._only_copies)
        if self.like is not None and self.n_features is not None:
            raise ValueError(
                f'dictionary "{self.name}" has the width of "{self.like}": choose with features = ..., not n_features'
            )
        if self.natural and self.match is None:
            raise ValueError(f'dictionary "{self.name}": natural = true is for matched baselines; this one is natural')
        if not facts.copies and self.hook is None and self.match is None:
            raise ValueError(f'dictionary "{self.name}" (kind = "{self.kind_name}") needs a hook')
        if facts.needs_number and self.match is None and self.n_features is None:
            raise ValueError(f'dictionary "{self.name}" needs n_features, or match = "a dictionary"')

    @property
    def _only_copies(self) -> str:
        kinds = " or ".join(f'kind = "{facts.name}"' for facts in FACTS.values() if facts.copies)
        return f'dictionary "{self.name}": only {kinds} is like another'
