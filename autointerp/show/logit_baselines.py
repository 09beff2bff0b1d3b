"""What stands beside every logit score: rankings that need no label, and another feature's label.

The tokens that a feature promotes look alike, so a score of logit effects says little by itself: how much is told by
likeness to the tokens shown (`completion`), by the length of the unembedding's rows alone (`unembedding_norm`), by a
label that is about something else, by the label where each token stands under the name of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autointerp.score.metric_registry import metric_named
from autointerp.show.card_data import ExplanationLine
from autointerp.show.compare_data import SummaryRow
from autointerp.show.layout import Column
from autointerp.words import COMPLETION, RANKINGS, UNEMBEDDING_NORM, permuted_of, scorer_and_judge, shuffled_of

ANOTHER = "another feature's label"
PERMUTED = "permuted"
NAMES = {COMPLETION: "completion", UNEMBEDDING_NORM: "W_U norm", "shuffled": ANOTHER, PERMUTED: "tokens permuted"}


def is_about_logits(metric: str, design: str) -> bool:
    """Whether a metric is one of logit effects."""
    known = metric_named(metric, design)
    return known is not None and known.reads == "rated"


def baseline_columns(rows: Sequence[SummaryRow], baselines: Iterable[SummaryRow]) -> list[Column]:
    """Columns beside the means `rows` of one explainer, scorer and metric; none where these are no labels, or not about
    logits. `baselines` are all means that may stand beside."""
    if not rows or rows[0].explainer in RANKINGS or not is_about_logits(rows[0].metric, rows[0].design):
        return []
    scorer, _ = scorer_and_judge(rows[0].scorer)
    mean = {
        (row.store, row.dictionary, row.explainer, row.scorer): row.mean
        for row in baselines
        if row.metric == rows[0].metric
    }
    columns = []
    for name, shown in NAMES.items():
        cells = []
        for row in rows:
            explainers = (name,) if name in RANKINGS else (shuffled_of(row.explainer), name)
            explainers = (permuted_of(row.explainer),) if name == PERMUTED else explainers
            by = f"{scorer}:unembedding" if name in RANKINGS else row.scorer
            known = [mean.get((row.store, row.dictionary, explainer, by)) for explainer in explainers]
            cells.append(next((f"{value:.3f}" for value in known if value is not None), ""))
        if any(cells):
            columns.append(Column(shown, cells, right=True))
    return columns


def card_lines(lines: Iterable[ExplanationLine]) -> list[ExplanationLine]:
    """Of a feature's explanations and rankings those that stand beside logit scores, with these scores alone."""
    chosen = []
    for line in lines:
        name = ANOTHER if line.explainer == "shuffled" else line.explainer
        if line.explainer.startswith(shuffled_of("")):
            name = f"{ANOTHER}, of {line.explainer.removeprefix(shuffled_of(''))}"
        elif line.explainer not in NAMES:
            continue
        scores = tuple(score for score in line.scores if is_about_logits(score.metric, score.design))
        if scores:
            chosen.append(ExplanationLine(name, None, line.status, scores))
    return chosen
