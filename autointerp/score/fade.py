"""FADE's four measures of a feature and its description (Puri et al. 2025), the sign kept.

    clarity          do texts written from the description activate the feature more than the corpus does?
    responsiveness   do windows that a judge finds the description in activate it more than those where it does not?
    purity           how many of the strongest windows are such windows: average precision
    faithfulness     does steering the feature make texts with the description likelier?

Clarity and responsiveness are 2 AUROC - 1: 0 by chance, below 0 where the feature prefers the other side. FADE
publishes the absolute value, and turns the activations round for its purity where the sign is negative: a feature that
avoids its description then looks as good as one that follows it. Here purity never turns round.

An activation of a window or text is its largest. FADE's judge rates 0, 1 or 2 and leaves 1 out; ours says yes or no.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.score import metrics
from autointerp.score.metrics import BoolArray, FloatArray, Value

FAITHFULNESS_UNSTEERED = 0.0
"""The strength at which the subject runs as it is."""


@dataclass(frozen=True)
class NaturalWindows:
    """Windows of the corpus with the activation of one feature, and what a judge says of them."""

    concept: BoolArray
    """[n] whether the judge finds the description in it."""
    activation: FloatArray
    """[n] the feature's largest activation there; 0 where silent."""
    n_failed: int = 0
    """Windows without an answer, beside these."""


def separation(concept: npt.ArrayLike, activation: npt.ArrayLike) -> Value:
    """2 AUROC - 1 of the activations [n] for the windows or texts that are the concept's, boolean [n]."""
    area = metrics.auroc(concept, activation)
    if area.value is None:  # without any such window it is as one-sided as without any other
        return Value(None, "one_sided" if area.status == "rare" else area.status)
    return Value(2.0 * area.value - 1.0, area.status)


def clarity(on_corpus: npt.ArrayLike, on_written: npt.ArrayLike) -> Value:
    """Activations on windows of the corpus [n] against those on texts written from the description [m]."""
    natural, written = (np.asarray(x, dtype=np.float64) for x in (on_corpus, on_written))
    concept = np.repeat([False, True], [natural.size, written.size])
    return separation(concept, np.concatenate([natural, written]))


def responsiveness(windows: NaturalWindows) -> Value:
    """Of windows of the corpus."""
    return separation(windows.concept, windows.activation)


def purity(windows: NaturalWindows) -> Value:
    """Average precision of the activations for the windows that a judge finds the description in."""
    if windows.concept.size and not windows.concept.any():
        return Value(None, "one_sided")
    if windows.concept.size and windows.concept.all():
        return Value(None, "one_sided")  # 1 whatever the activations
    precise = metrics.auprc(windows.concept, windows.activation)
    return Value(None, "failed") if precise.value is None else precise


def faithfulness(share: Mapping[float, float]) -> Value:
    """From the share of texts that express the description, by steering strength, 0 (unsteered) among them.

    max(largest share - share unsteered, 0) / (1 - share unsteered). Where all unsteered texts express it nothing can be
    gained: status `saturated`, no value.
    """
    if FAITHFULNESS_UNSTEERED not in share:
        raise ValueError("the share of unsteered texts is missing")
    base = share[FAITHFULNESS_UNSTEERED]
    if base >= 1.0:
        return Value(None, "saturated")
    return Value(max(max(share.values()) - base, 0.0) / (1.0 - base), "ok")
