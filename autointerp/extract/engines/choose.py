"""Which engine does pass 1: what the run file asks for."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.config.run_file import RunConfig
from autointerp.extract.engines.job import Job, PassOneEngine
from autointerp.extract.engines.local import LocalEngine
from autointerp.progress import Reporter
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile


def make_engine(
    job: Job, subject: Subject, tokens: TokenFile, config: RunConfig, work_keys: Sequence[str], report: Reporter
) -> PassOneEngine:
    """The engine that the run file asks for."""
    if config.engine.kind == "ray":
        from autointerp.extract.engines.ray import RayEngine

        return RayEngine(job, subject, config, tokens, work_keys, report)
    return LocalEngine(job, subject, tokens, config.engine, work_keys, report)
