"""The sections `[subject]` and `[tokens]`: which model, which text, and how the text is cut."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autointerp.config.section import Section


class SubjectSection(Section):
    """The subject model: the language model under study."""

    model: str
    """A name on the Hugging Face hub, a local folder, or `bundled:subject`, the model that comes with the package."""
    revision: str | None = None
    """A branch, tag or commit of a hub model; default: the main branch."""
    processing: Literal["raw", "folded"] = "raw"
    """What the dictionaries were trained on: `raw`, the model as it is; `folded`, with layer norms folded into the
    weights and writing weights centred. Where a dictionary's files say, the other one is refused."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number type of the model's weights and products; float32 is never TF32. Dictionaries work in float32, whatever
    this is."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1` ...; or `map`: the package accelerate spreads the model over all GPUs, then the
    CPU, then the disk."""
    max_memory: dict[str, str] | None = None
    """For `device = "map"`: what may be used of each device, as `{ 0 = "20GiB", cpu = "60GiB" }`."""
    offload_folder: str | None = None
    """For `device = "map"`: the folder for weights that fit nowhere else."""
    rerandomise: bool | Annotated[int, Field(ge=0, lt=2**63)] = False
    """Draws each weight matrix again with its own mean and variance, so that the model has learned nothing: a baseline.
    `true` is seed 0; a number is the seed."""
    rerandomise_embeddings: bool = True
    """`false` keeps the embeddings and the unembedding as trained."""

    @property
    def rerandomise_seed(self) -> int | None:
        """The seed, or None: as trained."""
        return None if self.rerandomise is False else int(self.rerandomise) if self.rerandomise is not True else 0

    @model_validator(mode="after")
    def _fits(self) -> SubjectSection:
        mapped = self.device == "map"
        for key in ("max_memory", "offload_folder"):
            if getattr(self, key) is not None and not mapped:
                raise ValueError(f'{key} is for device = "map" (it is "{self.device}")')
        if mapped and self.rerandomise is not False:
            raise ValueError('rerandomise needs the whole model on one device; device = "map" spreads it')
        if mapped and self.processing == "folded":
            raise ValueError('processing = "folded" needs the whole model on one device; device = "map" spreads it')
        return self


class SplitsSection(Section):
    """Shares of the documents. The hash of its text decides which split a document belongs to."""

    explain: float = Field(default=0.5, gt=0, lt=1)
    """Documents that explainers may see."""
    select: float = Field(default=0.2, ge=0, lt=1)
    """Documents on which a judge chooses between drafts; 0 where no explainer writes drafts."""
    score: float = Field(default=0.3, gt=0, lt=1)
    """Documents that every score is computed on."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitsSection:
        total = self.explain + self.select + self.score
        if abs(total - 1) > 1e-9:
            raise ValueError(f"explain + select + score must be 1, not {total:g}")
        return self


class TokensSection(Section):
    """Where the text comes from, and how it is cut."""

    source: str
    """`bundled:corpus`, `python-stdlib`, `text:PATH`, `jsonl:PATH#FIELD`, `parquet:GLOB#FIELD`, `hf:OWNER/NAME#FIELD`
    or `npy:PATH` (token ids; each row is a document)."""
    subset: str | None = None
    """For `hf:`, the configuration of the data set."""
    hf_split: str = "train"
    """For `hf:`, the split of the data set that is read."""
    revision: str | None = None
    """For `hf:`, a branch, tag or commit; default: the main branch as it is now. The commit read is stored."""
    chat: Literal["all", "assistant", "user"] | None = None
    """For conversations, whose messages are scored; default: all. What the chat template adds is never scored."""
    context_length: int | None = Field(default=None, ge=2, le=65_535)
    """Tokens in a context; default: 128, or the width of the array for `npy:`."""
    n_tokens: int | None = Field(default=None, gt=0)
    """Tokens to read; default: all there is."""
    allow_fewer: bool = False
    """`true` goes on where the source holds fewer than `n_tokens`; otherwise that is an error."""
    prepend_bos: bool | None = None
    """Whether each context begins with the beginning-of-sequence token; default: true, or false for `npy:`."""
    window: int = Field(default=32, ge=4, le=255)
    """Tokens in a window, the unit in which scores are sampled."""
    splits: SplitsSection = SplitsSection()
    """Shares of the documents that are explained from, chosen on and scored on."""
