"""The run file: TOML in, a frozen, fully defaulted configuration out.

An unknown key is an error that names the nearest known one; every message is one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.features import FeatureChoice, FeatureSample
from autointerp.config.llm_model import LLMModel
from autointerp.config.own_code import NAME, PYTHON
from autointerp.errors import nearest
from autointerp.words import EMBEDDED, HUMAN, LATER_SCORERS, PRESETS, SCORERS


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _refuse_later(what: str, value: Any, later: Sequence[str], there: Sequence[str]) -> None:
    if value in later:
        raise ValueError(f'{what} "{value}" is not in this version; there is {", ".join(there)}')


class Subject(_Section):
    """The subject model."""

    model: str
    revision: str | None = None
    processing: Literal["raw", "folded"] = "raw"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the subject's weights and products; float32 is never TF32. Activations are handed on as float32, and
    dictionaries work in float32, whatever this is."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ...; or "map": spread over all GPUs (then CPU and disk) by accelerate."""
    max_memory: dict[str, str] | None = None
    """device = "map": what may be used of each device, as { 0 = "20GiB", cpu = "60GiB" }."""
    offload_folder: str | None = None
    """device = "map": where weights go that fit nowhere else."""
    rerandomise: bool | Annotated[int, Field(ge=0, lt=2**63)] = False
    """Each weight matrix drawn again with its own mean and variance; true: seed 0."""
    rerandomise_embeddings: bool = True
    """False: the embeddings and the unembedding are kept as trained."""

    @property
    def rerandomise_seed(self) -> int | None:
        """The seed, or None: as trained."""
        return None if self.rerandomise is False else int(self.rerandomise) if self.rerandomise is not True else 0

    @model_validator(mode="after")
    def _fits(self) -> Subject:
        mapped = self.device == "map"
        for key in ("max_memory", "offload_folder"):
            if getattr(self, key) is not None and not mapped:
                raise ValueError(f'{key} is for device = "map" (it is "{self.device}")')
        if mapped and self.rerandomise is not False:
            raise ValueError('rerandomise needs the whole model on one device; device = "map" spreads it')
        if mapped and self.processing == "folded":
            raise ValueError('processing = "folded" needs the whole model on one device; device = "map" spreads it')
        return self


