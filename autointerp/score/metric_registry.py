"""The metrics: a row each. To add one, write a function from predictions to `Measured` and give it a row here.

A new row, or a raised version, appears in stores that are there already: `autointerp run RUN.toml --stage
compare` computes it from the stored predictions. Sources of the published ones: PROTOCOLS in `docs/SCORES.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast, get_args

from autointerp.errors import AutointerpError, UserError
from autointerp.own_code import load_own, one_line
from autointerp.score import chosen, measures, weighted
from autointerp.score.metric import InTwoSteps, Measured, Metric, OwnMetric, Shape, each
from autointerp.score.predictions import N_OPTIONS, N_TEXTS
from autointerp.score.published_registry import PUBLISHED
from autointerp.words import LOGIT_SCORERS, scorer_and_judge

_WEIGHED = ("detection", "fuzzing")
"""Scorers whose items stand for windows of the split."""

_HARD = (
    "the same share where the wrong tokens are hard to tell: as similar to the shown ones, as common and of the same "
    "norm, or promoted by a feature nearby"
)
_SHARE = "share of tokens told rightly when the highest-rated half is said to be promoted"


def _logit_metrics(scorer: str) -> tuple[Metric, Metric]:
    """Accuracy and area under the curve of a scorer of logit effects; those of `logits` of a user's own too."""
    hard, suppressed = scorer.startswith("logits_hard"), scorer.endswith("_suppressed")
    effect = "measured" if "measured" in scorer else "direct"
    ending = effect + "_hard" * hard + "_suppressed" * suppressed
    truth = ("; suppressed tokens instead" * suppressed) + (
        "; measured effects, not direct ones" * (effect != "direct")
    )
    only: dict[str, Any] = {"scorer": scorer}
    if scorer == "logits":
        only = {"but_for": tuple(one for one in LOGIT_SCORERS if one != "logits")}
    over = "area under the precision-recall curve over these, by rating"
    if not hard:
        over = "area under the precision-recall curve of promoted tokens, by rating"
    return (
        Metric(
            f"logit_accuracy_{ending}",
            "rated",
            (_HARD if hard else _SHARE) + truth,
            measures.rated_accuracy,
            chance=0.5,
            primary=True,
            on_card=True,
            **only,
        ),
        Metric(f"logit_auprc_{ending}", "rated", over + truth, measures.rated_auprc, chance=0.5, **only),
    )


_LOGIT_METRICS = tuple(metric for scorer in LOGIT_SCORERS for metric in _logit_metrics(scorer))

