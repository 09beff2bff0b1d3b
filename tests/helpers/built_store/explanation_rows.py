"""Explanations, drafts of them, features asked for again, failures; the log of requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from autointerp.store.writer import Transaction
from autointerp.words import is_control
from built_store.world import DEAD, EXPLAINERS, N_FEATURES, World


def write_explanations(t: Transaction, world: World, name: str) -> list[str]:
    lookups = [f"{name}-{f}" for f in range(N_FEATURES)]
    token = np.arange(N_FEATURES) + (5 if name == "sae" else 20)
    t.append(
        "lookups",
        {
            "lookup": lookups,
            "previous": np.full((N_FEATURES, 1), -1),
            "tokens": token[:, None],
            "value": np.full((N_FEATURES, 1), 2.0),
            "probability": np.ones((N_FEATURES, 1)),
        },
    )
    for explainer in EXPLAINERS:
        status = ["dead" if f == DEAD else "ok" for f in range(N_FEATURES)]
        texts = [None if f == DEAD else f"the token w{token[f]} [bold]\x1b[2J" for f in range(N_FEATURES)]
        t.append(
            "explanations",
            {
                "is_control": is_control(explainer),
                "dictionary": name,
                "feature": np.arange(N_FEATURES),
                "explainer": explainer,
                "text": texts,
                "status": status,
                "lookup": [None if f == DEAD else key for f, key in enumerate(lookups)],
                "donor": None,
                "promotes": None,
                "triggers": None,
                "prompt": None,
                "request": None,
                "model": None,
                "again": 0,
                "description_length": [_length(explainer, text) for text in texts],
                "n_entries": [None if f == DEAD else 1 for f in range(N_FEATURES)],
                "exemplars_left_out": None,
            },
        )
    if name == "sae":
        asked: dict[str, Any] = {
            "said": "--features 2",
            "dictionary": name,
            "explainer": "token_lookup",
            "judged": [[]],
        }
        asked |= {"explained": [[2]], "happened_at": datetime(2026, 1, 2)}
        t.append("again", {"number": [1], "event": "asked", **asked})
        said: dict[str, Any] = {
            "dictionary": name,
            "feature": [2],
            "explainer": "token_lookup",
            "text": "again",
            "status": "ok",
        }
        said |= dict.fromkeys(("lookup", "donor", "promotes", "triggers", "prompt", "request", "model"))
        rest = {"description_length": 2, "n_entries": None, "exemplars_left_out": None}
        t.append("explanations", {**said, "again": 1, "is_control": False, **rest})
    mine = np.flatnonzero(world.split == "select")
    t.append(
        "drafts",  # the second of two is better, and a third is none
        {
            "dictionary": name,
            "feature": 1,
            "explainer": "lexical",
            "draft": [0, 1, 2],
            "round": [0, 1, 1],
            "revised": [None, 0, 0],
            "chosen": [False, True, False],
            "text": ["the token", f"the token w{token[1]} [bold]\x1b[2J", None],
            "promotes": None,
            "triggers": None,
            "status": ["ok", "ok", "refused"],
            "reason": ["", "", "no"],
            "select_score": [0.5, 0.75, None],
            "select_status": ["ok", "ok", "not_judged"],
            "n_select": [8, 8, 0],
            "select_contexts": [[mine[0]], [mine[0]], []],
            "shown_contexts": [[], [mine[-1]], [mine[-1]]],
            "prompt": "p",
            "request": "r",
            "sample": [0, 0, 1],
            "model": None,
            "again": 0,
        },
    )
    t.append(
        "failures",
        {
            "stage": "explain",
            "dictionary": name,
            "feature": DEAD,
            "explainer": list(EXPLAINERS),
            "scorer": None,
            "status": "dead",
            "reason": "it never fires on the explain split",
            "again": 0,
        },
    )
    return lookups


def _length(explainer: str, text: str | None) -> int | None:
    """Of a text with a lookup of one entry, which only some explainers' texts name."""
    if text is None:
        return None
    return -(-len(text) // 4) + (0 if explainer in ("lexical", "shuffled", "constant") else 3)


def write_calls(t: Transaction) -> None:
    """One request that was answered, and a batch."""
    t.append(
        "llm_calls",
        {
            "request": "r1",
            "sample": 0,
            "attempt": 1,
            "kind": "explain",
            "about": None,
            "provider": "anthropic",
            "server": "https://api.anthropic.com",
            "model": "claude-haiku-5-5",
            "returned_model": "claude-haiku-5-5",
            "channel": "live",
            "status": "ok",
            "reason": "",
            "http_status": 200,
            "stop_reason": "end_turn",
            "prefix": "prefix-1",
            "prompt": "p",
            "reply": "x",
            "tokens": None,
            "input_tokens": 100,
            "output_tokens": 10,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
            "cost_usd": 0.25,
            "latency_ms": 100.0,
            "called_at": datetime(2026, 1, 1),
        },
    )
    t.append("llm_prefixes", {"prefix": "prefix-1", "text": "{}"})
    t.append(
        "llm_batches",
        {
            "file": "file-1",
            "provider": "openai",
            "server": "https://api.openai.com/v1",
            "model": "m",
            "path": "/chat/completions",
            "n_requests": 1,
            "status": "submitted",
            "batch": "batch_1",
            "since": datetime(2026, 1, 1),
            "worst_usd": 0.5,
        },
    )
    t.append("llm_batch_requests", {"file": "file-1", "custom_id": "r1-0-1"})
    t.append(
        "llm_probes",
        {"server": "https://api.anthropic.com", "model": "m", "wish": "schema", "found_at": datetime(2026, 1, 1)},
    )
    t.mark_done("compare", "compare-1", None, 3, 0.1)
