"""What the published protocols ask about, as rows of `judgements`: stratum top, firing or silent."""

from __future__ import annotations

from typing import Any

import numpy as np

from autointerp.pipeline.rows.columns import joined
from autointerp.score.sampled import Answered
from autointerp.subject.tokens import TokenFile


def published_rows(dictionary: str, explainer: str, answered: dict[int, Answered], tokens: TokenFile) -> dict[str, Any]:
    replies = list(answered.values())
    asked = [reply.published for reply in replies]
    number = np.zeros(0, np.int64)
    truth = np.zeros(0, bool)
    top = joined([of.top for of in asked], truth)
    silent = joined([of.silent for of in asked], truth)
    return {
        "run": None,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in asked], [len(of) for of in asked]).astype(np.int32),
        "explainer": explainer,
        "scorer": "detection",
        "context": joined([of.windows.context for of in asked], number),
        "window_start": joined([tokens.window_start(of.windows) for of in asked], number),
        "stratum": np.where(top, "top", np.where(silent, "silent", "firing")).tolist(),
        "marks": None,
        "weight": None,
        "fires": joined([np.asarray((of.truth > 0).any(axis=1)) for of in asked], truth),
        "judged": joined([reply.fires for reply in replies], truth),
        "probability": joined([reply.probability for reply in replies], number.astype(np.float64)),
        "status": "ok",
    }
