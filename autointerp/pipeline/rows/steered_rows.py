"""Rows of `steered_texts` and `steering_strengths`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.steered_texts import SteeredTexts
from autointerp.extract.token_change import ClampedPlaces
from autointerp.score.steering_strength import StrengthAnswers


def steered_rows(run: str, name: str, made: SteeredTexts, places: ClampedPlaces) -> dict[str, Any]:
    """One row a text of the features that reach the KL."""
    reached = np.flatnonzero(made.reached())
    n, t = len(reached), made.kl.shape[1]
    return {
        "run": run,
        "dictionary": name,
        "feature": np.repeat(made.features[reached], t).astype(np.int32),
        "number": np.tile(np.arange(1, t + 1), n).astype(np.int32),
        "context": np.tile(places.context, n),
        "position": np.tile(places.position, n).astype(np.int32),
        "size": np.repeat(made.size[reached], t),
        "kl_select": np.repeat(made.kl_select[reached], t),
        "kl": made.kl[reached].reshape(-1),
        "tokens": [text for of_feature in made.tokens[reached].tolist() for text in of_feature],
    }


def strength_rows(
    run: str, name: str, strengths: Sequence[float], chosen: int, answers: StrengthAnswers
) -> dict[str, Any]:
    """One row a strength that was offered."""
    return {
        "run": run,
        "dictionary": name,
        "kl": np.array(strengths, dtype=np.float64),
        "n_features": len(answers.right),
        "n_unreached": answers.n_unreached.astype(np.int32),
        "n_questions": answers.n_questions.astype(np.int32),
        "accuracy": _or_none(answers.means()),
        "se": _or_none(answers.errors()),
        "chosen": np.arange(len(strengths)) == chosen,
    }


def _or_none(values: np.ndarray) -> pa.Array[Any]:
    masked: pa.Array[Any] = pa.array(values, mask=np.isnan(values))
    return masked
