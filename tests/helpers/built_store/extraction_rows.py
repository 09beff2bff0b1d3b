"""What extraction writes of a dictionary, counted from the activations in the slow and obvious way."""

from __future__ import annotations

import numpy as np

from autointerp.store.writer import Transaction
from built_store.world import BLOCKS, N_FEATURES, RARE, SPLITS, WINDOW, World, pools


def write_dictionary(t: Transaction, name: str) -> None:
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
            "norm_limit": None,
            "checksum": "0",
            "config": "{}",
        },
    )


def write_extraction(t: Transaction, world: World, name: str) -> int:
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
    for split, pool in pools(world).items():
        fires = [[i for i, (c, s) in enumerate(pool) if truth[f, c, s : s + WINDOW].any()] for f in range(N_FEATURES)]
        rows = {"dictionary": name, "feature": np.arange(N_FEATURES), "split": split}
        t.append("pool_firing", rows | _both_forms(fires, len(pool)))
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
    for direction in ("promoted", "suppressed"):
        features = np.arange(N_FEATURES)
        strengths = {"n_half": 2, "skew": 0.5, "excess_kurtosis": 3.0}
        about = {"dictionary": name, "feature": features, "direction": direction}
        t.append("logit_strengths", {**about, **strengths, "counts": [[20, *range(16)]] * N_FEATURES})
    for kind, tokens, made_like, promoted_by in (("similar", [20, 21], [39, 12], []), ("neighbour", [22], [], [1])):
        about = {"dictionary": name, "feature": np.arange(N_FEATURES), "direction": "promoted", "kind": kind}
        lists = {"tokens": tokens, "made_like": made_like, "promoted_by": promoted_by}
        t.append("logit_distractors", {**about, **{column: [values] * N_FEATURES for column, values in lists.items()}})
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
        "n_firing_outliers": 0,
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
                "stratum_low": np.where(inner, 0.0, np.nan),
                "stratum_high": np.where(inner, 2.0, np.nan),
                "probability": np.where(inner, 0.5, 1.0),
                "u": [0.1 * row[2] for row in rows],
                "positions": [np.flatnonzero(w) for w in windows],
                "activations": [w[w != 0] for w in windows],
            },
        )
    return len(rows)


def _both_forms(fires: list[list[int]], n_pool: int) -> dict[str, list[object]]:
    """Features by turns as a list and as bits."""
    listed, bits = list[object](fires), list[object]([None] * len(fires))
    for f in range(1, len(fires), 2):
        text = "".join("1" if i in fires[f] else "0" for i in range(n_pool)).ljust(-(-n_pool // 8) * 8, "0")
        listed[f], bits[f] = None, bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    return {"listed": listed, "bits": bits}


def _blocks(world: World, truth: np.ndarray) -> dict[str, np.ndarray]:
    mine = world.split == "score"
    of = [mine & (world.block == b) for b in range(BLOCKS)]
    n = np.array([world.scored[m].sum() for m in of])
    t = np.array([[truth[f][m].sum(dtype=np.float64) for m in of] for f in range(N_FEATURES)])
    t2 = np.array([[(truth[f][m].astype(np.float64) ** 2).sum() for m in of] for f in range(N_FEATURES)])
    threshold = 0.05 * np.array([_facts(truth[f], world, "explain")["max_activation"] for f in range(N_FEATURES)])
    above = np.array([[(truth[f][m] > threshold[f]).sum() for m in of] for f in range(N_FEATURES)])
    return {"n": np.tile(n, (N_FEATURES, 1)), "t": t, "t2": t2, "threshold": threshold, "n_above": above}
