"""The sections `[engine]` and `[budget]`: where a run runs, and what it may spend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autointerp.config.section import Section


class BudgetSection(Section):
    """What may be spent. The embedded explainers and simulators cost nothing."""

    max_usd: float | None = Field(default=None, ge=0)
    """Dollars; a request that could pass them is not sent. Default: no limit."""


class EngineSection(Section):
    """Where and in what portions it runs. Nothing here changes a row."""

    kind: Literal["local", "ray"] = "local"
    """Who reads the corpus: this process, or `workers` processes over Ray, on this machine or on the cluster that
    RAY_ADDRESS names; all must see the folder of the store. The rest of a run stays with this process."""
    workers: int = Field(default=2, ge=1)
    """For `kind = "ray"`, the number of processes; each loads the subject model."""
    batch_size: int = Field(default=128, ge=1)
    """Contexts that are brought to the device at a time. The model still takes 8 of them in each forward pass: the last
    bits of an activation depend on the shape of its batch, and rows must not."""
    checkpoint_seconds: float = Field(default=300.0, ge=0)
    """Seconds between checkpoints, from which a killed run goes on; 0: none."""
    features_at_once: int = Field(default=65_536, ge=1)
    """Features whose evidence is held in memory, over all dictionaries. Where there are more, the firings of the others
    wait on disk, 8 bytes each; the model still runs once."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; default: as many as torch takes."""
