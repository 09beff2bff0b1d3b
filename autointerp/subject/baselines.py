"""Baselines: neurons, components and random directions, made as much like the dictionary beside them as can be.

A baseline unit is `relu(s (x.d - mu) - theta)`:

1. A hash sample of the explain split's contexts (pass 0) gives activations at the hook.
2. Directions. `random_isotropic`: a normal draw. `random_covariance`: the difference of two draws from
   N(mean, covariance) of the activations. `activation_difference`: of two real activations. Each of
   norm 1, each from a generator of its own. Neurons and the residual basis are the hook's coordinates. Principal and
   independent components: components.py. A fresh SAE's: what its encoder reads, without the competition of a TopK.
3. mu is the mean of x.d; s the sign of its skewness.
4. theta is put where the unit fires as often, on the same sample, as the feature it is paired with.
   Pairs are drawn by hash without replacement; where units run out they are used again, and counted. Where fewer
   components are asked for than there are, they are the first (largest variance, least normal).
   A feature with too few firings leaves its unit unmatched: it never fires, and stays in denominators.

Unmatched kinds (no `match`) stand at their natural density: theta 0; neurons in both signs, as features
i and i + d, and not centred; directions centred, by the larger skewness (at none: positive). Components past the rank
never fire. `NAME@natural` has the units of the matched baseline NAME, feature by feature, at theta 0.

Covariance sampling follows Heimersheim's `cov_random mixture`, but with the symmetric square root of
the covariance instead of a Cholesky factor, so nothing is added to its diagonal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.config.dictionary import Dictionary as DictionaryConfig
from autointerp.errors import InputError
from autointerp.hashing import hash64, rng_for, stream_key
from autointerp.records import Float32, Int64
from autointerp.subject.activations import iterate_activations
from autointerp.subject.components import covariance, independent_components, principal_components
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder, Units
from autointerp.subject.model import Subject
from autointerp.subject.random_init import random_init_sae
from autointerp.subject.tokens import TokenFile
from autointerp.words import BASIS_KINDS, COMPONENT_KINDS, NATURAL, RANDOM_KINDS

SAMPLE_TOKENS = 1 << 18
"""Tokens of the pass 0 sample, at most."""
MATCH_AT_LEAST = 100
"""Firings on the explain split below which a feature is not matched."""
PLACE_AT_LEAST = 10
"""Firings in the sample below which theta cannot be placed."""
ROUNDING = 1e-6
"""Values this near, of the largest, may be one value: float32 products differ so much with the shape of a batch."""
BLOCK = 64  # units fitted at once: 64 x 262,144 floats are 67 MB


@dataclass(frozen=True)
class Sample:
    """Activations of pass 0, on disk: hook -> [N, d] float32, rows in the order of the token file."""

    by_hook: dict[str, Tensor]
    share: float
    """Tokens of the sample / tokens of the explain split."""


@dataclass(frozen=True)
class Target:
    """The dictionary that baselines are matched to."""

    features: Int64  # those selected, rising
    n_firing: Int64  # firings of each in the sample


def sample_contexts(tokens: TokenFile, seed: int, n_tokens: int = SAMPLE_TOKENS) -> Int64:
    """Contexts of the explain split of smallest hash, until they hold `n_tokens` scored tokens; rising."""
    contexts = tokens.contexts_of("explain")
    order = contexts[np.argsort(hash64(stream_key(seed, "pass 0"), contexts), kind="stable")]
    reached = np.cumsum(tokens.scored(order).sum(axis=1))
    return np.sort(order[: int(np.searchsorted(reached, n_tokens)) + 1])


def take_sample(
    subject: Subject,
    tokens: TokenFile,
    hooks: Sequence[str],
    seed: int,
    folder: Path,
    n_tokens: int = SAMPLE_TOKENS,
    progress: Callable[[int], None] = lambda _: None,
) -> Sample:
    """Pass 0: the sample's activations at `hooks`, in files of `folder`."""
    contexts = sample_contexts(tokens, seed, n_tokens)
    n = int(tokens.scored(contexts).sum())
    by_hook = {hook: array_on_disk(folder, (n, subject.width(hook))) for hook in hooks}
    filled = 0
    for batch in iterate_activations(subject, tokens, hooks, contexts):
        rows = int(batch.scored.sum())
        for hook, activation in batch.by_hook.items():
            by_hook[hook][filled : filled + rows] = activation.cpu()[batch.scored]
        filled += rows
        progress(rows)
    assert filled == n
    return Sample(by_hook, share=n / max(1, int(tokens.scored(tokens.contexts_of("explain")).sum())))


def array_on_disk(folder: Path, shape: tuple[int, int]) -> Tensor:
    """A float32 tensor in a file of `folder` that has no name any more and goes with the tensor."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="pass0-", delete=False) as file:
        array = np.memmap(file.name, np.float32, "w+", shape=shape)
    Path(file.name).unlink()  # the mapping lives on, the name need not
    return torch.from_numpy(array)


@dataclass(frozen=True)
class Lines:
    """The directions of a baseline's units."""

    n_units: int
    reads: Tensor | None  # [n_units, d]; None: coordinates
    writes: Tensor | None = None  # [n_units, d] where a unit writes what it does not read
    facts: dict[str, Any] | None = None


