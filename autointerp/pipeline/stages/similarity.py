"""Stage similarity: every two dictionaries of a run, what they make of the same tokens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from autointerp.extract.geometry import unit_rows
from autointerp.extract.selected import Selected
from autointerp.extract.similarity import (
    BestMatches,
    TokenGram,
    best_matches,
    linear_cka,
    rsa,
    sparse_activations,
    token_gram,
)
from autointerp.hashing import rng_for
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.geometry_rows import match_rows
from autointerp.pipeline.stages.context import StageContext, columns_of
from autointerp.pipeline.stages.effect_features import choose_placed
from autointerp.pipeline.stages.geometry import PlacedSample, portions, take_placed_sample
from autointerp.records import Float64, Int64
from autointerp.subject.baselines import array_on_disk
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder, written_hook

GRAM_TOKENS = 1024
"""Tokens whose relations are compared, evenly spread over the sample."""
LEVELS = (0.5, 0.7)
"""Correlations from which on a feature counts as matched; the first is that of `compare --match`."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One pass of the sample, then one dictionary after the other."""
    for work in works:
        begun = time.monotonic()
        names = list(work.decided_by["compared"])
        selected, chosen = context.open(names), choose_placed(context, names)
        with context.report.stage("similarity: a sample of tokens", None, "tokens") as advance:
            sample = take_placed_sample(context, [one.dictionary for one in selected.values()], advance)
        with context.report.stage("similarity", len(names), "dictionaries") as advance:
            rows, matches = _compared(context, selected, chosen, sample, advance)
        with context.store.transaction() as transaction:
            n_rows = transaction.append("dictionary_similarities", {"run": work.key, **columns_of(rows)})
            for of_pair in matches:
                n_rows += transaction.append("feature_matches", {"run": work.key, **of_pair})
            context.mark_done(transaction, work, n_rows, time.monotonic() - begun)
    context.publish()


def _compared(
    context: StageContext,
    selected: Mapping[str, Selected],
    chosen: Mapping[str, Int64],
    sample: PlacedSample,
    advance: Callable[[int], None],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Of each dictionary A and each other one B a row of `dictionary_similarities`, and rows of `feature_matches`."""
    device = context.prepared.subject.device
    placed = {name: one.dictionary.to(device) for name, one in selected.items()}
    places = sample.places(placed.values())
    spread = np.linspace(0, len(places) - 1, min(GRAM_TOKENS, len(places))).round().astype(np.int64)
    few, folder = places[torch.from_numpy(spread)], context.prepared.work_folder
    grams = {name: gram_of(one, sample, few, folder) for name, one in placed.items()}
    activations = {name: activations_of(one, sample, places) for name, one in placed.items()}
    order = rng_for(context.config.seed, "similarity").permutation(len(few))
    alike = {(a, b): _alike(grams[a], grams[b], order) for a, b in combinations(placed, 2)}
    rows, matched = [], []
    for a, mine in placed.items():
        features = selected[a].features
        asked = sparse.csr_array(activations[a][:, features])
        for b, other in placed.items():
            if a == b:
                continue
            matches = best_matches(asked, activations[b])
            row = {"a": a, "b": b, "n_tokens": len(places), **_summed(matches)}
            row["cosine"] = largest_cosine(mine, other, chosen[a])
            rows.append(row | (alike.get((a, b)) or alike[b, a]))
            cosines = _cosines(mine, other, features, matches.feature)
            matched.append({"dictionary": a, "other": b, **match_rows(features, matches, cosines)})
        advance(1)
    return sorted(rows, key=lambda row: (row["a"], row["b"])), matched


def gram_of(dictionary: Dictionary, sample: PlacedSample, places: Tensor, folder: Path) -> TokenGram:
    """Of these tokens; the activations of all features lie on disk meanwhile."""
    activations, filled = array_on_disk(folder, (len(places), dictionary.n_features)), 0
    for x, _ in portions(dictionary, sample, places):
        activations[filled : filled + len(x)] = dictionary.encode(x.to(dictionary.directions.device)).cpu()
        filled += len(x)
    return token_gram(activations)


def activations_of(dictionary: Dictionary, sample: PlacedSample, places: Tensor) -> sparse.csr_array:
    """[N, F]"""
    device = dictionary.directions.device
    encoded = (dictionary.encode(x.to(device)) for x, _ in portions(dictionary, sample, places))
    return sparse_activations(encoded, dictionary.n_features)


def _at_one_place(a: Dictionary, b: Dictionary) -> bool:
    """Whether their directions can be held against each other."""
    incomplete = [isinstance(one, SparseAutoencoder) and one.incomplete is not None for one in (a, b)]
    return not any(incomplete) and written_hook(a) == written_hook(b)


def largest_cosine(a: Dictionary, b: Dictionary, features: Int64) -> float | None:
    """Mean over features of A of the largest cosine with any direction of B; None where they write elsewhere."""
    if not _at_one_place(a, b):
        return None
    mine = unit_rows(a.directions[torch.from_numpy(features).to(a.directions.device)])
    return _mean((mine @ unit_rows(b.directions).T).max(dim=1).values.double().cpu().numpy())


def _cosines(a: Dictionary, b: Dictionary, features: Int64, matches: Int64) -> Float64:
    """[m] of each feature's direction and its match's; nan without a match, or where they write elsewhere."""
    cosine = np.full(len(features), np.nan)
    some = np.flatnonzero(matches >= 0)
    if _at_one_place(a, b) and len(some):
        device = a.directions.device
        mine = unit_rows(a.directions[torch.from_numpy(features[some]).to(device)])
        theirs = unit_rows(b.directions[torch.from_numpy(matches[some]).to(device)])
        cosine[some] = (mine * theirs).sum(dim=1).double().cpu().numpy()
    return cosine


def _summed(matches: BestMatches) -> dict[str, Any]:
    known = matches.correlation[~np.isnan(matches.correlation)]
    shares = {f"share_{100 * level:03.0f}": _mean(known >= level) for level in LEVELS}
    return {
        "n_features": len(matches.feature), "n_compared": len(known), "correlation": _mean(known), **shares,
    }  # fmt: skip


def _alike(a: TokenGram, b: TokenGram, order: Int64) -> dict[str, Any]:
    alike, n_alike = rsa(a, b)
    return {
        "n_gram_tokens": len(a.speaks),
        "cka": _or_none(linear_cka(a, b)),
        "cka_permuted": _or_none(linear_cka(a, b, order)),
        "n_rsa_tokens": n_alike,
        "rsa": _or_none(alike),
        "rsa_permuted": _or_none(rsa(a, b, order)[0]),
    }


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