METRICS: tuple[Metric, ...] = (
    # --- every token of the score split
    Metric(
        "pearson",
        "counted",
        "correlation of true and predicted activation over every token of the score split",
        measures.counted_pearson,
        chance=0.0,
        bounds=(-1.0, 1.0),
        primary=True,
        on_card=True,
        by_document=True,
        version=2,
    ),
    Metric(
        "auprc",
        "counted",
        "area under the precision-recall curve of firing, ranked by the predicted probability",
        measures.counted_auprc,
        on_card=True,
    ),
    Metric(
        "f1",
        "counted",
        "F1 of firing, where the predicted probability is above one half",
        measures.counted_f1,
        on_card=True,
    ),
    Metric(
        "auprc_thresholded",
        "counted",
        "area under the precision-recall curve of activations above the threshold (`score.threshold`: 5 % of the "
        "feature's largest), ranked by the predicted activation",
        measures.counted_auprc_thresholded,
        on_card=True,
    ),
    Metric(
        "f1_thresholded",
        "counted",
        "F1 of activations above the threshold, where the predicted activation is above it",
        measures.counted_f1_thresholded,
    ),
    # --- sampled windows
    Metric(
        "pearson_framed",
        "simulated",
        "correlation over the split, estimated from windows by class; windows that nothing points to are charged with "
        "the alarms that all features of the dictionary raise there",
        measures.simulated_framed,
        chance=0.0,
        bounds=(-1.0, 1.0),
        primary=True,
        on_card=True,
        by_document=True,
        version=3,
    ),
    Metric(
        "pearson",
        "simulated",
        "the same with every prediction counted; often too few windows for it",
        measures.simulated_pearson,
        chance=0.0,
        bounds=(-1.0, 1.0),
        version=2,
    ),
    Metric(
        "auprc",
        "simulated",
        "area under the precision-recall curve of firing over the split, estimated from windows by class, ranked by "
        "the predicted activation; alarms charged as in `pearson_framed`",
        measures.simulated_auprc,
        version=2,
    ),
    Metric(
        "f1",
        "simulated",
        "F1 of firing, where the predicted activation is above 0; estimated and charged likewise",
        measures.simulated_f1,
        version=2,
    ),
    Metric(
        "auprc_thresholded",
        "simulated",
        "the same as `auprc`, of activations above the threshold",
        measures.simulated_auprc_thresholded,
        version=2,
    ),
    Metric(
        "f1_thresholded",
        "simulated",
        "F1 of activations above the threshold, where the predicted activation is above it",
        measures.simulated_f1_thresholded,
        version=2,
    ),
    # --- items that are right or wrong
    Metric(
        "mcc_weighted",
        "judged",
        "correlation of yes and no with the truth over the windows of the split, each item weighed by how many it "
        "stands for (Matthews)",
        InTwoSteps(weighted.ItemsTogether, weighted.matthews),
        chance=0.0,
        bounds=(-1.0, 1.0),
        scorer=_WEIGHED,
        primary=True,
        on_card=True,
        version=2,
    ),
    Metric(
        "f1_weighted",
        "judged",
        "F1 of yes over the windows of the split, weighed likewise",
        InTwoSteps(weighted.ItemsTogether, weighted.f1),
        scorer=_WEIGHED,
        version=2,
    ),
    Metric(
        "auprc_weighted",
        "judged",
        "area under the precision-recall curve over the windows of the split, by the judge's probabilities, weighed "
        "likewise",
        InTwoSteps(weighted.ItemsTogether, weighted.average_precision),
        scorer=_WEIGHED,
        version=2,
    ),
    Metric(
        "precision_weighted",
        "judged",
        "of the windows of the split that the judge says yes to, the share that is right, weighed likewise",
        InTwoSteps(weighted.ItemsTogether, weighted.precision),
        scorer=_WEIGHED,
        on_card=True,
        version=2,
    ),
    Metric(
        "recall_strong",
        "judged",
        "share of right items told, of the third of firing windows of largest maximum",
        InTwoSteps(weighted.ItemsTogether, partial(weighted.recall, "strong")),
        scorer=_WEIGHED,
        on_card=True,
    ),
    Metric(
        "recall_middle",
        "judged",
        "the same of the middle third",
        InTwoSteps(weighted.ItemsTogether, partial(weighted.recall, "middle")),
        scorer=_WEIGHED,
        on_card=True,
    ),
    Metric(
        "recall_weak",
        "judged",
        "the same of the weakest third",
        InTwoSteps(weighted.ItemsTogether, partial(weighted.recall, "weak")),
        scorer=_WEIGHED,
        on_card=True,
    ),
    Metric(
        "balanced_accuracy_matched",
        "judged",
        "mean of the shares of right and of wrong items that the judge tells, wrong ones made like right ones",
        InTwoSteps(weighted.ItemsTogether, weighted.balanced_accuracy),
        chance=0.5,
        primary=True,
        second_for=_WEIGHED,
        on_card=True,
    ),
    Metric(
        "auroc_matched",
        "judged",
        "how often the judge puts a right item above a wrong one",
        InTwoSteps(weighted.ItemsTogether, weighted.auroc),
        chance=0.5,
    ),
    # --- tokens that are promoted or not
    *_LOGIT_METRICS,
    # --- questions where one of five windows is chosen
    Metric(
        "choice_accuracy",
        "chosen",
        "share of questions in which the judge chooses the right one of five windows",
        each(chosen.choice_accuracy),
        chance=1 / N_OPTIONS,
        primary=True,
        on_card=True,
    ),
    # --- texts that the model wrote
    Metric(
        "intervention_accuracy",
        "picked",
        "share of questions in which the judge picks the text, of three, that was written with the feature's direction "
        "added; all at one KL",
        each(chosen.intervention_accuracy),
        chance=1 / N_TEXTS,
        primary=True,
        on_card=True,
    ),
    Metric(
        "faithfulness",
        "picked",
        "FADE: how much steering raises the share of texts with the explanation, one that is picked being such a text; "
        "texts of other directions, at the same KL, stand for unsteered ones",
        each(chosen.faithfulness),
        version=2,
    ),
    # --- texts
    Metric(
        "generation_accuracy",
        "generated",
        "mean of the share of texts written to fire that reach the median of the feature's own firing windows, and of "
        "the share of the others that do not",
        each(chosen.generation_accuracy),
        chance=0.5,
        primary=True,
        on_card=True,
    ),
    Metric(
        "generation_auroc",
        "generated",
        "how often a text written to fire has a larger activation than one written not to",
        each(chosen.generation_auroc),
        chance=0.5,
    ),
    Metric(
        "clarity",
        "generated",
        "FADE: 2 AUROC - 1 of the activation, texts written to fire against all windows of the corpus",
        each(chosen.clarity),
        chance=0.0,
        bounds=(-1.0, 1.0),
    ),
    # --- published protocols, with the lookup as simulator and judge
    *PUBLISHED,
)