def make_units(
    config: DictionaryConfig,
    hook: str,
    sample: Sample,
    seed: int,
    target: Target | None,
    like: SparseAutoencoder | None = None,
) -> Units:
    """The baseline of `config` at `hook`, matched to the features of `target` where there is one.

    `like`: the dictionary that a fresh SAE has the architecture of.
    """
    x = sample.by_hook[hook]
    d_in = int(x.shape[1])
    n = n_baseline_features(config, d_in, None if target is None else len(target.features))
    lines = _lines(config, n, x, seed, like)
    if target is None:
        return _natural(config, hook, x, n, lines)
    order = match_order(target.features, seed, config.match or "")[:n]
    places = np.searchsorted(target.features, order)
    if lines.reads is None:
        units = np.argsort(hash64(stream_key(seed, "units", config.name), np.arange(d_in)), kind="stable")
    else:
        units = np.arange(lines.n_units)
    unit = np.resize(units, n).astype(np.int64)
    direction, written = _of_units(lines, unit)
    n_firing = target.n_firing[places]
    enough = (n_firing / max(sample.share, 1e-12) >= MATCH_AT_LEAST) & (n_firing >= PLACE_AT_LEAST)
    sign, mu, theta = _fit(x, unit, direction, np.where(enough, n_firing, 0))
    return Units(
        kind=config.kind,
        hook=hook,
        d_in=d_in,
        unit=torch.from_numpy(unit),
        direction=direction,
        sign=sign,
        mu=mu,
        theta=theta,
        matched_to=config.match,
        matched_feature=torch.from_numpy(order),
        matched=tuple(bool(item) for item in enough),
        written=written,
        config=lines.facts or {},
    )


def natural_twin(name: str, units: Units) -> Units:
    """The units of the matched baseline `name`, feature by feature, as the unmatched kind has them."""
    mu = torch.zeros_like(units.mu) if units.direction is None else units.mu
    theta = torch.zeros_like(units.theta)
    return replace(units, mu=mu, theta=theta, natural_of=name)


def natural_name(name: str) -> str:
    return name + NATURAL


def base_name(name: str) -> str:
    """The baseline whose units a dictionary has: that which a twin is named after."""
    return name.removesuffix(NATURAL)


def _lines(config: DictionaryConfig, n: int, x: Tensor, seed: int, like: SparseAutoencoder | None) -> Lines:
    """The directions of the units of `config`, at most `n`."""
    d_in = int(x.shape[1])
    if config.kind in BASIS_KINDS:
        return Lines(d_in, None)
    if config.kind == "random_init_sae":
        assert like is not None
        fresh = random_init_sae(like, config.name, seed, config.match or "")
        return Lines(n, fresh.W_enc.T[:n].contiguous(), None, fresh.config)
    if config.kind not in COMPONENT_KINDS:
        return Lines(n, directions(config.kind, config.name, n, x, seed))
    if config.kind == "pca":
        axes = principal_components(x, n)
        return Lines(len(axes.reads), axes.reads, facts=axes.facts)
    found = independent_components(x, n, seed, config.name)
    return Lines(len(found.reads), found.reads, found.writes, found.facts)


def _of_units(lines: Lines, unit: Int64) -> tuple[Tensor | None, Tensor | None]:
    index = torch.from_numpy(unit)
    return (
        None if lines.reads is None else lines.reads[index],
        None if lines.writes is None else lines.writes[index],
    )


def match_order(features: Int64, seed: int, dictionary: str) -> Int64:
    """Features of a dictionary in the order in which baselines are paired with them, whatever the baseline."""
    return features[np.argsort(hash64(stream_key(seed, "match", dictionary), features), kind="stable")]


def n_baseline_features(config: DictionaryConfig, d_in: int, n_target: int | None) -> int:
    """How many features a baseline has. Raises InputError where it cannot have as many as asked for."""
    if n_target is not None:
        if config.n_features is not None and config.n_features > n_target:
            raise InputError(
                f'dictionary "{config.name}": n_features = {config.n_features}, but "{config.match}" has {n_target} '
                "features to match"
            )
        return config.n_features or n_target
    if config.kind in COMPONENT_KINDS:
        if config.n_features is not None and config.n_features > d_in:
            raise InputError(
                f'dictionary "{config.name}": n_features = {config.n_features}, but activations of width {d_in} have '
                f"{d_in} components at most"
            )
        return config.n_features or d_in
    if config.kind not in BASIS_KINDS:
        assert config.n_features is not None
        return config.n_features
    if config.n_features is not None:
        what = "neurons" if config.kind == "neurons" else "basis directions"
        raise InputError(
            f'dictionary "{config.name}": unmatched {what} are all {2 * d_in} (both signs); choose with features = ...'
        )
    return 2 * d_in


