"""The run, its work, its subject and its corpus."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np

from autointerp.store.columns import csr_list
from autointerp.store.writer import Transaction
from built_store.world import HOSTILE, LENGTH, N_CONTEXTS, SPLITS, VOCAB, WINDOW, World, pools


def write_works(t: Transaction, world: World) -> None:
    """What the run consists of; effects, diagnostics and census are never done."""
    per_dictionary = ("extract", "effects", "ablate", "sensitivity", "geometry", "explain", "census", "score")
    works: list[tuple[str, str | None, str | None, str]] = [
        ("tokens", None, None, "tokens-1"),
        ("compare", None, None, "compare-1"),
        ("similarity", None, None, "similarity-1"),
        ("compare_effects", None, None, "compare-effects-1"),
    ]
    works += [(s, name, None, f"{s}-{name}") for s in per_dictionary for name in world.truth]
    works += [("context_effects", name, None, f"contexts-{name}") for name in world.truth]
    works += [("token_changes", name, None, f"token-changes-{name}") for name in world.truth]
    works += [("steered_texts", name, None, f"steered-texts-{name}") for name in world.truth]
    works += [("output_scores", name, None, f"output-scores-{name}") for name in world.truth]
    shown = ("lexical", "token_lookup", "controls")
    works += [("means", name, explainer, f"means-{name}") for name in world.truth for explainer in shown]
    t.append(
        "works",
        {
            "run": "run-1",
            "stage": [stage for stage, _, _, _ in works],
            "dictionary": [name for _, name, _, _ in works],
            "explainer": [explainer for _, _, explainer, _ in works],
            "scorer": None,
            "work": [work for _, _, _, work in works],
            "decided_by": [json.dumps(_decided_by(stage, name, list(world.truth))) for stage, name, _, _ in works],
        },
    )


def _decided_by(stage: str, name: str | None, names: list[str]) -> dict[str, object]:
    if stage == "means":
        return {"builds_on": {"score": f"score-{name}"}}
    if stage == "compare_effects":
        return {"builds_on": {of: {name: f"{of}-{name}" for name in names} for of in ("ablate", "sensitivity")}}
    return {}


def write_tokens(t: Transaction, world: World) -> None:
    config = {"name": "test", "tokens": {"window": WINDOW}, "dictionary": [{"name": "sae"}, {"name": "random"}]}
    t.append(
        "runs",
        {
            "run": "run-1",
            "name": "test",
            "seed": 0,
            "config": json.dumps(config),
            "versions": "{}",
            "started_at": datetime(2026, 1, 1),
        },
    )
    t.append(
        "hook_norms",
        {
            "hook": "blocks.0.hook_resid_post",
            "n_tokens": 1000,
            "median": 2.0,
            "multiple": 5.0,
            "norm_limit": 10.0,
            "largest": 40.0,
            "n_outliers": 20,
            "variance_share": 0.5,
            "participation_all": 1.5,
            "participation": 3.0,
        },
    )
    t.append(
        "subjects",
        {
            "subject": "tiny",
            "revision": None,
            "processing": "raw",
            "dtype": "float32",
            "architecture": "X",
            "n_layers": 1,
            "d_model": 4,
            "d_vocab": VOCAB,
            "n_ctx": 64,
            "rerandomised": None,
            "checksum": "0",
        },
    )
    counts = {
        s: np.bincount(world.tokens[world.split == s][world.scored[world.split == s]], minlength=VOCAB) for s in SPLITS
    }
    text = ["<bos>", *(f" w{i}" for i in range(1, VOCAB - 1)), HOSTILE]
    t.append(
        "vocab",
        {
            "token": np.arange(VOCAB),
            "text": text,
            "is_special": np.arange(VOCAB) == 0,
            **{f"n_{s}": counts[s] for s in SPLITS},
        },
    )
    for s in SPLITS:
        mine = world.split == s
        t.append(
            "token_splits",
            {
                "split": s,
                "n_documents": len(set(world.document[mine])),
                "n_contexts": int(mine.sum()),
                "n_tokens": int(world.scored[mine].sum()),
                "n_windows": len(world.windows(s)),
                "n_windows_dropped": 0,
                "n_tokens_dropped": 0,
                "position_histogram": [world.scored[mine].sum(axis=0)],  # 16 places, 16 bins
            },
        )
    inside = np.arange(LENGTH) < world.length[:, None]
    start = np.concatenate([[0], np.cumsum(world.length)])
    t.append(
        "contexts",
        {
            "context": np.arange(N_CONTEXTS),
            "document": world.document,
            "document_name": [f"doc {d}" for d in world.document],
            "document_hash": [f"{d:08x}" for d in world.document],
            "document_block": world.block,
            "split": world.split,
            "document_offset": np.arange(N_CONTEXTS) % 2 * 15,
            "tokens": csr_list(start, world.tokens[inside]),
            "scored": csr_list(start, world.scored[inside]),
        },
    )
    for split, pool in pools(world).items():
        t.append("pool", _pool_rows(split, pool))


def _pool_rows(split: str, pool: list[tuple[int, int]]) -> dict[str, object]:
    return {
        "split": split,
        "pool": np.arange(len(pool)),
        "context": [c for c, _ in pool],
        "window_start": [s for _, s in pool],
        "u": np.linspace(0, 0.6, len(pool)),
    }
