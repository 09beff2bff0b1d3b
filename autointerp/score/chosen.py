"""What the metrics of the registry compute of questions where one window is chosen, and of generated texts."""

from __future__ import annotations

import numpy as np

from autointerp.score import fade, metrics
from autointerp.score.metric import Measured, measured
from autointerp.score.metrics import Value
from autointerp.score.predictions import LEAST_QUESTIONS, N_OPTIONS, N_TEXTS, Chosen, Generated, Picked

REACHED = 0.5
"""Share of the feature's own firing windows that a text must reach to count as one that it fires on."""


def choice_accuracy(of: Chosen) -> Measured:
    """Share of questions whose right option has the highest probability; several highest ones share it."""
    n = of.choices.n_questions
    if n < LEAST_QUESTIONS:
        return Measured(None, "no_items", 0)
    probability = of.probability.reshape(n, N_OPTIONS)
    right = of.choices.right.reshape(n, N_OPTIONS)
    answered = ~np.isnan(probability).any(axis=1)
    n_answered = int(answered.sum())
    if not n_answered:
        return Measured(None, "failed", 0, n)
    highest = probability[answered] == probability[answered].max(axis=1, keepdims=True)
    share = (highest & right[answered]).sum(axis=1) / highest.sum(axis=1)
    return Measured(float(share.mean()), "ok", n_answered, n - n_answered)


def intervention_accuracy(of: Picked) -> Measured:
    """Share of questions whose right text has the highest probability; several highest ones share it."""
    n = of.options.n_questions
    if n < LEAST_QUESTIONS:
        return Measured(None, "no_items", 0)
    probability = of.probability.reshape(n, N_TEXTS)
    if np.isnan(probability).any():
        return Measured(None, "failed", 0, n)
    highest = probability == probability.max(axis=1, keepdims=True)
    share = (highest & of.options.right.reshape(n, N_TEXTS)).sum(axis=1) / highest.sum(axis=1)
    return Measured(float(share.mean()), "ok", n)


def faithfulness(of: Picked) -> Measured:
    """FADE's gain by steering, over the texts that were picked: a text that is picked counts as one that expresses the
    label; those of other directions at the same KL stand for unsteered ones. A random pick lies above 0, the least."""
    told = intervention_accuracy(of)
    if told.value is None:
        return told
    others = (1.0 - told.value) / (N_TEXTS - 1)
    return measured(fade.faithfulness({fade.FAITHFULNESS_UNSTEERED: others, 1.0: told.value}), told.n, told.n_failed)


def generation_accuracy(of: Generated) -> Measured:
    """Mean of the share of intended texts that reach the median of the feature's own maxima and of the others' that do
    not."""
    read = of.answered
    return _generated(of, metrics.balanced_accuracy(of.intended[read], of.reached[read] >= REACHED))


def generation_auroc(of: Generated) -> Measured:
    """How often an intended text has the larger activation of two."""
    read = of.answered
    return _generated(of, metrics.auroc(of.intended[read], of.maximum[read]))


def clarity(of: Generated) -> Measured:
    """FADE's, of the texts that were written to fire, against all windows of the corpus; the sign is kept."""
    ranks = of.corpus_rank[of.answered & of.intended]
    value = Value(None, "failed" if len(of) else "no_items")
    if len(ranks):
        value = Value(2.0 * float(ranks.mean()) - 1.0, "ok")
    return measured(value, len(ranks), int(of.intended.sum()) - len(ranks))


def _generated(of: Generated, value: Value) -> Measured:
    n = int(of.answered.sum())
    return measured(value if n else Value(None, "failed" if len(of) else "no_items"), n, len(of) - n)