def _natural(config: DictionaryConfig, hook: str, x: Tensor, n: int, lines: Lines) -> Units:
    d_in = int(x.shape[1])
    if lines.reads is None:
        return Units(
            kind=config.kind,
            hook=hook,
            d_in=d_in,
            unit=torch.arange(n) % d_in,
            direction=None,
            sign=torch.cat([torch.ones(d_in), -torch.ones(d_in)]),
            mu=torch.zeros(n),
            theta=torch.zeros(n),
        )
    there = np.arange(lines.n_units)
    sign, mu, _ = _fit(x, there, lines.reads, np.zeros(len(there), np.int64))
    past = n - len(there)  # components past the rank: nothing to read, never firing
    theta = torch.cat([torch.zeros(len(there)), torch.full((past,), torch.inf)])
    return Units(
        kind=config.kind,
        hook=hook,
        d_in=d_in,
        unit=torch.arange(n),
        direction=_padded(lines.reads, past),
        sign=torch.cat([sign, torch.ones(past)]),
        mu=torch.cat([mu, torch.zeros(past)]),
        theta=theta,
        written=None if lines.writes is None else _padded(lines.writes, past),
        config=lines.facts or {},
    )


def _padded(rows: Tensor, n: int) -> Tensor:
    return torch.cat([rows, torch.zeros(n, rows.shape[1])]) if n else rows


def directions(kind: str, name: str, n: int, x: Tensor, seed: int) -> Tensor:
    """`n` unit vectors of a random family, [n, d]; each from the generator (seed, kind, name, unit)."""
    assert kind in RANDOM_KINDS
    d = int(x.shape[1])
    root = _root_covariance(x) if kind == "random_covariance" else None
    found = np.empty((n, d), dtype=np.float64)
    for unit in range(n):
        rng = rng_for(seed, kind, name, unit)
        if kind == "activation_difference":
            first, second = rng.choice(len(x), size=2, replace=False)
            found[unit] = (x[int(first)].double() - x[int(second)].double()).numpy()
        else:
            draw = rng.standard_normal((2, d))
            found[unit] = draw[0] if root is None else (draw[0] - draw[1]) @ root
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    return torch.from_numpy((found / np.maximum(norm, 1e-30)).astype(np.float32))


def _root_covariance(x: Tensor) -> np.ndarray:
    """Symmetric square root of the covariance of the rows of x, float64 [d, d]."""
    values, vectors = np.linalg.eigh(covariance(x))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def count_firings(dictionary: Dictionary, x: Tensor, features: Int64) -> Target:
    """Rows of x on which each of `features` fires."""
    counts = np.zeros(dictionary.n_features, dtype=np.int64)
    for first in range(0, len(x), 4096):
        counts += (dictionary.encode(x[first : first + 4096]) > 0).sum(dim=0).numpy()
    return Target(features, counts[features])


def _fit(x: Tensor, unit: Int64, direction: Tensor | None, n_firing: Int64) -> tuple[Tensor, Tensor, Tensor]:
    """Sign, mean and threshold of each unit; theta is infinite where n_firing is 0."""
    sign = torch.empty(len(unit))
    mu = torch.empty(len(unit))
    theta = torch.full((len(unit),), torch.inf)
    transposed = x.T
    mean = x.mean(dim=0, dtype=torch.float64)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for first in range(0, len(unit), BLOCK):
            block = slice(first, first + BLOCK)
            if direction is None:
                index = torch.from_numpy(unit[block])
                z, centre = transposed[index], mean[index]  # [units, N], [units]
            else:
                z, centre = direction[block] @ transposed, direction[block].double() @ mean
            z = z - centre.float()[:, None]
            skewed = (z * z * z).sum(dim=1) < 0
            z[skewed] *= -1
            sign[block] = torch.where(skewed, -1.0, 1.0)
            mu[block] = centre.float()
            found = threads.map(threshold_for, z.numpy(), n_firing[block].tolist())
            theta[block] = torch.tensor(list(found), dtype=torch.float32)
    return sign, mu, theta


def threshold_for(values: Float32, n_above: int) -> float:
    """A threshold that exactly `n_above` of the values exceed: between two order statistics.

    Where these are equal up to rounding (the same token after BOS has the same activation in every context), all of
    the equal values fire or none, whichever is nearer: on the threshold itself, rounding would decide. Infinite for 0:
    the unit never fires.
    """
    if n_above <= 0:
        return float("inf")
    if n_above >= len(values):
        return float(values.min()) - 1.0
    parted = np.partition(values, len(values) - n_above - 1)
    below, above = float(parted[len(values) - n_above - 1]), float(parted[len(values) - n_above :].min())
    rounding = ROUNDING * float(max(values.max(), -values.min()))
    if above - below > rounding:
        return (below + above) / 2
    higher, lower = values[values > above + rounding], values[values < below - rounding]
    n_higher, n_tied = len(higher), len(values) - len(higher) - len(lower)
    if n_higher and n_above - n_higher <= n_tied / 2:
        return (above + float(higher.min())) / 2
    return (below + float(lower.max())) / 2 if len(lower) else below - 1.0
