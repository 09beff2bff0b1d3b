"""The pipeline: what is missing is what is done.

    tokens -> activations -> evidence -> explanation -> prediction -> score -> comparison

    plan/      what a run consists of, and what of it is missing
    stages/    one file a stage: does what is missing, and marks it done
    asking/    questions to LLMs and to the user's own classes, and what is tested
    rows/      records to the columns of the store, and back
    dry_run/   what a run would do and cost

Each stage commits its rows and the mark that it is done in one transaction, under the hash of everything
that decides them. The same command again does what is not marked yet; a killed stage leaves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autointerp.words import STAGES

if TYPE_CHECKING:
    from autointerp.pipeline.run_stages import run

__all__ = ["STAGES", "run"]


def __getattr__(name: str) -> Any:
    if name != "run":
        raise AttributeError(f"module 'autointerp.pipeline' has no attribute {name!r}")
    from autointerp.pipeline.run_stages import run  # loads torch: not before it is needed

    return run
