"""Measured effects of the built store: the first firing of each feature in the splits explain and score, and the
strongest context of each."""

from __future__ import annotations

import numpy as np

from autointerp.store.writer import Transaction
from built_store.world import WINDOW, World


def write_effects(t: Transaction, world: World, name: str) -> int:
    """Appends `causal_effects` and returns the number of rows."""
    n = 0
    for split in ("explain", "score"):
        inside = np.flatnonzero(world.split == split)
        for feature, truth in enumerate(world.truth[name]):
            places = np.argwhere(truth[inside] > 0)
            if not len(places):
                continue
            context, position = int(inside[places[0][0]]), int(places[0][1])
            last = position + 1 == truth.shape[1]
            n += t.append(
                "causal_effects",
                {
                    "run": f"ablate-{name}",
                    "dictionary": name,
                    "feature": [feature] * 3,
                    "split": split,
                    "context": context,
                    "position": position,
                    "activation": truth[context, position],
                    "direction": ["feature", "isotropic", "covariance"],
                    "norm": 2.0,
                    "kl": [0.4, 0.1, 0.2],
                    "kl_after": None if last else [0.04, 0.01, 0.02],
                    "n_after": 0 if last else 1,
                    "entropy": 2.0,
                    "loss_change": None if last else [0.3, 0.0, 0.1],
                    "loss_estimate": None if last else [0.25, 0.01, 0.06],
                    "loss_change_after": None,
                    "direct_share": [0.8, None, None],
                    "likeliest": None if last else [[11, 12]] * 3,
                    "likeliest_change": None if last else [[0.4, -0.2], [0.0, 0.1], [0.1, 0.0]],
                    "likeliest_estimate": None if last else [[0.3, -0.1], [0.1, 0.1], [0.0, 0.1]],
                    "moved": [[10, 12], None, None],
                    "logit_change": [[-1.0, 0.5], None, None],
                },
            )
    return n


def write_contexts(t: Transaction, world: World, name: str) -> int:
    """Appends `context_effects` and `following_effects` and returns the number of rows."""
    n = 0
    for feature, truth in enumerate(world.truth[name]):
        windows = [(truth[c, s : s + WINDOW].max(), c, s) for c, s in world.windows("explain")]
        strongest = sorted((-float(top), c, s) for top, c, s in windows if top > 0)[:5]
        peaks = [(c, s + int(truth[c, s : s + WINDOW].argmax())) for _, c, s in strongest]
        place = next(((c, peak) for c, peak in peaks if 3 <= peak < int(world.length[c]) - 1), None)
        if place is None:
            continue
        context, peak = place
        about = {"run": f"contexts-{name}", "dictionary": name, "feature": feature, "context": context, "peak": peak}
        activation = float(truth[context, peak])
        n += t.append(
            "context_effects",
            about
            | {
                "activation": activation,
                "position": [peak - 2, peak - 1, peak - 2],
                "other": [None, None, peak - 1],
                "removed": [activation, 0.5 * activation, None],
                "masked": [0.9 * activation, 0.4 * activation, 0.0],
                "replaced": [activation, 0.4 * activation, 0.1 * activation],
                "cut": [activation, 0.25 * activation, None],
                "between": [0.0, 0.4 * activation, None],
            },
        )
        behind = np.linspace(-0.8, 0.6, int(world.length[context]) - peak - 1)
        n += t.append("following_effects", about | {"n_firing": 1, "start": peak + 1, "logp_change": [behind.tolist()]})
    return n


def write_sensitivity(t: Transaction, world: World, name: str) -> int:
    """Appends `sensitivity` and returns the number of rows."""
    n = 0
    inside = np.flatnonzero(world.split == "score")
    for feature, truth in enumerate(world.truth[name]):
        places = np.argwhere(truth[inside] > 0)
        if not len(places):
            continue
        n += t.append(
            "sensitivity",
            {
                "run": f"sensitivity-{name}",
                "dictionary": name,
                "feature": [feature] * 2,
                "context": int(inside[places[0][0]]),
                "position": int(places[0][1]),
                "direction": ["feature", "isotropic"],
                "entropy": 2.0,
                "sizes": [[0.5, 1.0, 2.0]] * 2,
                "kl": [[0.1, 0.4, 1.6], [0.01, 0.1, 0.3]],
                "last_distance": [[0.1, 0.25, 0.6], None],
                "size_025": [0.8, 1.8],
                "size_050": [1.1, None],
                "size_100": [1.6, None],
                "steepest": [1.41, 1.41],
            },
        )
    return n


