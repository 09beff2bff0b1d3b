"""Drafts of explanations as rows of `drafts`."""

from __future__ import annotations

import numpy as np

from autointerp.config.judging import Judge
from autointerp.pipeline.asking.drafts import Refined
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.store.writer import Transaction


def write_refined(
    transaction: Transaction, dictionary: str, explainer: str, judge: Judge | None, made: Refined, again: int = 0
) -> int:
    """Rows of `drafts` and `probes`, and of `failures` where a draft could not be tried."""
    tried = made.tried
    n = transaction.append(
        "drafts",
        {
            "dictionary": dictionary,
            "feature": [draft.feature for draft in tried],
            "explainer": explainer,
            "draft": [draft.number for draft in tried],
            "round": [draft.round for draft in tried],
            "revised": [draft.revised for draft in tried],
            "chosen": [(draft.feature, draft.number) in made.chosen for draft in tried],
            "text": [None if draft.draft is None else draft.draft.text for draft in tried],
            "promotes": [None if draft.draft is None else draft.draft.promotes or None for draft in tried],
            "triggers": [None if draft.draft is None else list(draft.draft.triggers) for draft in tried],
            "status": [draft.status for draft in tried],
            "reason": [draft.reason for draft in tried],
            "select_score": [draft.score for draft in tried],
            "select_status": [draft.score_status for draft in tried],
            "n_select": [draft.n_items for draft in tried],
            "select_contexts": [np.unique(draft.items).tolist() for draft in tried],
            "shown_contexts": [np.unique(draft.shown).tolist() for draft in tried],
            "prompt": [draft.prompt for draft in tried],
            "request": [draft.request for draft in tried],
            "sample": [draft.sample for draft in tried],
            "model": [draft.model or None for draft in tried],
            "again": again,
        },
    )
    probes = made.probes
    n += transaction.append(
        "probes",
        {
            "dictionary": dictionary,
            "feature": [probe.feature for probe in probes],
            "explainer": explainer,
            "draft": [probe.draft for probe in probes],
            "number": [probe.number for probe in probes],
            "intended": [probe.read.intended for probe in probes],
            "text": [probe.text for probe in probes],
            "n_tokens": [len(probe.read.tokens) for probe in probes],
            "max_activation": [probe.read.maximum if probe.read.tokens else None for probe in probes],
            "again": again,
        },
    )
    if reasons := list(made.trouble.values()):
        why = [f"a draft could not be tried: {reason}" for _, reason in reasons]
        statuses = [status for status, _ in reasons]
        scorers = ["probe" if judge is None else f"select:{judge.model}"] * len(reasons)
        rows = failure_rows("explain", dictionary, list(made.trouble), explainer, scorers, statuses, why, again)
        n += transaction.append("failures", rows)
    return n
