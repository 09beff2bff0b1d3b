"""A small but complete store, consistent to the last number, written through StoreWriter.

One subject of 40 tokens, 192 contexts of 16 tokens in windows of 8, a dictionary `sae` of 6 features (one
dead, one rare, the others firing on one token each) and a baseline `random` matched to it. Every
statistic is computed the slow and obvious way from the activations themselves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from autointerp.store.columns import csr_list
from autointerp.store.writer import StoreWriter, Transaction

SPLITS = ("explain", "select", "score")
N_CONTEXTS, LENGTH, WINDOW, VOCAB, BLOCKS, N_FEATURES = 192, 16, 8, 40, 32, 6
DEAD, RARE = 4, 5
EXPLAINERS = ("lexical", "token_lookup", "shuffled", "constant")
HOSTILE = "\x1b[31m[red]\u202e\n"
"""The text of token 39: an escape sequence, rich markup, a direction mark, a line break."""


@dataclass(frozen=True)
class World:
    """Tokens and true activations that a store is written from."""

    tokens: np.ndarray  # [C, L]
    scored: np.ndarray  # [C, L]
    length: np.ndarray  # [C] tokens of each context; the rest is padding
    split: np.ndarray  # [C]
    document: np.ndarray  # [C]
    block: np.ndarray  # [C]
    truth: dict[str, np.ndarray]  # dictionary -> [F, C, L] float32

    def windows(self, split: str) -> list[tuple[int, int]]:
        """(context, window_start) of the windows of a split with a scored token."""
        return [
            (int(c), s)
            for c in np.flatnonzero(self.split == split)
            for s in range(0, LENGTH, WINDOW)
            if self.scored[c, s : s + WINDOW].any()
        ]


def make_world() -> World:
    rng = np.random.default_rng(7)
    tokens = rng.integers(1, VOCAB, (N_CONTEXTS, LENGTH)).astype(np.int32)
    tokens[:, 0] = 0
    length = np.full(N_CONTEXTS, LENGTH)
    length[[3, -1]] = 12
    scored = (tokens != 0) & (np.arange(LENGTH) < length[:, None])
    document = np.arange(N_CONTEXTS) // 2
    split = np.array(["explain", "select", "score", "explain"])[document % 4]
    place = np.arange(N_CONTEXTS)[:, None] * 7 + np.arange(LENGTH) * 3
    truth = {}
    for name, offset in (("sae", 5), ("random", 20)):
        acts = np.zeros((N_FEATURES, N_CONTEXTS, LENGTH), np.float32)
        for f in range(N_FEATURES):
            fires = scored & (tokens == offset + f)
            if f == RARE:
                fires &= np.arange(N_CONTEXTS)[:, None] % 24 < 5
            if f == DEAD:
                fires &= False
            acts[f] = np.where(fires, (1 + place % 5 / 4) * (1 + f / 3), 0)
        acts[1] = np.where(scored & (tokens == 39), 1.5, acts[1])  # a second token, the hostile one
        truth[name] = acts
    return World(tokens, scored, length, split, document, document % BLOCKS, truth)


def build_store(path: Path) -> World:
    """Writes the store and returns what it was written from."""
    world = make_world()
    with StoreWriter.open(path) as writer:
        with writer.transaction() as t:
            _write_works(t, world)
            _write_tokens(t, world)
            t.mark_done("tokens", "tokens-1", None, N_CONTEXTS, 0.5)
        for name in world.truth:
            with writer.transaction() as t:
                _write_dictionary(t, name)
                n_rows = _write_extraction(t, world, name)
                t.mark_done("extract", f"extract-{name}", name, n_rows, 2.5)
        for name in world.truth:
            with writer.transaction() as t:
                lookups = _write_explanations(t, world, name)
                t.mark_done("explain", f"explain-{name}", name, len(lookups), 0.2)
            with writer.transaction() as t:
                _write_scores(t, world, name)
                t.mark_done("score", f"score-{name}", name, 1, 75.0)
                t.mark_done("means", f"means-{name}", name, 1, 75.0)
        with writer.transaction() as t:
            _write_comparisons(t)
    return world


def _write_works(t: Transaction, world: World) -> None:
    """What the run consists of; effects, diagnostics and census are never done."""
    per_dictionary = ("extract", "effects", "explain", "census", "score")
    works: list[tuple[str, str | None, str | None, str]] = [
        ("tokens", None, None, "tokens-1"),
        ("compare", None, None, "compare-1"),
    ]
    works += [(s, name, None, f"{s}-{name}") for s in per_dictionary for name in world.truth]
    shown = ("lexical", "token_lookup", "controls")
    works += [("means", name, explainer, f"means-{name}") for name in world.truth for explainer in shown]
    t.append(
        "works",
        {
            "run": "run-1",
            "stage": [stage for stage, _, _, _ in works],
            "dictionary": [name for _, name, _, _ in works],
            "explainer": [explainer for _, _, explainer, _ in works],
            "work": [work for _, _, _, work in works],
            "decided_by": "{}",
        },
    )


def _write_tokens(t: Transaction, world: World) -> None:
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
    for split, pool in _pools(world).items():
        t.append("pool", _pool_rows(split, pool))


def _pool_rows(split: str, pool: list[tuple[int, int]]) -> dict[str, object]:
    return {
        "split": split,
        "pool": np.arange(len(pool)),
        "context": [c for c, _ in pool],
        "window_start": [s for _, s in pool],
        "u": np.linspace(0, 0.6, len(pool)),
    }


def _pools(world: World) -> dict[str, list[tuple[int, int]]]:
    """Windows of the shared pools of select and score."""
    found = {}
    for split, n in (("select", 12), ("score", 25)):
        windows = world.windows(split)
        found[split] = [windows[i] for i in np.random.default_rng(3).permutation(len(windows))[:n]]
    return found


def _write_dictionary(t: Transaction, name: str) -> None:
    t.append(
        "dictionaries",
        {
            "dictionary": name,
            "kind": "sae" if name == "sae" else "random_isotropic",
            "format": None,
            "source": None,
            "hook": "blocks.0.hook_resid_post",
            "d_in": 4,
            "n_features": N_FEATURES,
            "n_selected": N_FEATURES,
            "activation": "relu",
            "matched_to": None if name == "sae" else "sae",
            "natural_of": None,
            "n_units": None,
            "checksum": "0",
            "config": "{}",
        },
    )


def _write_extraction(t: Transaction, world: World, name: str) -> int:
    truth = world.truth[name]
    facts = {s: [_facts(truth[f], world, s) for f in range(N_FEATURES)] for s in SPLITS}
    explain = facts["explain"]
    n_firing = np.array([fact["n_firing"] for fact in explain])
    baseline = name != "sae"
    t.append(
        "features",
        {
            "dictionary": name,
            "feature": np.arange(N_FEATURES),
            "status": ["dead" if n == 0 else "rare" if n < 20 else "alive" for n in n_firing],
            **{
                key: [fact[key] for fact in explain]
                for key in ("density", "max_activation", "n_tokens", "n_firing", "mean", "variance")
            },
            "token_entropy": np.where(n_firing > 0, 0.5, np.nan),
            "single_token_share": np.where(n_firing > 0, 0.9, np.nan),
            "planted_label": None,
            "encoder_bias": 0.0,
            "decoder_norm": 1.0,
            "cos_encoder_decoder": 0.5,
            "unit": np.arange(N_FEATURES) if baseline else None,
            "matched_feature": np.arange(N_FEATURES) if baseline else None,
            "match_status": "matched" if baseline else None,
            "sign": 1 if baseline else None,
            "mu": 0.0 if baseline else None,
            "theta": 0.5 if baseline else None,
        },
    )
    for s in SPLITS:
        columns = {key: [fact[key] for fact in facts[s]] for key in facts[s][0]}
        t.append("feature_splits", {"dictionary": name, "feature": np.arange(N_FEATURES), "split": s, **columns})
    t.append("feature_tokens", {"dictionary": name, "feature": np.arange(N_FEATURES), **_masses(world, truth)})
    n_rows = sum(_write_exemplars(t, world, name, f) for f in range(N_FEATURES))
    for split, pool in _pools(world).items():
        fires = [[i for i, (c, s) in enumerate(pool) if truth[f, c, s : s + WINDOW].any()] for f in range(N_FEATURES)]
        t.append("pool_firing", {"dictionary": name, "feature": np.arange(N_FEATURES), "split": split, "pools": fires})
    blocks = _blocks(world, truth)
    t.append("feature_blocks", {"dictionary": name, "feature": np.arange(N_FEATURES), **blocks})
    _write_diagnostics(t, name, n_firing, _masses(world, truth))
    for direction, sign in (("promoted", 1), ("suppressed", -1)):
        t.append(
            "logit_effects",
            {
                "dictionary": name,
                "feature": np.repeat(np.arange(N_FEATURES), 3),
                "direction": direction,
                "rank": np.tile(np.arange(1, 4), N_FEATURES),
                "token": np.tile([10, 39, 12], N_FEATURES) + (sign < 0) * np.tile([1, -1, 1], N_FEATURES),
                "effect": sign * np.tile([3.0, 2.0, 1.0], N_FEATURES),
                "z": sign * np.tile([6.0, 4.0, 2.0], N_FEATURES),
            },
        )
    return n_rows


def _write_diagnostics(t: Transaction, name: str, n_firing: np.ndarray, masses: dict[str, object]) -> None:
    fires = n_firing > 0
    tokens = masses["tokens"]
    assert isinstance(tokens, list)
    t.append(
        "feature_diagnostics",
        {
            "dictionary": name,
            "feature": np.arange(N_FEATURES),
            "n_tokens": 1000,
            "n_firing": n_firing // 2,
            "alone": [[0.5] * len(listed) for listed in tokens],
            "alone_correlation": np.where(fires, 0.95, np.nan),
            "alone_status": np.where(fires, "ok", "silent").tolist(),
            "neuron_hook": "blocks.0.mlp.hook_post",
            "neuron": [3 if n else None for n in n_firing],
            "neuron_correlation": np.where(fires, -0.92, np.nan),
            "neuron_status": np.where(fires, "ok", "silent").tolist(),
            "density_cluster": [("ultralow" if i == RARE else "main") if n else None for i, n in enumerate(n_firing)],
            "ultralow_below": float(n_firing[RARE] + 1) / 1425,
        },
    )
    t.append(
        "feature_neighbours",
        {
            "dictionary": name,
            "feature": np.arange(N_FEATURES),
            "rank": 1,
            "neighbour": (np.arange(N_FEATURES) + 1) % N_FEATURES,
            "cosine": 0.7,
            "correlation": np.where(fires, 0.25, np.nan),
            "status": np.where(fires, "ok", "silent").tolist(),
        },
    )


def _facts(acts: np.ndarray, world: World, split: str) -> dict[str, object]:
    """Statistics of one feature on one split, by definition."""
    mine = world.split == split
    values = acts[mine][world.scored[mine]].astype(np.float64)
    firing = values[values > 0]
    top = float(values.max())
    upper = 2.0 ** np.ceil(np.log2(top) + 1e-9) if top else 1.0
    windows = world.windows(split)
    return {
        "n_tokens": len(values),
        "n_firing": len(firing),
        "density": len(firing) / len(values),
        "max_activation": top,
        "mean": float(values.mean()),
        "variance": float(values.var()),
        "n_windows": len(windows),
        "n_firing_windows": sum(bool(acts[c, s : s + WINDOW].any()) for c, s in windows),
        "histogram_upper": upper,
        "histogram_linear": np.histogram(firing, 16, (0, upper))[0],
        "histogram_log": np.bincount((np.floor(np.log2(firing)) + 16).astype(int), minlength=32),
        "position_histogram": (acts[mine] > 0).sum(axis=0),  # 16 places, 16 bins
    }


def _masses(world: World, truth: np.ndarray) -> dict[str, object]:
    mine = world.split == "explain"
    tokens, scored = world.tokens[mine], world.scored[mine]
    previous = np.concatenate([np.full((len(tokens), 1), -1), tokens[:, :-1]], axis=1)
    columns: dict[str, list[object]] = {}
    for f in range(N_FEATURES):
        acts = truth[f][mine]
        for prefix, keys in (("", [tokens]), ("pair_", [previous, tokens])):
            entries = []
            for key in sorted(set(zip(*(k[acts > 0].tolist() for k in keys), strict=True))):
                at = scored & np.all([k == part for k, part in zip(keys, key, strict=True)], axis=0)
                entries.append((float(acts[at].sum()), int((acts[at] > 0).sum()), int(at.sum()), key))
            entries.sort(key=lambda entry: (-entry[0], entry[3]))
            columns.setdefault(f"{prefix}tokens", []).append([key[-1] for *_, key in entries])
            columns.setdefault(f"{prefix}mass", []).append([mass for mass, *_ in entries])
            columns.setdefault(f"{prefix}n_firing", []).append([n for _, n, *_ in entries])
            columns.setdefault(f"{prefix}n_seen", []).append([n for _, _, n, _ in entries])
            if prefix:
                columns.setdefault("pair_previous", []).append([key[0] for *_, key in entries])
    return {**columns, "mass_error": 0.0, "pair_mass_error": 0.0, "pair_share": 1.0}


def _write_exemplars(t: Transaction, world: World, name: str, f: int) -> int:
    acts = world.truth[name][f]

    def firing(split: str) -> list[tuple[int, int]]:
        found = [(c, s) for c, s in world.windows(split) if acts[c, s : s + WINDOW].any()]
        return sorted(found, key=lambda w: (-acts[w[0], w[1] : w[1] + WINDOW].max(), w))

    rows: list[tuple[str, str, int, tuple[int, int]]] = []
    rows += [("explain", "top", i, w) for i, w in enumerate(firing("explain")[:5])]
    rows += [("explain", "interval_01", i, w) for i, w in enumerate(firing("explain")[-2:])]
    rows += [("explain", "random", i, w) for i, w in enumerate(world.windows("explain")[f : f + 3])]
    for split, n_top, n_firing in (("select", 2, 4), ("score", 3, 6)):
        found = firing(split)
        rows += [(split, "T", i, w) for i, w in enumerate(found[:n_top])]
        rows += [(split, "F", i, w) for i, w in enumerate(found[n_top : n_top + n_firing])]
    windows = [acts[c, s : s + WINDOW] for *_, (c, s) in rows]
    inner = np.array([stratum == "interval_01" for _, stratum, *_ in rows])
    if rows:
        t.append(
            "exemplars",
            {
                "dictionary": name,
                "feature": f,
                "split": [row[0] for row in rows],
                "stratum": [row[1] for row in rows],
                "rank": [row[2] for row in rows],
                "context": [row[3][0] for row in rows],
                "window_start": [row[3][1] for row in rows],
                "n_tokens": [min(WINDOW, int(world.length[row[3][0]]) - row[3][1]) for row in rows],
                "peak": [row[3][1] + int(w.argmax()) for row, w in zip(rows, windows, strict=True)],
                "max_activation": [float(w.max()) for w in windows],
                "stratum_low": np.where(inner, 0.0, np.nan),
                "stratum_high": np.where(inner, 2.0, np.nan),
                "probability": np.where(inner, 0.5, 1.0),
                "u": [0.1 * row[2] for row in rows],
                "positions": [np.flatnonzero(w) for w in windows],
                "activations": [w[w != 0] for w in windows],
            },
        )
    return len(rows)


def _blocks(world: World, truth: np.ndarray) -> dict[str, np.ndarray]:
    mine = world.split == "score"
    of = [mine & (world.block == b) for b in range(BLOCKS)]
    n = np.array([world.scored[m].sum() for m in of])
    t = np.array([[truth[f][m].sum(dtype=np.float64) for m in of] for f in range(N_FEATURES)])
    t2 = np.array([[(truth[f][m].astype(np.float64) ** 2).sum() for m in of] for f in range(N_FEATURES)])
    return {"n": np.tile(n, (N_FEATURES, 1)), "t": t, "t2": t2}


def _prediction(world: World, f: int, explainer: str, name: str) -> np.ndarray:
    """[C, L] what the simulator says for an explanation."""
    token = (5 if name == "sae" else 20) + f
    if explainer == "constant":
        return world.scored * 0.25
    if explainer == "shuffled":
        token = (token - 4) if name == "sae" else 30
    value = 1.0 if explainer == "token_lookup" else 2.0
    broad = 0.2 if explainer == "lexical" else 0.0
    return np.where(world.scored & (world.tokens == token), value, world.scored * (world.tokens % 9 == 0) * broad)


def _write_explanations(t: Transaction, world: World, name: str) -> list[str]:
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
        t.append(
            "explanations",
            {
                "dictionary": name,
                "feature": np.arange(N_FEATURES),
                "explainer": explainer,
                "text": [None if f == DEAD else f"the token w{token[f]} [bold]\x1b[2J" for f in range(N_FEATURES)],
                "status": status,
                "lookup": [None if f == DEAD else key for f, key in enumerate(lookups)],
                "donor": None,
                "promotes": None,
                "triggers": None,
                "prompt": None,
                "request": None,
                "model": None,
                "again": 0,
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
        t.append("explanations", {**said, "again": 1})
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


def _pearson(n: float, t: float, t2: float, p: float, p2: float, tp: float) -> float:
    return float((n * tp - t * p) / np.sqrt((n * t2 - t * t) * (n * p2 - p * p)))


def _write_scores(t: Transaction, world: World, name: str) -> None:
    truth, run = world.truth[name], f"score-{name}"
    mine = world.split == "score"
    of = [mine & (world.block == b) for b in range(BLOCKS)]
    n = int(world.scored[mine].sum())
    for explainer in EXPLAINERS:
        values: list[float | None] = []
        statuses: list[str] = []
        for f in range(N_FEATURES):
            p = _prediction(world, f, explainer, name)
            parts = {
                "p": [p[m].sum() for m in of],
                "p2": [(p[m] ** 2).sum() for m in of],
                "tp": [(p[m] * truth[f][m]).sum(dtype=np.float64) for m in of],
            }
            t.append(
                "score_moments",
                {
                    "dictionary": name,
                    "feature": f,
                    "explainer": explainer,
                    "scorer": "simulation",
                    **{key: [value] for key, value in parts.items()},
                    "positives": [[0] * 33],
                    "negatives": [[0] * 33],
                },
            )
            t1, t2 = truth[f][mine].sum(dtype=np.float64), (truth[f][mine].astype(np.float64) ** 2).sum()
            status = {DEAD: "dead", RARE: "rare"}.get(f, "constant" if explainer == "constant" else "ok")
            statuses.append(status)
            sums = [sum(parts[key]) for key in ("p", "p2", "tp")]
            values.append(_pearson(n, t1, t2, *sums) if status == "ok" else 0.0 if status == "constant" else None)
        scored = [v for v in values if v is not None]
        mean = float(np.mean(scored))
        t.append(
            "scores",
            {
                "run": run,
                "dictionary": name,
                "feature": np.arange(N_FEATURES),
                "explainer": explainer,
                "scorer": "simulation",
                "metric": "pearson",
                "design": "census",
                "value": values,
                "ci_low": [None if v is None else v - 0.05 for v in values],
                "ci_high": [None if v is None else v + 0.04 for v in values],
                "n": n,
                "n_failed": 0,
                "status": statuses,
            },
        )
        t.append(
            "dictionary_scores",
            {
                "run": f"means-{name}",
                "dictionary": name,
                "explainer": explainer,
                "scorer": "simulation",
                "metric": "pearson",
                "design": "census",
                "mean": mean,
                "mean_all": mean * len(scored) / N_FEATURES,
                "ci_low": mean - 0.1,
                "ci_high": mean + 0.1,
                "floor": 0.05,
                "residual_alarm_rate": None,
                "residual_alarm_high": None,
                "n_residual": None,
            },
        )
    _write_sample(t, world, name)


def _write_sample(t: Transaction, world: World, name: str) -> None:
    """The sample design of `lexical` on feature 0: all of T, two of F1, three of R."""
    acts, prediction = world.truth[name][0], _prediction(world, 0, "lexical", name)
    windows = world.windows("score")
    firing = [w for w in windows if acts[w[0], w[1] : w[1] + WINDOW].any()]
    silent = [w for w in windows if w not in firing]
    classes = {"T": (firing[:3], 3), "F1": (firing[3:5], len(firing) - 3), "R": (silent[:3], len(silent))}
    for label, (drawn, size) in classes.items():
        shown = {
            "dictionary": name,
            "feature": 0,
            "explainer": "lexical",
            "context": [c for c, _ in drawn],
            "window_start": [s for _, s in drawn],
            "status": "ok",
        }
        t.append(
            "simulations",
            {
                **shown,
                "run": None,
                "scorer": "simulation",
                "class": label,
                "n_class": len(drawn),
                "size_class": float(size),
                "truth": np.array([acts[c, s : s + WINDOW] for c, s in drawn]),
                "prediction": np.array([prediction[c, s : s + WINDOW] for c, s in drawn], dtype=np.float32),
                "scored": [world.scored[c, s : s + WINDOW] for c, s in drawn],
            },
        )
        t.append(
            "judgements",
            {
                **shown,
                "run": None,
                "scorer": "detection",
                "stratum": label,
                "marks": None,
                "fires": label != "R",
                "judged": label != "R",
                "probability": 0.9,
            },
        )
    t.append(
        "token_judgements",
        {
            "run": None,
            "dictionary": name,
            "feature": 0,
            "explainer": "lexical",
            "scorer": "logits:text",
            "token": np.arange(4, dtype=np.int32),
            "promoted": [True, False, True, False],
            "rating": np.linspace(0.0, 1.0, 4),
            "status": "ok",
        },
    )
    score: dict[str, Any] = {"run": f"score-{name}", "dictionary": name, "explainer": "lexical", "scorer": "simulation"}
    score |= {"metric": "pearson_framed", "design": "sample", "ci_low": 0.3, "ci_high": 0.7}
    t.append("scores", {**score, "feature": 0, "value": 0.5, "n": 8, "n_failed": 0, "status": "ok"})
    t.append(
        "dictionary_scores",
        {
            **score,
            "run": f"means-{name}",
            "mean": 0.5,
            "mean_all": 0.4,
            "floor": 0.1,
            "residual_alarm_rate": 0.01,
            "residual_alarm_high": 0.02,
            "n_residual": 3,
        },
    )


def _write_comparisons(t: Transaction) -> None:

    def beside(difference: float | None, step: float) -> float | None:
        return None if difference is None else difference + step

    for explainer, verdict, difference in (
        ("lexical", "A", 0.3),
        ("token_lookup", "equivalent", 0.001),
        ("constant", "undecided", None),
    ):
        t.append(
            "comparisons",
            {
                "run": "compare-1",
                "a": "sae",
                "b": "random",
                "explainer": explainer,
                "scorer": "simulation",
                "metric": "pearson",
                "design": "census",
                "paired": True,
                "other_site": False,
                "n_a": 4,
                "n_b": 4,
                "difference": difference,
                "ci_low": beside(difference, -0.01),
                "ci_high": beside(difference, 0.01),
                "simultaneous_low": beside(difference, -0.02),
                "simultaneous_high": beside(difference, 0.02),
                "p": 0.0001,
                "p_holm": 0.0003,
                "detectable": 0.035,
                "margin": 0.02,
                "verdict": verdict,
            },
        )
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
