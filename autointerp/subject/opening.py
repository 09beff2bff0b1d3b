"""The subject of a run, as every process that runs it loads it."""

from __future__ import annotations

from autointerp.config.run_file import RunConfig
from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject


def open_subject(config: RunConfig, processing: str | None = None) -> Subject:
    """The subject of a run, as every process that runs it loads it; or the same with another processing."""
    wanted = config.subject
    return load_subject(
        wanted.model,
        wanted.revision,
        processing or wanted.processing,
        wanted.dtype,
        wanted.device,
        max_memory=wanted.max_memory,
        offload_folder=wanted.offload_folder,
        rerandomised=wanted.rerandomise_seed,
        rerandomise_embeddings=wanted.rerandomise_embeddings,
    )