def metrics_for(shape: Shape, scorer: str, own: Iterable[Metric] = ()) -> list[Metric]:
    """The metrics that predictions of a shape get which a scorer made."""
    return [one for one in (*METRICS, *own) if one.reads == shape and one.is_of(scorer)]


def metrics_of_judge(shape: Shape, scorer: str, own: Iterable[Metric] = ()) -> list[Metric]:
    """All metrics that what an LLM judged gets: those of its shape, and the published ones that need no more."""
    return [*metrics_for(shape, scorer, own), *judged_published(scorer)]


def judged_published(scorer: str) -> list[Metric]:
    """The published metrics that are computed of an LLM judge too."""
    return [one for one in metrics_for("published", scorer) if one.judged_too]


_BY_NAME = {(one.name, one.design): one for one in reversed(METRICS)}


def metric_named(name: str, design: str) -> Metric | None:
    """A built-in metric, the first of its name; None: it is a user's own."""
    return _BY_NAME.get((name, design))


def bounds_of(name: str, design: str) -> tuple[float, float]:
    """The least and the largest value of a metric; no bounds are known of the user's own."""
    known = metric_named(name, design)
    return (-math.inf, math.inf) if known is None else known.bounds


def is_primary(name: str, design: str, scorer: str) -> bool:
    """Whether a page shows it of a scorer, as its rows are called, unless others are asked for: the primary ones, and
    all of the user's own."""
    known = metric_named(name, design)
    return known is None or known.is_first(scorer_and_judge(scorer)[0])


def on_card(name: str, design: str) -> bool:
    """Whether a feature's card shows it: likewise."""
    known = metric_named(name, design)
    return known is None or known.on_card


def own_metric(python: str, name: str | None = None) -> Metric:
    """The row of a metric of the user's own. Raises UserError where it cannot be one."""
    made = load_own(python, "metric", ("measure(prediction)",))
    reads: Any = getattr(made, "reads", None)
    *others, last = get_args(Shape)
    if reads not in (*others, last):
        raise UserError(
            f'metric "{python}": reads = {reads!r} is no shape of predictions; give {", ".join(others)} or {last}'
        )
    called = name or str(getattr(made, "name", "") or python)
    if any((one.name, one.reads) == (called, reads) for one in METRICS):
        raise UserError(f'metric "{python}": there is a metric "{called}" already; give it another name')
    return Metric(
        called,
        reads,
        str(getattr(made, "sentence", "") or f"the user's own: {python}"),
        each(partial(_measure_own, cast(OwnMetric, made), python)),
        chance=getattr(made, "chance", None),
        bounds=(-math.inf, math.inf),
        scorer=getattr(made, "scorer", None),
        on_card=True,
        version=int(getattr(made, "version", 1)),
    )


def _measure_own(made: OwnMetric, python: str, prediction: Any) -> Measured:
    n, n_failed = measures.counted_of(prediction)
    if n == 0:
        return Measured(None, "failed" if n_failed else "no_items", n, n_failed)
    try:
        said = made.measure(prediction)
        value = math.nan if said is None else float(said)
    except Exception as error:  # the user's code
        what = f"{type(error).__name__}: {one_line(error)}"
        raise AutointerpError(f'metric "{python}" failed on feature {prediction.feature}: {what}') from error
    if math.isnan(value):
        return Measured(None, "undefined", n, n_failed)
    return Measured(value, "ok", n, n_failed)


def versions_of(metrics: Sequence[Metric]) -> dict[str, int]:
    """What of the metrics decides scores."""
    return {one.name: one.version for one in metrics}
