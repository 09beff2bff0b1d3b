"""Directions and similarities of the built store: a feature that two others make up, beside two random directions."""

from __future__ import annotations

from itertools import permutations

from autointerp.store.writer import Transaction
from built_store.world import World


def write_geometry(t: Transaction, world: World, name: str) -> int:
    """Appends `feature_geometry` and `description_lengths` and returns the number of rows."""
    about = {"run": f"geometry-{name}", "dictionary": name}
    n, n_features = 0, len(world.truth[name])
    for feature in range(n_features):
        first, second = (feature + 1) % n_features, (feature + 2) % n_features
        made_up = feature == 3
        n += t.append(
            "feature_geometry",
            about
            | {
                "feature": [feature] * 3,
                "direction": ["feature", "isotropic", "covariance"],
                "status": "ok",
                "nearest": [second if made_up else first, first, first],
                "cosine": [0.8 if made_up else 0.3, 0.2, 0.4],
                "atoms": [[second, first] if made_up else [first], [first], [first]],
                "explained": [
                    [0.64] + [1.0] * 7 if made_up else [0.1] * 4 + [0.2] * 4,
                    [0.05] * 8,
                    [0.16] * 4 + [0.25] * 4,
                ],
                "neuron": 7,
                "neuron_cosine": [-0.4, 0.3, 0.35],
            },
        )
    n += t.append(
        "description_lengths",
        about
        | {
            "n_tokens": [1000], "step": 0.25, "bits": 12.5, "n_active": 1.5, "coordinate_bits": 50.0, "n_cut": 0,
            "variance_explained": 0.8 if name == "sae" else None,
        },
    )  # fmt: skip
    return n


def write_similarities(t: Transaction, names: list[str]) -> int:
    """Appends `dictionary_similarities` and `feature_matches` and returns the number of rows."""
    pairs = list(permutations(names, 2))
    n = sum(_write_matches(t, a, b) for a, b in pairs)
    return n + t.append(
        "dictionary_similarities",
        {
            "run": "similarity-1",
            "a": [a for a, _ in pairs],
            "b": [b for _, b in pairs],
            "n_tokens": 1000,
            "n_features": 6,
            "n_compared": 4,
            "correlation": 0.55,
            "share_050": 0.75,
            "share_070": 0.25,
            "cosine": 0.5,
            "n_gram_tokens": 500,
            "cka": 0.7,
            "cka_permuted": 0.1,
            "n_rsa_tokens": 400,
            "rsa": 0.5,
            "rsa_permuted": 0.0,
        },
    )


def _write_matches(t: Transaction, name: str, other: str) -> int:
    """Six features, of which one fires too seldom, and one with nothing of the other dictionary."""
    correlation = [0.9, 0.7, 0.6, None, None, None]
    matched = [value is not None for value in correlation]
    return t.append(
        "feature_matches",
        {
            "run": "similarity-1",
            "dictionary": name,
            "feature": list(range(6)),
            "other": other,
            "match": [feature if one else None for feature, one in enumerate(matched)],
            "correlation": correlation,
            "cosine": [0.5 if one else None for one in matched],
            "status": ["ok", "ok", "ok", "none", "seldom", "seldom"],
        },
    )
