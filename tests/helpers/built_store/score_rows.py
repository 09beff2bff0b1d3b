"""Scores of the census and of samples, means over the features, comparisons of the dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np

from autointerp.store.writer import Transaction
from built_store.world import BLOCKS, DEAD, EXPLAINERS, N_FEATURES, RARE, WINDOW, World, prediction_of

FLOOR = 0.05


def _pearson(n: float, t: float, t2: float, p: float, p2: float, tp: float) -> float:
    return float((n * tp - t * p) / np.sqrt((n * t2 - t * t) * (n * p2 - p * p)))


def write_scores(t: Transaction, world: World, name: str) -> None:
    truth, run = world.truth[name], f"score-{name}"
    mine = world.split == "score"
    of = [mine & (world.block == b) for b in range(BLOCKS)]
    n = int(world.scored[mine].sum())
    for explainer in EXPLAINERS:
        values: list[float | None] = []
        statuses: list[str] = []
        for f in range(N_FEATURES):
            p = prediction_of(world, f, explainer, name)
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
                    "above": [[0] * 33],
                    "below": [[0] * 33],
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
                "ci_low": mean - 0.1,
                "ci_high": mean + 0.1,
                "mean_all": (mean * len(scored) + FLOOR * (N_FEATURES - len(scored))) / N_FEATURES,
                "mean_all_low": None,
                "mean_all_high": None,
                "interval_over": "features and documents",
                "floor": FLOOR,
                "residual_alarm_rate": None,
                "residual_alarm_high": None,
                "n_residual": None,
                "residual_alarm_cost": None,
                "n_features": N_FEATURES,
                "n_scored": len(scored),
                "n_failed": 0,
                "n_dead": statuses.count("dead"),
                "n_rare": statuses.count("rare"),
                "median": float(np.median(scored)),
            },
        )
    _write_sample(t, world, name)


def _write_sample(t: Transaction, world: World, name: str) -> None:
    """The sample design of `lexical` on feature 0: all of T, two of F1, three of R."""
    t.append(
        "sample_lists",
        {
            "dictionary": name,
            "feature": 0,
            "explainer": ["mine"],
            "again": 0,
            "wave": 1,
            "lookup": None,
            "tokens": [[10]],
        },
    )
    acts, prediction = world.truth[name][0], prediction_of(world, 0, "lexical", name)
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
                "available_class": len(drawn),
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
                "weight": size / len(drawn),
                "fires": label != "R",
                "judged": label != "R",
                "probability": 0.9,
                "request": None,
                "sample": None,
            },
        )
    t.append(
        "judgements",
        {
            "run": f"score-{name}",
            "dictionary": name,
            "feature": 0,
            "explainer": "lexical",
            "scorer": "detection:claude-haiku-5-5",
            "context": [firing[0][0], silent[0][0]],
            "window_start": [firing[0][1], silent[0][1]],
            "stratum": ["strong", "wrong"],
            "marks": None,
            "weight": None,
            "fires": [True, False],
            "judged": [False, False],
            "probability": [0.2, 0.1],
            "status": "ok",
            "request": "r1",
            "sample": 0,
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
            "kind": ["promoted", "random"] * 2,
            "rating": np.linspace(0.0, 1.0, 4),
            "status": "ok",
        },
    )
    about = {"run": None, "dictionary": name, "feature": 0, "explainer": "lexical"}
    five = [*firing[:3], *silent[:2]]
    t.append(
        "choices",
        {
            **about,
            "scorer": "discrimination:lookup",
            "question": 1,
            "option": np.arange(1, 6),
            "source": [0, 1, 2, 1, 2],
            "context": [c for c, _ in five],
            "window_start": [s for _, s in five],
            "stratum": ["strong", *["other"] * 4],
            "marks": None,
            "is_right": np.arange(5) == 0,
            "probability": [0.9, 0.2, 0.0, 0.0, 0.1],
            "status": "ok",
        },
    )
    t.append(
        "picks",
        {
            **about,
            "scorer": "intervention:text",
            "run": f"score-{name}",
            "question": 1,
            "option": [1, 2, 3],
            "source": [0, 1, 2],
            "number": 2,
            "is_right": [True, False, False],
            "probability": [1.0, 0.0, 0.0],
            "status": "ok",
        },
    )
    t.append(
        "generations",
        {
            **about,
            "scorer": "generation:m",
            "number": [1, 2],
            "intended": [True, False],
            "text": ["it fires", "it does not"],
            "n_tokens": 2,
            "max_activation": [1.5, 0.0],
            "reached": [0.4, 0.0],
            "corpus_rank": [0.8, 0.3],
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
            "mean_all_low": 0.3,
            "mean_all_high": 0.5,
            "interval_over": "features and documents",
            "floor": 0.1,
            "residual_alarm_rate": 0.01,
            "residual_alarm_high": 0.02,
            "n_residual": 3,
            "residual_alarm_cost": 0.02,
            "n_features": 1,
            "n_scored": 1,
            "n_failed": 0,
            "n_dead": 0,
            "n_rare": 0,
            "median": 0.5,
        },
    )


def write_powered(t: Transaction) -> None:
    """A prediction-powered mean of each dictionary, and their difference."""
    about: dict[str, str | float] = {"explainer": "lexical", "scorer": "simulation", "metric": "pearson_framed"}
    about |= {"design": "sample"}
    about |= {"predictor": "lexical", "se": 0.02, "interval_over": "features", "as_good_as": 3.0}
    for name in ("sae", "random"):
        t.append(
            "powered_means",
            {
                **about, "run": f"means-{name}", "dictionary": name, "n": 1, "n_all": 6, "sample_mean": 0.5,
                "mean": 0.48, "ci_low": 0.4, "ci_high": 0.56, "slope": 0.7, "correlation": 0.8,
            },
        )  # fmt: skip
    t.append(
        "powered_differences",
        {
            **about, "run": "compare-1", "a": "sae", "b": "random", "paired": True, "n_a": 1, "n_b": 1,
            "difference": 0.1, "simultaneous_low": 0.02, "simultaneous_high": 0.18, "p_holm": 0.01, "verdict": "A",
        },
    )  # fmt: skip


def write_chances(t: Transaction) -> None:
    """Features of the dictionary `sae` that a judge was not asked about: one of each kind of status."""
    t.append(
        "label_chances",
        {
            "run": "means-sae", "dictionary": "sae", "feature": [1, 2, 3, DEAD, RARE], "explainer": "lexical",
            "scorer": "detection:judge", "metric": "mcc_weighted", "holds_from": 0.5,
            "probability": [0.7, 0.4, None, None, None], "ci_low": [0.5, 0.2, None, None, None],
            "ci_high": [0.9, 0.6, None, None, None],
            "status": ["covariates", "base_rate", "no_label", "dead", "rare"], "n_scored": 40,
        },
    )  # fmt: skip


def write_comparisons(t: Transaction) -> None:
    """One of each verdict."""

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
                "over": "all",
                "n_a": 6,
                "n_b": 6,
                "n_unscored_a": 2,
                "n_unscored_b": 2,
                "difference": difference,
                "se": 0.004,
                "se_documents": 0.003,
                "df": 5.0,
                "ci_low": beside(difference, -0.01),
                "ci_high": beside(difference, 0.01),
                "interval_over": "features and documents",
                "simultaneous_low": beside(difference, -0.02),
                "simultaneous_high": beside(difference, 0.02),
                "p": 0.0001,
                "p_holm": 0.0003,
                "detectable": 0.035,
                "margin": 0.02,
                "verdict": verdict,
                "scored_n_a": 4,
                "scored_n_b": 4,
                "scored_difference": difference,
                "scored_simultaneous_low": beside(difference, -0.03),
                "scored_simultaneous_high": beside(difference, 0.03),
                "scored_p_holm": 0.0004,
                "scored_verdict": verdict,
                "hangs_on_failures": False,
            },
        )
