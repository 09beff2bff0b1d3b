"""What a table of scores is about."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.score.metric_registry import is_primary, metric_named
from autointerp.show.text import explainer_name
from autointerp.words import SCORERS, explainer_order, scorer_and_judge


@dataclass(frozen=True)
class ScoreKind:
    """What a table of scores is about; scores of two kinds never stand in one table."""

    design: str
    metric: str
    scorer: str
    explainer: str

    def title(self) -> str:
        """`pearson, census, lexical`, and the scorer where it is not the simulation."""
        words = [self.metric, self.design, explainer_name(self.explainer)]
        return ", ".join(words if self.scorer == "simulation" else [*words, self.scorer])

    def order(self) -> tuple[object, ...]:
        """All of an explainer together, explainers as everywhere, controls last; then census before sample, the primary
        metrics first, and scorers as everywhere."""
        scorer = scorer_and_judge(self.scorer)[0].partition(":")[0]
        place = SCORERS.index(scorer) if scorer in SCORERS else len(SCORERS)
        return explainer_order(self.explainer), self.design, not self.primary, place, self.scorer, self.metric

    @property
    def name(self) -> tuple[str, str, str]:
        """Scorer, metric and design: what it is called whoever the explainer is."""
        return self.scorer, self.metric, self.design

    @property
    def weighed(self) -> bool:
        """Whether its verdicts count when metrics are held against each other: the primary ones, those of the census
        that a card shows, and the user's own; not parts such as a recall, not published forms, and not a lookup on the
        windows of another explainer."""
        known = metric_named(self.metric, self.design)
        census = known is not None and known.reads == "counted" and known.on_card
        return (self.primary or census) and "@" not in self.scorer

    @property
    def primary(self) -> bool:
        """Whether it is shown unless others are asked for."""
        return is_primary(self.metric, self.design, self.scorer)
