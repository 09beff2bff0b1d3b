"""Texts that are written with the direction of a planted feature added: what the scorer intervention asks about.

1. Who writes draws tokens by their frequency in the text, tilted by exp(s x effect): the effect is the one that is
   measured of the feature, and s the size at which the frequency is KL nats from it, as a run counts: the same for all.
2. N_BEGINNINGS texts a feature, of N_TOKENS tokens each. All features' texts of one beginning are drawn with the same
   numbers, as a run draws them: what differs is the direction's doing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.config.effects import EffectsSection
from autointerp.hashing import hash01, stream_key
from autointerp.records import Float64
from autointerp.score.scorers.intervention import TextOfFeature
from autointerp.score.selftest.planted import PlantedFeature, effect_direction, readable_tokens
from autointerp.score.selftest.text import SelftestText

KL = 1.0
"""Nats; of those that a run offers the largest."""
LARGEST_SIZE, HALVINGS = 2.0**12, 50


def written_texts(
    text: SelftestText, features: Sequence[PlantedFeature], texts: Sequence[str], seed: int
) -> dict[int, list[TextOfFeature]]:
    """By feature; `texts` of the vocabulary, as they are shown."""
    usable = np.flatnonzero((text.counts > 0) & readable_tokens(text))
    rows = text.unembedding[usable].astype(np.float64)
    rows -= rows.mean(axis=0)
    frequency = text.counts[usable] / text.counts[usable].sum()
    usual = EffectsSection()
    number, place = np.arange(usual.steered_texts)[:, None], np.arange(usual.steered_tokens)
    noise = hash01(stream_key(seed, "selftest", "texts"), number, place)
    written = {}
    for feature in features:
        effect = rows @ effect_direction(seed, feature.number, rows.shape[1], "measured")
        chances = np.cumsum(tilted(frequency, effect, size_at(frequency, effect, KL)))
        drawn = usable[np.minimum(np.searchsorted(chances, noise, side="right"), len(usable) - 1)]
        written[feature.number] = [
            TextOfFeature(n, tuple(texts[token] for token in tokens)) for n, tokens in enumerate(drawn.tolist())
        ]
    return written


def tilted(frequency: Float64, effect: Float64, size: float) -> Float64:
    """[n] the frequencies times exp(size x effect), which add up to 1."""
    logit = np.log(frequency) + size * effect
    chance = np.exp(logit - logit.max())
    return np.asarray(chance / chance.sum(), dtype=np.float64)


def divergence(frequency: Float64, chance: Float64) -> float:
    """KL(frequency || chance) in nats."""
    return float(np.sum(frequency * np.log(frequency / np.maximum(chance, 1e-300))))


def size_at(frequency: Float64, effect: Float64, kl: float) -> float:
    """The size at which the divergence is `kl`: it rises with the size."""
    low, high = 0.0, LARGEST_SIZE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if divergence(frequency, tilted(frequency, effect, middle)) < kl else (low, middle)
    return high
