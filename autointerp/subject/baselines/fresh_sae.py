"""A dictionary before training as units: what its encoder reads, without the competition of a TopK."""

from __future__ import annotations

from autointerp.config.baseline_kinds import FACTS
from autointerp.subject.baselines.kind import KindRow, Lines, LinesWanted
from autointerp.subject.random_init import random_init_sae


def _encoder(wanted: LinesWanted) -> Lines:
    assert wanted.like is not None  # the run file names it
    fresh = random_init_sae(wanted.like, wanted.name, wanted.seed, wanted.copied)
    return Lines(wanted.n, fresh.W_enc.T[: wanted.n].contiguous(), None, fresh.config)


RANDOM_INIT_SAE = KindRow(FACTS["random_init_sae"], _encoder)
