"""One sparse feature on a corpus, its label and a cheap simulator of it: all windows, and samples as a run draws them.

100,000 windows of 32 tokens in 5,000 documents. Firings cluster by document (a gamma rate of shape 0.5) and activations
have a document effect; with heavy tails they are lognormal (sigma 1), with light ones gamma. The label:
- right: a noisy value on 82 % of the firings, and .28 as many false alarms;
- broad: right on every firing, and fires on three times as many other tokens;
- narrow: knows half of the firings;
- near 1: the activation itself, but for one firing in a hundred.
The cheap simulator is another one: it knows 85 % of the firings, with values drawn towards each other, and raises as
many false alarms as there are firings. What either of the two fires on is listed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp.score.class_names import FIRING
from autointerp.score.listed import leverages
from autointerp.score.metrics import pearson
from autointerp.score.quotas import QUOTAS_60, half_neyman
from autointerp.score.sampling import class_sizes, classify, draw, firing_limits, pad_windows

N_WINDOWS, LENGTH, N_DOCUMENTS = 100_000, 32, 5_000
PER_DOCUMENT = N_WINDOWS // N_DOCUMENTS
RESERVOIR, POOL = 256, 20_000
LABELS = {"right": (0.82, 0.5, 0.28), "broad": (1.0, 0.3, 3.0), "narrow": (0.5, 0.3, 0.05), "near 1": (0.99, 0.0, 0.0)}
"""Share of the firings that it knows, noise of its values, false alarms a firing."""
DENSITIES = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class World:
    moments: np.ndarray  # [W, 6] of the label
    cheap: np.ndarray  # [W, 6] of the cheap simulator
    classes: np.ndarray  # [W]
    truth: float


@dataclass(frozen=True)
class Draws:
    """Samples of one feature, side by side."""

    moments: np.ndarray
    classes: np.ndarray
    sizes: np.ndarray
    available: np.ndarray


def place(rng: np.random.Generator, n: int) -> np.ndarray:
    """Token positions of n events that cluster by document."""
    rate = rng.gamma(0.5, 1.0, N_DOCUMENTS)
    document = rng.choice(N_DOCUMENTS, size=int(n * 1.15) + 5, p=rate / rate.sum())
    window = document * PER_DOCUMENT + rng.integers(0, PER_DOCUMENT, document.size)
    tokens = np.unique(window * LENGTH + rng.integers(0, LENGTH, document.size))
    rng.shuffle(tokens)
    return tokens[:n]


def alarms(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.gamma(1.5, 2.0, n) / 3.0


def window_sums(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    t, p = truth.reshape(N_WINDOWS, LENGTH), prediction.reshape(N_WINDOWS, LENGTH)
    sums = [x.sum(axis=1) for x in (t, p, t * t, p * p, t * p)]
    return np.stack([np.full(N_WINDOWS, float(LENGTH)), *sums], axis=1)


def make_world(density: float, label: str, seed: int, *, heavy: bool = True) -> World:
    rng = np.random.default_rng([seed, list(LABELS).index(label), int(1 / density), heavy])
    firing = place(rng, int(density * N_WINDOWS * LENGTH))
    n = firing.size
    activation = np.exp(rng.normal(0.0, 1.0, n)) if heavy else rng.gamma(1.5, 2.0, n)
    activation *= np.exp(rng.normal(0.0, 0.3, N_DOCUMENTS))[firing // LENGTH // PER_DOCUMENT] / activation.mean()
    truth, prediction, cheap = np.zeros((3, N_WINDOWS * LENGTH))
    truth[firing] = activation
    known, noise, extra = LABELS[label]
    said = activation * np.exp(rng.normal(0.0, noise, n)) if noise else activation
    prediction[firing] = np.where(rng.random(n) < known, said, 0.0)
    simple = np.sqrt(activation) * np.exp(rng.normal(0.0, 0.4, n))
    cheap[firing] = np.where(rng.random(n) < 0.85, simple, 0.0)
    for values, share, size in ((prediction, extra, 1.0), (cheap, 1.0, 0.4)):
        spurious = place(rng, int(share * n))
        spurious = spurious[truth[spurious] == 0]
        values[spurious] = alarms(rng, spurious.size) * size
    maximum = truth.reshape(N_WINDOWS, LENGTH).max(axis=1)
    heights = maximum[maximum > 0]
    is_top = np.zeros(N_WINDOWS, bool)
    is_top[np.argsort(-maximum)[:20]] = True
    listed = ((prediction != 0) | (cheap != 0)).reshape(N_WINDOWS, LENGTH).any(axis=1)
    has_token = rng.random(N_WINDOWS) < min(0.2, heights.size / N_WINDOWS)
    classes = classify(maximum, is_top, listed, has_token, firing_limits(heights))
    moments = window_sums(truth, prediction)
    return World(moments, window_sums(truth, cheap), classes, float(pearson(moments.sum(axis=0))))


def draw_many(world: World, n_draws: int, seed: int, *, neyman: bool = True) -> Draws:
    """Each from a reservoir and a pool of its own, so that class sizes are estimated as in a run."""
    rng = np.random.default_rng([seed, 7])
    fires = world.classes <= FIRING[-1]
    top, firing = np.flatnonzero(world.classes == 0), np.flatnonzero(fires)
    rows, kinds, sizes, available = [], [], [], []
    for _ in range(n_draws):
        reservoir = rng.permutation(firing)[:RESERVOIR]
        pool = np.unique(rng.integers(0, N_WINDOWS, POOL))
        candidates = np.concatenate([top, reservoir[world.classes[reservoir] > 0], pool[~fires[pool]]])
        classes = world.classes[candidates]
        counts = np.bincount(classes, minlength=9)
        size = class_sizes(N_WINDOWS, len(firing), counts)
        quotas = np.array(QUOTAS_60)
        if neyman:
            quotas = half_neyman(quotas, leverages([world.cheap[candidates]], classes, size), counts)
        sample = draw(classes, rng.random(candidates.size), size, quotas)
        rows.append(world.moments[candidates[sample.index]])
        kinds.append(sample.classes)
        sizes.append(size)
        available.append(sample.available)
    moments, padded = pad_windows(rows, kinds)
    return Draws(moments, padded, np.array(sizes), np.array(available))
