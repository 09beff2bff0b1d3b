"""The pipeline: what is missing is what is done.

    tokens -> activations -> evidence -> explanation -> simulation -> score -> comparison

Each stage commits its rows and the mark that it is done in one transaction, under the hash of everything
that decides them. The same command again does what is not marked yet; a killed stage leaves nothing.
"""

from __future__ import annotations

from autointerp.pipeline.run_stages import run
from autointerp.words import STAGES

__all__ = ["STAGES", "run"]
