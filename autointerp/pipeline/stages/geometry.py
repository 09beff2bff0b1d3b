"""Stage geometry: where features' directions lie among each other, beside random ones, and what their activations cost
to tell; or the reason why that cannot be said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.extract.ablate import written_scale
from autointerp.extract.description_length import PRECISION, LevelCounts
from autointerp.extract.geometry import DIRECTIONS, DirectionGeometry, beside_others, unit_rows
from autointerp.extract.selected import Selected
from autointerp.extract.sensitivity import neuron_outputs
from autointerp.hashing import rng_for
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.rows.geometry_rows import geometry_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_placed
from autointerp.records import Float64, Int64
from autointerp.subject.baselines import FAMILIES, take_sample
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder, written_hook
from autointerp.subject.fit import FitSums
from autointerp.subject.outliers import past_limit

STAGE = "geometry"
ACTIVATIONS_AT_ONCE = 1 << 22
"""Activations that are encoded together, 16 MB."""


@dataclass(frozen=True)
class PlacedSample:
    """Activations at every hook that the dictionaries of a run read or write, on the same N tokens, in one order."""

    by_hook: dict[str, Tensor]
    """[N, d] float32"""
    outlier: dict[str, Tensor]
    """[N] bool, by hook"""

    def places(self, dictionaries: Iterable[Dictionary]) -> Tensor:
        """[n] the tokens that are an outlier at none of the hooks that these read or write, in order."""
        hooks = {hook for one in dictionaries for hook in (one.hook, written_hook(one))}
        past = torch.zeros(len(next(iter(self.by_hook.values()))), dtype=torch.bool)
        for hook in hooks & self.outlier.keys():
            past |= self.outlier[hook]
        return (~past).nonzero()[:, 0]


def take_placed_sample(
    context: StageContext, dictionaries: Sequence[Dictionary], progress: Callable[[int], None]
) -> PlacedSample:
    """One pass over the first contexts of those that diagnostics look at."""
    subject, tokens, config = context.prepared.subject, context.tokens, context.config
    hooks = sorted({hook for one in dictionaries for hook in (one.hook, written_hook(one))})
    folder, n = context.prepared.work_folder, config.effects.geometry_tokens
    sample = take_sample(subject, tokens, hooks, config.seed, folder, n, progress)
    limits = context.norm_limits(hooks)
    return PlacedSample(
        sample.by_hook, {hook: past_limit(sample.by_hook[hook], limit) for hook, limit in limits.items()}
    )


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One sample for all dictionaries, then one after the other."""
    missing = by_dictionary(works)
    dictionaries, begun = context.open(missing), time.monotonic()
    chosen = choose_placed(context, missing)
    with context.report.stage("geometry: a sample of tokens", None, "tokens") as advance:
        sample = take_placed_sample(context, [one.dictionary for one in dictionaries.values()], advance)
    shared = (time.monotonic() - begun) / len(missing)
    n = len(DIRECTIONS) * sum(map(len, chosen.values()))
    with context.report.stage("geometry", n, "directions") as advance:
        for name, [work] in missing.items():
            begun, features = time.monotonic(), chosen[name]
            tables: list[tuple[str, dict[str, Any]]] = []
            try:
                placed = place(context, name, dictionaries[name], features, sample, advance)
                tables.append(("feature_geometry", geometry_rows(work.key, name, features, placed)))
            except InputError as error:
                tables.append(_failed(name, "directions", error))
            try:
                length = describe(dictionaries[name].dictionary, sample, context.prepared.subject.device)
                row = {"run": work.key, "dictionary": name, **length}
                tables.append(("description_lengths", {key: [value] for key, value in row.items()}))
            except InputError as error:
                tables.append(_failed(name, "description length", error))
            with context.store.transaction() as transaction:
                n_rows = sum(transaction.append(table, rows) for table, rows in tables)
                context.mark_done(transaction, work, n_rows, shared + time.monotonic() - begun)
    context.publish()


