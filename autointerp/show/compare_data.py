"""What the comparison shows: frozen records, read from a store, and which of them a reader asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autointerp.errors import StoreError, nearest
from autointerp.show.designs import BothDesigns, load_designs
from autointerp.show.dictionary_geometry import DictionaryGeometry, load_dictionary_geometry
from autointerp.show.effect_values import EffectComparison, load_effect_comparison
from autointerp.show.evidence_grid import GridCell, load_grid
from autointerp.show.fairness import Fairness, load_fairness
from autointerp.show.powered import PoweredDifference, PoweredMean, load_powered
from autointerp.show.score_kind import ScoreKind
from autointerp.show.strata import Stratum, load_strata
from autointerp.show.token_likeness import TokenLikeness, load_token_likeness
from autointerp.store.query import Queryable
from autointerp.words import STUDIED, is_control, kind_of_word


@dataclass(frozen=True)
class SummaryRow:
    """A dictionary, explainer and metric: a row of `dictionary_summary`."""

    store: str
    dictionary: str
    kind: str
    hook: str
    explainer: str
    scorer: str
    metric: str
    design: str
    n_features: int
    n_scored: int
    n_failed: int
    n_dead: int
    n_rare: int
    mean: float | None
    """Over the features with a score."""
    ci_low: float | None
    ci_high: float | None
    mean_all: float | None
    """Over all features, those without a score at the floor."""
    mean_all_low: float | None
    mean_all_high: float | None
    floor: float | None
    excess: float | None
    """Of mean_all over the floor."""
    median: float | None
    residual_alarm_rate: float | None
    residual_alarm_high: float | None
    n_units: int | None = None
    """Baselines: distinct units behind the features."""
    natural_of: str | None = None
    """The matched baseline whose units these are, at their natural density."""
    other_site: bool = False
    """A baseline at another hook than what it is compared with."""
    random: str | None = None
    """The density-matched random directions beside it."""
    random_mean: float | None = None
    """Their mean_all."""
    over_random: float | None = None
    """What it scores above them: over matched features where it is under study."""
    over_random_low: float | None = None
    """Of its interval for all pairs at once; of a dictionary under study."""
    over_random_high: float | None = None

    @property
    def about(self) -> ScoreKind:
        return ScoreKind(self.design, self.metric, self.scorer, self.explainer)

    @property
    def value(self) -> float | None:
        """What is plotted and ordered by: mean_all, or, where there is no floor, mean."""
        return self.mean if self.mean_all is None else self.mean_all

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The 95 % interval of `value`."""
        return (self.ci_low, self.ci_high) if self.mean_all is None else (self.mean_all_low, self.mean_all_high)


@dataclass(frozen=True)
class ComparisonRow:
    """A pair of dictionaries: a row of `comparison_table`."""

    store: str
    a: str
    b: str
    baseline: bool
    """True where b is a baseline of a; False between two dictionaries under study."""
    explainer: str
    scorer: str
    metric: str
    design: str
    paired: bool
    n_a: int
    n_b: int
    difference: float | None
    low: float | None
    """Of the interval that holds for all pairs at once, and decides between A and B."""
    high: float | None
    p_holm: float | None
    detectable: float | None
    margin: float
    verdict: str
    """Over all features, those without a score at the floor."""
    scored_difference: float | None
    """Over complete cases: features with a score; of matched pairs both."""
    scored_verdict: str
    n_unscored_a: int
    n_unscored_b: int
    hangs_on_failures: bool = False
    """Undecided, because the verdict would be another with failures at the lowest score, or left out."""
    se: float | None = None
    se_documents: float | None = None
    """The part of it that more features of the same documents would not take away."""
    df: float | None = None
    interval_over: str | None = None
    over: str = "all"
    """scored: there is no floor, and the verdict itself is over complete cases."""
    other_site: bool = False
    """True where b is a baseline at another hook than a."""

    @property
    def about(self) -> ScoreKind:
        return ScoreKind(self.design, self.metric, self.scorer, self.explainer)

    @property
    def n_left_out(self) -> int:
        """Features without a score on either side."""
        return self.n_unscored_a + self.n_unscored_b

    @property
    def changes(self) -> bool:
        """Whether complete cases would get another verdict."""
        return self.scored_verdict != self.verdict

    @property
    def winner(self) -> str | None:
        """Who scores higher, where that is the verdict."""
        return {"A": self.a, "B": self.b}.get(self.verdict)

    @property
    def within_margin(self) -> bool:
        """Whether one of the two is better, and by less than the margin."""
        better = self.verdict in ("A", "B") and self.low is not None and self.high is not None
        return better and -self.margin < (self.low or 0.0) and (self.high or 0.0) < self.margin