class Splits(_Section):
    """Shares of the documents, by document hash."""

    explain: float = Field(default=0.5, gt=0, lt=1)
    select: float = Field(default=0.2, ge=0, lt=1)
    score: float = Field(default=0.3, gt=0, lt=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Splits:
        total = self.explain + self.select + self.score
        if abs(total - 1) > 1e-9:
            raise ValueError(f"explain + select + score must be 1, not {total:g}")
        return self


class Tokens(_Section):
    """Where the text comes from, and how it is cut."""

    source: str
    subset: str | None = None  # hf: one of the data set's configurations
    hf_split: str = "train"
    revision: str | None = None  # hf: a branch, tag or commit; default: the main branch as it is now
    chat: Literal["all", "assistant", "user"] | None = None  # whose messages are scored; default: all
    context_length: int | None = Field(default=None, ge=2, le=65_535)  # default 128; npy: the array's width
    n_tokens: int | None = Field(default=None, gt=0)  # default: all there is
    allow_fewer: bool = False
    prepend_bos: bool | None = None  # default: true; npy: false, the rows as they are
    window: int = Field(default=32, ge=4, le=255)
    splits: Splits = Splits()


def _refuse_twice(names: list[Any]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is there twice')


class Quantiles(_Section):
    """Strata by quantile of the positive activations."""

    n: int = Field(default=10, ge=0, le=100)
    each: int = Field(default=4, ge=0, le=100)


class Intervals(_Section):
    """Strata by equal-width interval of activation / maximum."""

    n: int = Field(default=12, ge=0, le=100)
    each: int = Field(default=2, ge=0, le=100)


class Evidence(_Section):
    """How many exemplars of the explain split are kept for each feature."""

    top: int = Field(default=20, ge=1, le=1000)
    quantiles: Quantiles = Quantiles()
    intervals: Intervals = Intervals()
    random: int = Field(default=20, ge=0, le=1000)
    near_miss: int = Field(default=10, ge=0, le=1000)
    left: int | None = Field(default=None, ge=0)
    """Tokens before its peak that an exemplar shows, of `tokens.window` in all; default: 23 of 32."""
    select_windows: int = Field(default=64, ge=8, le=4096)  # firing windows kept on the select split
    score_windows: int = Field(default=256, ge=8, le=4096)  # firing windows kept on the score split

    def left_of(self, window: int) -> int:
        """Tokens before the peak: three quarters of the window, peak included, if the run file does not say."""
        return max(0, 3 * window // 4 - 1) if self.left is None else self.left


class LLMExplainer(LLMModel):
    """An LLM that writes explanations: `{ provider, model, preset, evidence }`.

    With `best_of` or `revise` it writes several drafts of each, and the run's judge chooses between them on the select
    split: `pipeline/asking/drafts.py`.
    """

    preset: str = "default"
    prompt: str | None = None  # the user's own template instead of the preset's words
    evidence: Literal["input", "output", "both"] = "both"
    best_of: int = Field(default=1, ge=1, le=64)  # drafts, of which the best on the select split is kept
    revise: int = Field(default=0, ge=0, le=16)  # rounds of revision with counterexamples of the select split

    @property
    def refines(self) -> bool:
        """Whether a judge chooses between drafts."""
        return self.best_of > 1 or self.revise > 0

    @model_validator(mode="after")
    def _sees_what_it_revises(self) -> LLMExplainer:
        if self.revise and self.evidence == "output":
            raise ValueError(
                f'revise = {self.revise} shows windows of text, and evidence = "output" is to see none; give '
                'evidence = "both" or "input", or leave revise out'
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
        how they are refined: /best3, /revise1, /best3+revise1."""
        words = self.preset if self.prompt is None else Path(self.prompt).stem
        refined = [f"best{self.best_of}"] * (self.best_of > 1) + [f"revise{self.revise}"] * (self.revise > 0)
        return "/".join([self.model, words, self.evidence, *(["+".join(refined)] if refined else [])])


class PythonExplainer(_Section):
    """The user's own explainer: `{ python = "module:Class" }`, see `explain.evidence.Explainer`."""

    python: str = Field(pattern=PYTHON)
    given: str | None = Field(default=None, alias="name", pattern=NAME)

    @property
    def name(self) -> str:
        return self.given or self.python


def _form_of_explainer(entry: Any) -> str:
    if isinstance(entry, dict):
        return "Python" if "python" in entry else "LLM"
    if isinstance(entry, LLMExplainer | PythonExplainer):
        return type(entry).__name__.removesuffix("Explainer")
    return "Human" if entry == HUMAN else "Embedded"


ExplainerEntry = Annotated[
    Annotated[Literal["lexical", "token_lookup"], Tag("Embedded")]
    | Annotated[Literal["human"], Tag("Human")]
    | Annotated[LLMExplainer, Tag("LLM")]
    | Annotated[PythonExplainer, Tag("Python")],
    Discriminator(_form_of_explainer),
]


class Explain(_Section):
    """Which explainers write explanations."""

    explainers: list[ExplainerEntry] = Field(default=["lexical", "token_lookup"], min_length=1)

    @model_validator(mode="after")
    def _different(self) -> Explain:
        _refuse_twice(self.names)
        reserved = {"shuffled", "constant", "generic", "completion", "human", *EMBEDDED}
        for entry in self.explainers:
            if not isinstance(entry, str) and entry.name in reserved:
                raise ValueError(f'an explainer of your own cannot be named "{entry.name}"')
        return self

    @property
    def names(self) -> list[str]:
        """What each explainer's rows are called."""
        return [entry if isinstance(entry, str) else entry.name for entry in self.explainers]

    @property
    def embedded(self) -> list[str]:
        """Those that need no LLM and simulate by a lookup."""
        return [entry for entry in self.explainers if isinstance(entry, str) and entry != HUMAN]

    @property
    def human(self) -> bool:
        """Whether what people wrote with `autointerp label` is judged."""
        return HUMAN in self.explainers

    @property
    def asking(self) -> list[LLMExplainer | PythonExplainer]:
        """The others."""
        return [entry for entry in self.explainers if not isinstance(entry, str)]


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


class ScoreStage(_Section):
    """What is scored. The census always runs over all features; the sample on `features`."""

    scorers: list[Literal["simulation", "detection", "fuzzing", "logits"]] = [
        "simulation",
        "detection",
        "fuzzing",
        "logits",
    ]
    judge: Judge | None = None
    features: FeatureChoice = FeatureSample(sample=500)
    bootstrap: int = Field(default=1000, ge=100, le=100_000)
    margin: float = Field(default=0.02, gt=0, lt=1)

    @field_validator("scorers", mode="before")
    @classmethod
    def _scorers(cls, scorers: Any) -> Any:
        if isinstance(scorers, list):
            for scorer in scorers:
                _refuse_later("scorer", scorer, LATER_SCORERS, SCORERS)
            _refuse_twice(scorers)
        return scorers


class Budget(_Section):
    """What may be spent. The embedded explainers and simulators cost nothing."""

    max_usd: float | None = Field(default=None, ge=0)


class Engine(_Section):
    """Where and in what portions it runs. Nothing here changes a row."""

    kind: Literal["local", "ray"] = "local"
    """Who does pass 1: this process, or `workers` processes over Ray (`pip install "autointerp[ray]"`), on this machine
    or on the cluster that RAY_ADDRESS names; all must see the folder of the store. The rest of a run, pass 2 among it,
    stays with this process."""
    workers: int = Field(default=2, ge=1)
    """Processes of engine "ray"; each loads the subject and does whole shards of contexts."""
    batch_size: int = Field(default=128, ge=1)
    """Contexts that passes 1 and 2 read and bring to the device at a time, in whole forward passes. Such a pass always
    takes 8 contexts (`subject/activations.py`): the last bits of an activation depend on the shape of its batch,
    and rows must not."""
    checkpoint_seconds: float = Field(default=300.0, ge=0)
    """Seconds between checkpoints of pass 1, which a killed run goes on from; 0: none."""
    features_at_once: int = Field(default=65_536, ge=1)
    """Features whose evidence is held in memory, over all dictionaries. Where there are more, pass 1 writes the events
    of the others to files beside the tokens, 8 bytes each, and takes them up in turn; the model runs once."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; default: as many as torch takes."""


class RunConfig(_Section):
    """A whole run file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    store: str | None = None
    subject: Subject
    tokens: Tokens
    dictionary: list[DictionaryEntry] = Field(min_length=1)
    evidence: Evidence = Evidence()
    explain: Explain = Explain()
    score: ScoreStage = ScoreStage()
    budget: Budget = Budget()
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _labels_need_a_judge(self) -> RunConfig:
        if self.explain.human and self.score.judge is None:
            raise ValueError('explainer "human" needs a judge: a person\'s label has no lookup; give score.judge')
        if self.explain.explainers == [HUMAN]:
            raise ValueError('explainer "human" stands beside others; add "lexical"')
        return self

    @model_validator(mode="after")
    def _drafts_need_a_judge(self) -> RunConfig:
        for entry in self.explain.asking:
            if not isinstance(entry, LLMExplainer) or not entry.refines:
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
