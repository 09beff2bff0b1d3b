"""The sections `[engine]` and `[budget]`: where a run runs, and what it may spend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autointerp.config.section import Section


class Budget(Section):
    """What may be spent. The embedded explainers and simulators cost nothing."""

    max_usd: float | None = Field(default=None, ge=0)


class Engine(Section):
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