@dataclass(frozen=True)
class ScoreChoice:
    """Which scores have tables: by default the primary metric of each design, of the real explainers."""

    metrics: Sequence[str] = ()
    explainers: Sequence[str] = ()
    designs: Sequence[str] = ()
    everything: bool = False
    """All metrics and controls, where not named above."""

    def takes(self, about: ScoreKind) -> bool:
        """Whether tables of this kind are shown."""
        metric = about.metric in self.metrics if self.metrics else (self.everything or about.primary)
        return metric and self._within(about)

    def weighs(self, about: ScoreKind) -> bool:
        """Whether its verdicts count when the metrics are held against each other: also those of metrics without a
        table, so that no choice of what is shown hides that they disagree."""
        return (self.everything or about.weighed or about.metric in self.metrics) and self._within(about)

    def _within(self, about: ScoreKind) -> bool:
        explainer = (
            about.explainer in self.explainers
            if self.explainers
            else (self.everything or not is_control(about.explainer))
        )
        return explainer and (not self.designs or about.design in self.designs)


@dataclass(frozen=True)
class ComparePage:
    """Everything a comparison shows."""

    summary: Sequence[SummaryRow]
    comparisons: Sequence[ComparisonRow]
    verdicts: Sequence[ComparisonRow] = ()
    """Those of every metric of what is shown, also of metrics without a table: whether they agree."""
    fairness: Sequence[Fairness] = ()
    """Each baseline beside its dictionary."""
    powered: tuple[Sequence[PoweredMean], Sequence[PoweredDifference]] = ((), ())
    """Prediction-powered means and their differences."""
    strata: Sequence[Stratum] = ()
    """Differences by token entropy, of the kinds of score that are shown."""
    likeness: Sequence[TokenLikeness] = ()
    designs: Sequence[BothDesigns] = ()
    """Explainers with scores of both designs."""
    grid: Sequence[GridCell] = ()
    """What labels saw beside what they are scored on."""
    hidden: Sequence[ScoreKind] = ()
    """What the stores hold and the choice leaves out."""
    effects: EffectComparison = field(default_factory=EffectComparison)
    """What features do to the output, at fixed KL."""
    geometry: DictionaryGeometry = field(default_factory=DictionaryGeometry)
    """Directions, description lengths and similarities of the dictionaries."""
    earlier: Sequence[str] = ()
    """Dictionaries of earlier runs, which the latest run of their store leaves out."""
    every: Sequence[SummaryRow] = ()
    """All means, shown or not: some stand beside others."""

    @property
    def kinds(self) -> list[ScoreKind]:
        """The kinds of score shown, in the order of their tables."""
        return sorted(
            {*(row.about for row in self.summary), *(row.about for row in self.comparisons)}, key=ScoreKind.order
        )


def load_compare(stores: Sequence[tuple[str, Queryable]], choice: ScoreChoice) -> ComparePage:
    """Reads the chosen rows. Raises StoreError, with the nearest name, for a metric or explainer that is not there."""
    summary = [row for name, store in stores for row in load_summary(store, name)]
    comparisons = [row for name, store in stores for row in load_comparisons(store, name)]
    kinds = ComparePage(summary, comparisons).kinds
    namespaces = {"a metric": {kind.metric for kind in kinds}, "an explainer": {kind.explainer for kind in kinds}}
    for what, asked, known in (
        ("metric", choice.metrics, {kind.metric for kind in kinds}),
        ("explainer", choice.explainers, {kind.explainer for kind in kinds}),
    ):
        for name in asked:
            if name not in known:
                kind = next((about for about, names in namespaces.items() if name in names), kind_of_word(name))
                hint = (
                    f", which is {kind}"
                    if kind and what not in kind
                    else nearest(name, sorted(known), listed="there are those of")
                )
                raise StoreError(f'there are no scores of {what} "{name}"{hint}')
    powered = [load_powered(store, name) for name, store in stores]
    shown = [kind for kind in kinds if choice.takes(kind)]
    return ComparePage(
        summary=[row for row in summary if choice.takes(row.about)],
        comparisons=[row for row in comparisons if choice.takes(row.about)],
        verdicts=[row for row in comparisons if choice.weighs(row.about)],
        fairness=[row for name, store in stores for row in load_fairness(store, name)],
        powered=(
            [row for means, _ in powered for row in means if choice.takes(row.about)],
            [row for _, differences in powered for row in differences if choice.takes(row.about)],
        ),
        strata=[row for name, store in stores for row in load_strata(store, name, shown)],
        likeness=[row for name, store in stores for row in load_token_likeness(store, name)],
        designs=[row for name, store in stores for row in load_designs(store, name)],
        grid=[cell for name, store in stores for cell in load_grid(store, name)],
        hidden=[kind for kind in kinds if not choice.takes(kind)],
        effects=load_effect_comparison(stores),
        geometry=load_dictionary_geometry(stores),
        earlier=[row["dictionary"] for _, store in stores for row in store.rows(_EARLIER)],
        every=summary,
    )


