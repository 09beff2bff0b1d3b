"""`autointerp check`: the self-check of every dictionary of a run file, before anything is spent or written."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from rich.text import Text

from autointerp.config.run_file import RunConfig
from autointerp.pipeline.plan.prepare import Prepared, prepare
from autointerp.subject.check import Probe, Report, check_dictionary, check_subject
from autointerp.subject.model import Subject
from autointerp.subject.opening import open_subject
from autointerp.subject.tokenise import open_tokens

CHECK_TOKENS = 12_000


def check_run(config: RunConfig, progress: Callable[[int], None]) -> list[Report]:
    """A report for every dictionary read from files; raises UserError where something does not even fit."""
    prepared = prepare(config)
    probe = make_probe(prepared)
    check_subject(prepared.subject, probe.tokens)
    reports = []
    for name, sae in prepared.files.items():
        reports.append(check_dictionary(name, sae, probe))
        progress(1)
    return reports


def make_probe(prepared: Prepared, n_tokens: int = CHECK_TOKENS) -> Probe:
    """The first tokens of the run's source, and the subject with its weights folded (or raw)."""
    wanted = prepared.config.subject

    @cache
    def other() -> Subject:
        processing = "raw" if wanted.processing == "folded" else "folded"
        return open_subject(prepared.config, processing)

    plan = replace(prepared.tokens, n_tokens=n_tokens, allow_fewer=True, shares=(1.0, 0.0, 0.0))
    with tempfile.TemporaryDirectory() as folder:
        subject = prepared.subject
        tokens = open_tokens(Path(folder), plan, subject.encode_texts, lambda _: None, subject.encode_chat)
        ids = torch.from_numpy(np.array(tokens.tokens, dtype=np.int64))
        scored = torch.from_numpy(tokens.scored(np.arange(tokens.n_contexts)))
    return Probe(prepared.subject, ids, scored, other)


def render_reports(reports: list[Report]) -> Table:
    """A line a dictionary; a cause below the ones that do not pass."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "dictionary", "hook"):
        table.add_column(name)
    for name in ("L0", "variance explained", "dead", "loss", "loss recovered"):
        table.add_column(name, justify="right")
    for report in reports:
        measured = report.measured
        table.add_row(
            Text("✓", "green") if report.ok else Text("✗", "red"),
            Text(report.dictionary),
            Text(report.hook),
            f"{measured.l0:,.1f}",
            "" if math.isnan(measured.variance_explained) else f"{measured.variance_explained:.3f}",
            f"{measured.dead_share:.1%}",
            f"{report.loss:.3f}",
            "" if report.loss_recovered is None else f"{report.loss_recovered:.3f}",
        )
    return table