def _failed(name: str, what: str, error: InputError) -> tuple[str, dict[str, Any]]:
    reason = f"{what}: {error}"
    return "failures", failure_rows(STAGE, name, [None], None, [None], ["not_possible"], [reason])


def place(
    context: StageContext,
    name: str,
    selected: Selected,
    features: Int64,
    sample: PlacedSample,
    advance: Callable[[int], None],
) -> list[DirectionGeometry]:
    """By DIRECTIONS. Raises InputError where a feature has no single direction."""
    dictionary, subject = selected.dictionary, context.prepared.subject
    refuse_incomplete(dictionary)
    hook = written_hook(dictionary)
    rows = unit_rows(dictionary.directions.to(subject.device))
    unit = getattr(dictionary, "unit", None)
    units = np.arange(len(rows)) if unit is None else unit.cpu().numpy().astype(np.int64)
    outputs = neuron_outputs(subject, hook)
    neurons = None if outputs is None else unit_rows(outputs.to(subject.device))
    covariance = FAMILIES["random_covariance"](sample.by_hook[hook][sample.places([dictionary])])

    def random(direction: str) -> Float64:
        drawn = np.empty((len(features), rows.shape[1]))
        for row, feature in enumerate(features.tolist()):
            rng = rng_for(context.config.seed, STAGE, direction, name, feature)
            drawn[row] = rng.standard_normal(rows.shape[1]) if direction == "isotropic" else covariance(rng)
        return drawn

    placed = []
    for direction in DIRECTIONS:
        own = direction == "feature"
        at = torch.from_numpy(features).to(dictionary.directions.device)
        vectors = dictionary.directions[at].cpu().double().numpy() if own else random(direction)
        placed.append(beside_others(rows, units, vectors, features, neurons, advance))
    return placed


def describe(dictionary: Dictionary, sample: PlacedSample, device: torch.device) -> dict[str, Any]:
    """Columns of `description_lengths`. Raises InputError where it is not known what a feature contributes."""
    refuse_incomplete(dictionary)
    dictionary = dictionary.to(device)
    hook = written_hook(dictionary)
    places = sample.places([dictionary])
    target = sample.by_hook[hook][places]
    step = PRECISION * float(target.norm(dim=1).median())
    if step == 0:
        raise InputError(f"the activations at {hook} have no length")
    norms = dictionary.directions.norm(dim=1)
    of_features = LevelCounts(dictionary.n_features, step, device, signed=False)
    of_coordinates = LevelCounts(target.shape[1], step, device, signed=True)
    mean = target.double().mean(dim=0).float().to(device)
    fit = FitSums(dictionary) if isinstance(dictionary, SparseAutoencoder) else None
    for x, written in portions(dictionary, sample, places):
        scale = written_scale(dictionary, x)
        acts = dictionary.encode(x.to(device))
        contributed = acts * norms
        of_features.add(contributed if scale is None else contributed * scale.to(device))
        of_coordinates.add(written.to(device) - mean)
        if fit is not None:
            fit.add_encoded(x.to(device), acts, written.to(device) if dictionary.hook != hook else None)
    return {
        "n_tokens": of_features.n_tokens,
        "step": step,
        "bits": float(of_features.entropies().sum()),
        "n_active": of_features.mean_active,
        "coordinate_bits": float(of_coordinates.entropies().sum()),
        "n_cut": of_features.n_cut,
        "variance_explained": None if fit is None else fit.fit.variance_explained_all,
    }


def portions(dictionary: Dictionary, sample: PlacedSample, places: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What the dictionary reads at these tokens and what stands where it writes, some tokens at a time."""
    at_once = max(1, ACTIVATIONS_AT_ONCE // dictionary.n_features)
    for first in range(0, len(places), at_once):
        some = places[first : first + at_once]
        yield sample.by_hook[dictionary.hook][some], sample.by_hook[written_hook(dictionary)][some]


def refuse_incomplete(dictionary: Dictionary) -> None:
    """Raises InputError where a feature writes to several places."""
    if isinstance(dictionary, SparseAutoencoder) and dictionary.incomplete is not None:
        raise InputError("a feature writes to several places of the model")
