"""Stage similarity: every two dictionaries of a run, what they make of the same tokens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.geometry import unit_rows
from autointerp.extract.selected import Selected
from autointerp.extract.similarity import BestMatches, TokenGram, best_matches, linear_cka, rsa, token_gram
from autointerp.hashing import rng_for
from autointerp.pipeline.plan.work import Work
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
            rows = [{"run": work.key, **row} for row in _compared(context, selected, chosen, sample, advance)]
        with context.store.transaction() as transaction:
            n_rows = transaction.append("dictionary_similarities", columns_of(rows))
            context.mark_done(transaction, work, n_rows, time.monotonic() - begun)
    context.publish()


def _compared(
    context: StageContext,
    selected: Mapping[str, Selected],
    chosen: Mapping[str, Int64],
    sample: PlacedSample,
    advance: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Columns of `dictionary_similarities`: a row for each dictionary A and each other one B."""
    device = context.prepared.subject.device
    placed = {name: one.dictionary.to(device) for name, one in selected.items()}
    places = sample.places(placed.values())
    spread = np.linspace(0, len(places) - 1, min(GRAM_TOKENS, len(places))).round().astype(np.int64)
    few, folder = places[torch.from_numpy(spread)], context.prepared.work_folder
    grams = {name: _gram(one, sample, few, folder) for name, one in placed.items()}
    asked = {name: _activations_of(placed[name], sample, places, chosen[name]) for name in placed}
    order = rng_for(context.config.seed, "similarity").permutation(len(few))
    alike = {(a, b): _alike(grams[a], grams[b], order) for a, b in combinations(placed, 2)}
    rows = []
    for b, other in placed.items():
        others = [name for name in placed if name != b]

        def activations(of: Dictionary = other) -> Iterator[Tensor]:
            for x, _ in portions(of, sample, places):
                yield of.encode(x.to(device))

        together = torch.cat([asked[name] for name in others], dim=1)
        matches = best_matches(together, activations, other.n_features)
        ends = np.cumsum([asked[name].shape[1] for name in others]).tolist()
        for a, first, last in zip(others, [0, *ends], ends, strict=False):
            mine = slice(first, last)
            cosines = _largest_cosines(placed[a], other, chosen[a])
            row = {"a": a, "b": b, "n_tokens": len(together)}
            row |= _matched(BestMatches(matches.feature[mine], matches.correlation[mine]), cosines)
            rows.append(row | (alike.get((a, b)) or alike[b, a]))
        advance(1)
    return sorted(rows, key=lambda row: (row["a"], row["b"]))


def _gram(dictionary: Dictionary, sample: PlacedSample, places: Tensor, folder: Path) -> TokenGram:
    """Of these tokens; the activations of all features lie on disk meanwhile."""
    activations, filled = array_on_disk(folder, (len(places), dictionary.n_features)), 0
    for x, _ in portions(dictionary, sample, places):
        activations[filled : filled + len(x)] = dictionary.encode(x.to(dictionary.directions.device)).cpu()
        filled += len(x)
    return token_gram(activations)


def _activations_of(dictionary: Dictionary, sample: PlacedSample, places: Tensor, features: Int64) -> Tensor:
    """[N, m] of these features."""
    columns = torch.from_numpy(features)
    device = dictionary.directions.device
    parts = [dictionary.encode(x.to(device)).cpu()[:, columns] for x, _ in portions(dictionary, sample, places)]
    return torch.cat(parts)


def _largest_cosines(a: Dictionary, b: Dictionary, features: Int64) -> Float64 | None:
    """[m] of the directions of features of A with any of B's; None where they write elsewhere."""
    incomplete = [isinstance(one, SparseAutoencoder) and one.incomplete is not None for one in (a, b)]
    if any(incomplete) or written_hook(a) != written_hook(b):
        return None
    mine = unit_rows(a.directions[torch.from_numpy(features).to(a.directions.device)])
    best: Float64 = (mine @ unit_rows(b.directions).T).max(dim=1).values.double().cpu().numpy()
    return best


def _matched(matches: BestMatches, cosines: Float64 | None) -> dict[str, Any]:
    known = matches.correlation[matches.feature >= 0]
    shares = {f"share_{100 * level:03.0f}": _mean(known >= level) for level in LEVELS}
    cosine = None if cosines is None else _mean(cosines)
    return {
        "n_features": len(matches.feature), "n_compared": len(known), "correlation": _mean(known), **shares,
        "cosine": cosine,
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
