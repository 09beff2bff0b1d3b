"""The sections `[subject]` and `[tokens]`: which model, which text, and how the text is cut."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autointerp.config.section import Section


class Subject(Section):
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


class Splits(Section):
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


class Tokens(Section):
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