def write_output_scores(t: Transaction, world: World, name: str) -> int:
    """Appends `output_scores` and returns the number of rows: ten times the largest activation; silent ones."""
    explain = np.flatnonzero(world.split == "explain")
    largest = world.truth[name][:, explain].max(axis=(1, 2))
    fires = largest > 0
    return t.append(
        "output_scores",
        {
            "run": f"output-scores-{name}",
            "dictionary": name,
            "feature": np.arange(len(largest)),
            "status": np.where(fires, "ok", "silent").tolist(),
            "activation": np.where(fires, 10.0 * largest, np.nan),
            "norm": np.where(fires, 5.0, np.nan),
            "token": [39 if fired else None for fired in fires],
            "probability": np.where(fires, 0.5, np.nan),
            "rank": [3 if fired else None for fired in fires],
            "score": np.where(fires, 0.5 * (1 - 2 / 40), np.nan),
            "score_before": np.where(fires, 0.02, np.nan),
        },
    )


def write_token_changes(t: Transaction, world: World, name: str) -> int:
    """Appends `token_changes` and `token_change_strengths` and returns the number of rows."""
    explain = np.flatnonzero(world.split == "explain")
    largest = world.truth[name][:, explain].max(axis=(1, 2))
    n, about = 0, {"run": f"token-changes-{name}", "dictionary": name}
    for feature in np.flatnonzero(largest > 0).tolist():
        of = about | {"feature": feature}
        like = {"kind": "similar", "tokens": [[20, 21]], "made_like": [[10, 12]], "promoted_by": [[]]}
        n += t.append("token_change_distractors", of | {"side": "risen"} | like)
        for split in ("explain", "score"):
            for direction in ("feature", "covariance"):
                strength = 2.0 if direction == "feature" else 0.5
                for side, sign in (("risen", 1.0), ("fallen", -1.0)):
                    n += t.append(
                        "token_changes",
                        of
                        | {
                            "split": split,
                            "direction": direction,
                            "side": side,
                            "rank": [1, 2, 3],
                            "token": [10, 12, 14] if sign > 0 else [11, 13, 15],
                            "change": [sign * strength * x for x in (1.5, 1.0, 0.5)],
                            "error": 0.1,
                            "z": [sign * x for x in (4.5, 3.0, 1.5)],
                        },
                    )
                n += t.append(
                    "token_change_strengths",
                    of
                    | {
                        "split": split,
                        "direction": direction,
                        "activation": [float(largest[feature])],
                        "norm": 2.0,
                        "n_contexts": 32,
                        "n_tokens": 128,
                        "kl": 0.4 if direction == "feature" else 0.2,
                        "spread": strength,
                        "agreement": 0.9,
                        "direct_share": 0.8 if direction == "feature" else None,
                    },
                )
    return n


def write_steered_texts(t: Transaction, world: World, name: str) -> int:
    """Appends `steered_texts` and `steering_strengths` and returns the number of rows."""
    inside = np.flatnonzero(world.split == "score")[:3]
    run = f"steered-texts-{name}"
    n = t.append(
        "steering_strengths",
        {
            "run": run,
            "dictionary": name,
            "kl": [0.25, 0.5],
            "n_features": 4,
            "n_unreached": 0,
            "n_questions": 12,
            "accuracy": [0.5, 0.75],
            "se": 0.1,
            "chosen": [False, True],
        },
    )
    return n + sum(
        t.append(
            "steered_texts",
            {
                "run": run,
                "dictionary": name,
                "feature": [feature] * 3,
                "number": [1, 2, 3],
                "context": inside,
                "position": 1,
                "size": 4.0,
                "kl_select": 0.5,
                "kl": [0.4, 0.5, 0.6],
                "tokens": [[10, 12]] * 3,
            },
        )
        for feature in range(4)
    )
