"""The metrics of published protocols: their rows of the registry (`metric_registry.py`). Sources: `published.py`,
`bills.py`, `fade.py`."""

from __future__ import annotations

import math
from collections.abc import Callable

from autointerp.score import published_measures as measures
from autointerp.score.bills import CalibrationName
from autointerp.score.metric import Metric
from autointerp.score.side_by_side import Values

_TEN = "5 top and 5 random windows"
_HOW: dict[CalibrationName, tuple[str, str]] = {
    "none": ("", "of the predictions as they are"),
    "linear": ("_linear", "after a linear fit on windows of other documents"),
    "percentile": ("_percentile", "after percentile matching on windows of other documents"),
}


def _bills(
    name: str,
    sentence: str,
    compute: Callable[[measures.BillsTogether], Values],
    calibrations: tuple[CalibrationName, ...] = ("none", "linear", "percentile"),
    chance: float | None = None,
    bounds: tuple[float, float] = (-math.inf, 1.0),
) -> list[Metric]:
    """One metric with each calibration."""
    return [
        Metric(
            name + _HOW[how][0],
            "published",
            f"{sentence}, {_HOW[how][1]}",
            measures.bills(compute, how),
            # a worthless prediction is calibrated to the mean; as it is, its scale decides
            chance=None if how == "none" else chance,
            bounds=bounds,
            scorer="simulation",
            judged_too=True,
        )
        for how in calibrations
    ]


PUBLISHED: tuple[Metric, ...] = (
    Metric(
        "pearson_top_random",
        "published",
        f"Bills et al. 2023: correlation over {_TEN}, unweighted",
        measures.bills(measures.pearson),
        chance=0.0,
        bounds=(-1.0, 1.0),
        scorer="simulation",
        judged_too=True,
        version=2,
    ),
    *_bills(
        "pearson_top_random",
        "the same correlation",
        measures.pearson,
        ("percentile",),
        chance=0.0,
        bounds=(-1.0, 1.0),
    ),
    *_bills(
        "rsquared",
        f"Bills et al. 2023: 1 - mean squared error / mean squared activation over {_TEN}",
        measures.rsquared,
    ),
    *_bills(
        "absolute_dev_explained",
        f"Bills et al. 2023: 1 - mean absolute error / mean activation over {_TEN}",
        measures.absolute_dev_explained,
    ),
    *_bills(
        "r2_mean_baseline",
        f"R2 as of scikit-learn and Transluce: 1 - mean squared error / variance over {_TEN}",
        measures.r2_mean_baseline,
        chance=0.0,
    ),
    Metric(
        "spearman_intervals",
        "published",
        "Bricken et al. 2023: rank correlation over windows from intervals of the activation",
        measures.intervals,
        chance=0.0,
        bounds=(-1.0, 1.0),
        scorer="simulation",
        version=2,
    ),
    Metric(
        "spearman_intervals_weighted",
        "published",
        "the same, random windows weighted by 1 and those of an interval by its share of all tokens",
        measures.intervals_weighted,
        chance=0.0,
        bounds=(-1.0, 1.0),
        scorer="simulation",
    ),
    Metric(
        "balanced_accuracy",
        "published",
        "delphi: balanced accuracy of detection over quantiles, silent windows at random",
        measures.delphi_accuracy,
        chance=0.5,
        scorer="detection",
        version=2,
    ),
    Metric(
        "accuracy_saebench",
        "published",
        "SAEBench: accuracy of detection over top, important and silent windows",
        measures.saebench_accuracy,
        scorer="detection",
        version=2,
    ),
    Metric(
        "clarity",
        "published",
        "FADE: 2 AUROC - 1 of the activation, texts written from the explanation against the corpus; needs such texts",
        measures.clarity,
        chance=0.0,
        bounds=(-1.0, 1.0),
        scorer="detection",
        judged_too=True,
    ),
    Metric(
        "responsiveness",
        "published",
        "FADE: 2 AUROC - 1 of the activation, windows that the judge finds the explanation in against the others",
        measures.responsiveness,
        chance=0.0,
        bounds=(-1.0, 1.0),
        scorer="detection",
        judged_too=True,
    ),
    Metric(
        "purity",
        "published",
        "FADE: average precision of the activation for the windows that the judge finds the explanation in",
        measures.purity,
        scorer="detection",
        judged_too=True,
    ),
    Metric(
        "faithfulness",
        "published",
        "FADE: how much steering raises the share of texts with the explanation; needs a judge of such texts: see "
        "`faithfulness` of `intervention`",
        measures.faithfulness,
        version=2,
        chance=0.0,
        scorer="detection",
        judged_too=True,
    ),
)