def load_summary(store: Queryable, name: str, wanted: Callable[[ScoreKind], bool] | None = None) -> list[SummaryRow]:
    """What `dictionary_summary` says of the latest run, best first within each scorer, metric and design; of the
    kinds of score that are `wanted`, default all."""
    return [SummaryRow(store=name, **row) for row in store.rows(_SUMMARY, **_of_kinds(store, wanted))]


def _of_kinds(store: Queryable, wanted: Callable[[ScoreKind], bool] | None) -> dict[str, list[str] | None]:
    """What chooses these kinds in a statement, each by one string: a condition that DuckDB asks before it joins."""
    if wanted is None:
        return {"kinds": None, "metrics": None}
    rows = store.rows("SELECT DISTINCT design, metric, scorer, explainer FROM dictionary_scores")
    kinds = [kind for row in rows if wanted(kind := ScoreKind(**row))]
    return {
        "kinds": ["\n".join((kind.design, kind.metric, kind.scorer, kind.explainer)) for kind in kinds],
        "metrics": sorted({kind.metric for kind in kinds}),
    }


_SUMMARY = """
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs), mine AS (
    SELECT DISTINCT m.dictionary, m.explainer, m.scorer, m.metric, m.design FROM dictionary_scores m
    SEMI JOIN (FROM works SEMI JOIN latest USING (run)) w ON w.stage = 'means' AND w.work = m.run
)
SELECT s.dictionary, s.kind, d.hook, s.explainer, s.scorer, s.metric, s.design, s.n_features, s.n_scored, s.n_failed,
       s.n_dead, s.n_rare, s.mean, s.ci_low, s.ci_high, s.mean_all, s.mean_all_low,
       s.mean_all_high, s.floor, s.excess, s.median,
       s.residual_alarm_rate, s.residual_alarm_high, d.n_units, d.natural_of,
       s.dictionary IN (SELECT b FROM baseline_pairs WHERE other_site) AS other_site,
       r.random, r.random_mean, r.excess AS over_random, r.simultaneous_low AS over_random_low,
       r.simultaneous_high AS over_random_high
FROM dictionary_summary s JOIN dictionaries d USING (dictionary)
LEFT JOIN (
    FROM excess_over_random e
    WHERE $kinds::VARCHAR[] IS NULL OR (list_contains($metrics::VARCHAR[], e.metric) AND list_contains(
        $kinds::VARCHAR[], concat_ws(chr(10), e.design, e.metric, e.scorer, e.explainer)))
) r USING (dictionary, explainer, scorer, metric, design)
SEMI JOIN mine m USING (dictionary, explainer, scorer, metric, design)
WHERE $kinds::VARCHAR[] IS NULL OR (list_contains($metrics::VARCHAR[], s.metric) AND list_contains(
    $kinds::VARCHAR[], concat_ws(chr(10), s.design, s.metric, s.scorer, s.explainer)))
ORDER BY design, scorer, metric, mean_all DESC NULLS LAST, mean DESC NULLS LAST, dictionary, explainer
"""


_EARLIER = """
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs)
SELECT DISTINCT dictionary FROM dictionary_summary
ANTI JOIN (FROM works SEMI JOIN latest USING (run)) w USING (dictionary) ORDER BY dictionary
"""


def load_comparisons(
    store: Queryable, name: str, wanted: Callable[[ScoreKind], bool] | None = None
) -> list[ComparisonRow]:
    """The comparisons of the latest run, largest difference first within each explainer and metric; of the kinds of
    score that are `wanted`, default all."""
    rows = store.rows(_COMPARISONS, **_of_kinds(store, wanted))
    return [ComparisonRow(store=name, baseline=row.pop("kind_b") not in STUDIED, **row) for row in rows]


_COMPARISONS = """
SELECT c.a, c.b, b.kind AS kind_b, c.explainer, c.scorer, c.metric, c.design, c.paired, c.n_a, c.n_b, c.difference,
       c.simultaneous_low AS low, c.simultaneous_high AS high, c.p_holm, c.detectable, c.margin, c.verdict,
       c.scored_difference, c.scored_verdict, c.n_unscored_a, c.n_unscored_b,
       c.hangs_on_failures, c.se, c.se_documents, c.df, c.interval_over, c.over, c.other_site
FROM comparison_table c LEFT JOIN dictionaries b ON b.dictionary = c.b
WHERE $kinds::VARCHAR[] IS NULL OR (list_contains($metrics::VARCHAR[], c.metric) AND list_contains(
    $kinds::VARCHAR[], concat_ws(chr(10), c.design, c.metric, c.scorer, c.explainer)))
ORDER BY design, scorer, metric, explainer, difference DESC NULLS LAST, a, b
"""
