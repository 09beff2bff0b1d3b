"""Which of several strengths features are steered at: chosen on the split select, the same for all dictionaries.

1. At each strength (a KL) the model writes texts behind beginnings of the split select, and questions are put together
   as the scorer intervention does: of three texts, which is the feature's?
2. They are answered by what the direction promotes, the tokens of its largest direct logit effects: the text whose
   tokens look most like them. No label is read, so none has a say in the strength at which it is judged. A feature that
   does not reach a strength is right in one of three there.
3. A dictionary counts as much as another. Best is the strength of most right answers; chosen is the least one that is
   not worse than the best by more than one standard error of their difference, over features: a weaker push leaves more
   of the text to read.

One strength for all dictionaries, because answers at different KL do not compare; and not one a feature: four questions
a feature and strength would choose noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.records import Float64, Int64
from autointerp.score.predictions import N_TEXTS


@dataclass(frozen=True)
class StrengthAnswers:
    """One dictionary: F features that were tried, K strengths."""

    right: Float64  # [F, K] share of a feature's questions that is answered right; NaN: it is asked about at none
    n_unreached: Int64  # [K] features whose direction does not move the output so far
    n_questions: Int64  # [K]

    @classmethod
    def of(cls, right: Float64, n_unreached: Sequence[int], n_questions: Sequence[int]) -> StrengthAnswers:
        """`right` [F, K] with NaN where a feature has no question at a strength: it is at chance there."""
        asked = ~np.isnan(right).all(axis=1, keepdims=True)
        filled = np.where(np.isnan(right) & asked, 1 / N_TEXTS, right)
        return cls(filled, np.array(n_unreached, dtype=np.int64), np.array(n_questions, dtype=np.int64))

    def means(self) -> Float64:
        """[K] over features; NaN where none has a question."""
        known = self._known()
        return known.mean(axis=0) if len(known) else np.full(self.right.shape[1], np.nan)

    def errors(self) -> Float64:
        """[K] standard errors of the means; NaN of fewer than two features."""
        known = self._known()
        n = len(known)
        return known.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(self.right.shape[1], np.nan)

    def behind(self, best: int) -> tuple[Float64, Float64]:
        """[K] by how much each strength is worse than the best, and its standard error (0 of a single feature)."""
        lost = (known := self._known())[:, [best]] - known
        n = len(known)
        return lost.mean(axis=0), lost.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(self.right.shape[1])

    def _known(self) -> Float64:
        return self.right[~np.isnan(self.right).any(axis=1)]


def chosen_strength(strengths: Sequence[float], answers: Mapping[str, StrengthAnswers]) -> int:
    """Step 3: which of `strengths` [K], rising; the first where no dictionary has a question."""
    asked = [one for one in answers.values() if not np.isnan(one.means()).any()]
    if not asked or len(strengths) == 1:
        return 0
    best = int(np.argmax(np.mean([one.means() for one in asked], axis=0)))
    behind = [one.behind(best) for one in asked]
    lost = np.mean([mean for mean, _ in behind], axis=0)
    error = np.sqrt(np.sum([error**2 for _, error in behind], axis=0)) / len(asked)
    return int(np.flatnonzero(lost <= error + 1e-12)[0])
