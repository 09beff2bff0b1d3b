"""The windows of the select split on which drafts of an explanation are tried: two halves that share no document.

    choosing   a judge says from each draft alone in which of these the feature fires; the draft that is right most
               often (balanced accuracy) is kept. The same windows for all drafts of a feature.
    shown      what the best draft gets wrong of these is shown to the explainer for a revision.

Why two halves: a revision that has seen the windows it is then judged on can fit them, by naming them or by excepting
them one by one, and would be chosen for that. Halves are of whole documents, so that no other passage of a document
that was shown chooses either. Scores are computed on the score split, of which nothing is read here: choosing the best
of n on the select split raises the number that it was chosen by, and leaves that of the score split without bias.

Items are made like those of detection (`items.py`): wrong ones like right ones, shares and order by hash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from autointerp.hashing import hash64, stream_key
from autointerp.records import Bool, Float32, Int64
from autointerp.score.metrics import Value, balanced_accuracy
from autointerp.score.predictions import Items, Judged
from autointerp.score.sampled import Candidates, take
from autointerp.score.scorers.items import detection_items
from autointerp.score.scorers.silent_windows import Silent, TokenTraits

N_CHOOSING = (28, 36)
"""Items that choose, drawn by hash: the balanced accuracy of a draft has a standard error of about .09, the difference
of two drafts on the same items less."""


@dataclass(frozen=True)
class Exam:
    """What the drafts of one feature are tried on. No items where the feature fires too seldom."""

    feature: int
    choosing: Items
    shown: Items
    truth: Float32  # [n, L] activations in the windows of `shown`; 0 where silent


def halves(sizes: npt.ArrayLike, seed: int) -> Int64:
    """0 (choosing) or 1 (shown) for each document of the select split, of these sizes: [D] -> [D].

    The largest first, those of one size in an order by hash, each goes to the half that has less so far: also a few
    documents fall into two halves. With a single one nothing can be shown.
    """
    size = np.asarray(sizes, dtype=np.int64)
    order = np.lexsort((hash64(stream_key(seed, "halves"), np.arange(len(size))), -size))
    half, total = np.zeros(len(size), dtype=np.int64), [0, 0]
    for document in order.tolist():
        half[document] = int(total[1] < total[0])
        total[half[document]] += int(size[document])
    return half


def make_exam(
    of: Candidates, pool: Silent, half: Int64, traits: TokenTraits, seed: int, group: int | None = None
) -> Exam:
    """`of` and `pool` are of the select split; `half` of each context, [C]. `group`: items in one question at most."""
    choosing = detection_items(_half(of, half, 0), pool, traits, seed, group, n_items=N_CHOOSING)
    shown = detection_items(_half(of, half, 1), pool, traits, seed, group)
    row = {window: i for i, window in enumerate(of.kept.window.tolist())}
    truth = np.zeros((len(shown), of.truth.shape[1]), dtype=np.float32)
    for i, (window, fires) in enumerate(zip(shown.windows.window.tolist(), shown.right.tolist(), strict=True)):
        if fires:
            truth[i] = of.truth[row[window]]
    return Exam(of.feature, choosing, shown, truth)


def _half(of: Candidates, half: Int64, which: int) -> Candidates:
    """The windows of one half's documents."""
    rows = np.flatnonzero(half[of.kept.context] == which)
    return replace(
        of,
        kept=take(of.kept, rows),
        truth=of.truth[rows],
        maximum=of.maximum[rows],
        classes=of.classes[rows],
        u=of.u[rows],
        silent=of.silent & (half[of.pool.windows.context] == which),
    )


def select_score(judged: Judged) -> Value:
    """What a draft is chosen by; no value where the judge did not answer."""
    if len(judged.items) == 0:
        return Value(None, "no_items")
    if not judged.answered.all():
        return Value(None, next(status for status in judged.status if status != "ok"))
    return balanced_accuracy(judged.items.right, judged.probability >= 0.5)


def wrong_rows(judged: Judged) -> tuple[Int64, Int64]:
    """Items that fire and were judged silent, and silent ones that were judged to fire; in the order asked."""
    said: Bool = np.asarray(judged.probability >= 0.5)
    right, answered = judged.items.right, judged.answered
    return np.flatnonzero(right & ~said & answered), np.flatnonzero(~right & said & answered)
