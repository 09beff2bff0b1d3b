"""Panel of a feature: how strong it fires, on each split, in octaves and in equal steps."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.records import SPLITS
from autointerp.store.query import Queryable

EFFECT_STEP = 0.5
"""Standard deviations; `extract.effects.BIN`, which loads the subject's half."""
FIRST_OCTAVE = -16
"""Bin i of the octaves holds [2^(i-16), 2^(i-15))."""


@dataclass(frozen=True)
class ActivationHistogram:
    """The positive activations of one split."""

    split: str
    n_tokens: int
    n_firing: int
    max_activation: float
    upper: float
    """Upper edge of the equal steps."""
    linear: tuple[int, ...]
    octaves: tuple[int, ...]

    def linear_edges(self) -> list[float]:
        """The lower edge of each equal step, and the upper edge of the last."""
        return [self.upper * step / len(self.linear) for step in range(len(self.linear) + 1)]

    def octave_edges(self) -> list[float]:
        """Likewise, of the octaves."""
        return octave_edges(len(self.octaves))


@dataclass(frozen=True)
class EffectHistogram:
    """The direct logit effects of a feature on all tokens of the corpus."""

    edges: tuple[float, ...]
    """Of the bins, in standard deviations from the median; the first and the last bin are open."""
    counts: tuple[int, ...]
    skew: float | None
    excess_kurtosis: float | None


def octave_edges(n: int) -> list[float]:
    """The lower edge of each of n octaves, and the upper edge of the last."""
    return [2.0 ** (octave + FIRST_OCTAVE) for octave in range(n + 1)]


def load_histograms(store: Queryable, dictionary: str, feature: int) -> tuple[ActivationHistogram, ...]:
    """Those of the splits on which it fires."""
    rows = {row["split"]: row for row in store.rows(_HISTOGRAMS, dictionary=dictionary, feature=feature)}
    return tuple(
        ActivationHistogram(
            split,
            row["n_tokens"],
            row["n_firing"],
            row["max_activation"],
            row["histogram_upper"],
            tuple(row["histogram_linear"]),
            tuple(row["histogram_log"]),
        )
        for split in SPLITS
        if (row := rows.get(split)) and row["n_firing"]
    )


def load_effect_histogram(store: Queryable, dictionary: str, feature: int) -> EffectHistogram | None:
    """None: the feature has no direct path to the logits."""
    rows = store.rows(_EFFECTS, dictionary=dictionary, feature=feature)
    if not rows:
        return None
    promoted, suppressed = rows
    counts = (*reversed(suppressed["counts"]), *promoted["counts"])
    n = len(promoted["counts"])
    edges = tuple(EFFECT_STEP * i for i in range(-n, n + 1))
    return EffectHistogram(edges, counts, promoted["skew"], promoted["excess_kurtosis"])


_EFFECTS = """
SELECT counts, skew, excess_kurtosis FROM logit_strengths
WHERE dictionary = $dictionary AND feature = $feature ORDER BY direction
"""
_HISTOGRAMS = """
SELECT split, n_tokens, n_firing, max_activation, histogram_upper, histogram_linear, histogram_log FROM feature_splits
WHERE dictionary = $dictionary AND feature = $feature
"""
