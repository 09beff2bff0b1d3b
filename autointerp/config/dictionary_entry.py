"""One `[[dictionary]]` of a run file: a dictionary read from files, or a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from autointerp.config.baseline_kinds import FACTS, KindFacts, facts_of
from autointerp.config.features import FeatureChoice
from autointerp.config.own_code import OwnCode
from autointerp.config.section import Section
from autointerp.words import FORMATS, PLANTED, STATED_ACTIVATIONS, STUDIED

AUTO = "auto"
if TYPE_CHECKING:  # what is listed in a table cannot be a type for mypy
    FormatWord = str
    KindWord = str
    ActivationWord = str
else:
    FormatWord = Literal[(AUTO, *FORMATS)]
    KindWord = Literal[(AUTO, PLANTED, *FACTS)]
    ActivationWord = Literal[STATED_ACTIVATIONS]


def _not_a_word_of_ours(spec: OwnCode) -> OwnCode:
    """A store tells built-in code from the user's by what rows call it."""
    if spec.name in (AUTO, PLANTED, *STUDIED, *FORMATS, *FACTS):
        raise ValueError(f'code of your own cannot be named "{spec.name}"; give another name, or none')
    return spec


def _form(value: Any) -> str:
    return "Own" if isinstance(value, dict | OwnCode) else "Word"


Own = Annotated[OwnCode, AfterValidator(_not_a_word_of_ours), Tag("Own")]
FormatChoice = Annotated[Annotated[FormatWord, Tag("Word")] | Own, Discriminator(_form)]
KindChoice = Annotated[Annotated[KindWord, Tag("Word")] | Own, Discriminator(_form)]


class DictionaryEntry(Section):
    """One set of features: files (`path`), or a baseline (`kind`)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What its rows are called in the store: letters, digits, `.`, `_` and `-`."""
    path: str | None = None
    """A folder or file, `hf://OWNER/REPOSITORY/FOLDER@REVISION`, a release of SAELens as `sae-lens:RELEASE/ID`, or
    `bundled:NAME`."""
    format: FormatChoice = AUTO
    """The library whose files they are; `auto` tells it from the names of the files; or `{ python = "module:Class" }`,
    a reader of your own."""
    kind: KindChoice = AUTO
    """A baseline, which has no path; or `planted` for features that are known by construction. `auto`: what the files
    are. `{ python = "module:Class" }` is a kind of your own."""
    hook: str | None = None
    """Where it reads, as TransformerLens calls it: `blocks.8.hook_resid_pre`; default: what the files say, or the hook
    of `match`."""
    activation: ActivationWord | None = None
    """What the encoder's values go through, where the files do not say it: `"relu"`, or `"topk"` with `k`."""
    k: int | None = Field(default=None, gt=0)
    """How many features fire on a token, where the files do not say it."""
    features: FeatureChoice = "all"
    """Which features are extracted: `"all"`, `[0, 7]`, `"0:1000"` or `{ sample = 500 }`."""
    match: str | None = None
    """For a baseline, the dictionary that it is matched to: the same hook, and each unit fires as often as the feature
    that it is paired with."""
    match_at: float | None = Field(default=None, gt=0, lt=1)
    """For a matched baseline, what counts as firing where densities are matched: activations above this share of the
    largest one, of the feature and of the unit each; default: above 0."""
    like: str | None = None
    """For `random_init_sae`, the dictionary whose architecture it has."""
    natural: bool = False
    """For a matched baseline, adds the same units at their natural density as `NAME@natural`; they are shown and never
    compared."""
    n_features: int | None = Field(default=None, gt=0)
    """For a baseline, its size; default: as many as the dictionary that it is matched to."""

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
        if self.match is not None or self.match_at is not None:
            raise ValueError(f'dictionary "{self.name}" is read from files: only baselines are matched')

    def _check_baseline(self, facts: KindFacts) -> None:
        if self.path is not None:
            raise ValueError(f'dictionary "{self.name}" has both a path and kind = "{self.kind_name}"')
        if isinstance(self.format, OwnCode):
            raise ValueError(f'dictionary "{self.name}" is a baseline: a format is for a dictionary with a path')
        for name, value in (("activation", self.activation), ("k", self.k)):
            if value is not None:
                raise ValueError(f'dictionary "{self.name}" is a baseline: {name} is for a dictionary with a path')
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
        if self.match_at is not None and self.match is None:
            raise ValueError(f'dictionary "{self.name}": match_at is for a baseline with match = "a dictionary"')
        if not facts.copies and self.hook is None and self.match is None:
            raise ValueError(f'dictionary "{self.name}" (kind = "{self.kind_name}") needs a hook')
        if facts.needs_number and self.match is None and self.n_features is None:
            raise ValueError(f'dictionary "{self.name}" needs n_features, or match = "a dictionary"')

    @property
    def _only_copies(self) -> str:
        kinds = " or ".join(f'kind = "{facts.name}"' for facts in FACTS.values() if facts.copies)
        return f'dictionary "{self.name}": only {kinds} is like another'
