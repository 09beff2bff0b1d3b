"""The pieces of work that a run consists of, each under the hash of what decides its rows.

    tokens      one                                  subject, corpus plan, seed: what a store is about
    extract     a dictionary                         its weights or its recipe, [evidence]
    effects     a dictionary
    ablate      a dictionary                         [effects]
    context_effects  a dictionary                    [effects]
    sensitivity a dictionary                         [effects]
    token_changes  a dictionary                      [effects]
    steered_texts  a dictionary                      [effects], where a scorer asks about them
    output_scores  a dictionary                      [effects]
    diagnostics a dictionary
    geometry    a dictionary                         [effects]
    similarity  all dictionaries                     [effects]
    compare_effects  all dictionaries                what was measured of them
    explain     a dictionary and explainer           the explainer's settings
    census      a dictionary and explainer           threshold (and one without an explainer: the truth)
    judge       a dictionary, explainer and scorer   the judge, its settings and prompts that the scorer uses, features
    score       a dictionary and explainer           scorers, metrics, scored features
                (and scorer, where an LLM judges)    metrics, scored features
    means       as score                             -
    compare     an explainer (and scorer)            the dictionaries compared, margin

Each builds on others, whose hashes are in its own: where something changes, what stands on it is other work and
the rest is not. So a store takes up what is new of a changed run file and keeps the rest. Scores are functions of
stored predictions: a new metric is other work of `score` and what stands on it, and asks nothing. Another scorer is
a judge's work of its own; embedded scores are computed again. A stage's version (`versions.py`) is in the key of its
work.

Explainers that ask an LLM, or the user's own, have no lookup: they are judged, not counted over. Each has a control of
its own, `shuffled:EXPLAINER`, and so have imported labels; `constant` and `generic` are judged once for all of them.
Scorers with a permuted control have `permuted:EXPLAINER` too.

The controls of a dictionary are made together, under the name CONTROLS; they are made of the `lexical` explanations
whatever explainers a run has, so that no explainer's rows depend on which others there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autointerp.config.features import FeatureSample
from autointerp.config.judging import Judge
from autointerp.config.run_file import RunConfig
from autointerp.hashing import content_hash
from autointerp.pipeline.plan.definitions import about_store, asked_of, explainer_identity, file_definition, made_of
from autointerp.pipeline.plan.reask import Redo, Redos
from autointerp.pipeline.plan.versions import VERSIONS
from autointerp.pipeline.plan.work import BUILDS_ON, Work
from autointerp.score.metric import Metric
from autointerp.score.metric_registry import metrics_for, metrics_of_judge, own_metric, versions_of
from autointerp.score.scorers.protocol import Scorer
from autointerp.score.scorers.registry import measured_by, scorers_of
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.model import Subject
from autointerp.subject.tokenise import TokenPlan
from autointerp.words import (
    BESIDE,
    CONTROLS,
    JUDGED_ALWAYS,
    LEXICAL_CONTROLS,
    LOGIT_SCORERS,
    NATURAL,
    NO_LABEL,
    STAGES,
    is_control,
    is_label,
    of_permuted,
    permuted_of,
    predictor_among,
    shuffled_of,
    without_label,
)


def works_of(
    config: RunConfig,
    subject: Subject,
    tokens: TokenPlan,
    saes: Mapping[str, SparseAutoencoder],
    hooks: Mapping[str, str],
    labels: Mapping[tuple[str, str], str],
    redos: Redos = Redos(),
) -> tuple[Work, ...]:
    """All work of a run, in the order of STAGES and, within, of the run file; `labels` is the hash of what people
    wrote and of what was imported, by dictionary and explainer; `redos` what is asked again: of work with such links
    the last one stands for all."""
    about = _work("tokens", None, None, None, about_store(config, subject, tokens))
    definitions = {name: file_definition(sae) for name, sae in saes.items()}
    evidence = config.evidence.model_dump(mode="json") | {"left": config.evidence.left_of(tokens.window)}
    extracts = {}
    for entry in config.dictionary:
        dictionary = asked_of(entry) | made_of(entry, hooks[entry.name], definitions)
        facts = {"dictionary": dictionary, "evidence": evidence}
        extracts[entry.name] = _work("extract", entry.name, None, None, {BUILDS_ON: {"tokens": about.key}, **facts})
    graph = _Graph(config, about, redos, labels, extracts)
    made = [about]
    for name in extracts:
        made += graph.of_dictionary(name)
    made += graph.similarities()
    made += graph.effect_comparisons()
    made += graph.comparisons()
    return tuple(sorted(made, key=lambda work: STAGES.index(work.stage)))


def _work(
    stage: str, dictionary: str | None, explainer: str | None, scorer: str | None, decided_by: Mapping[str, Any]
) -> Work:
    return Work(stage, dictionary, explainer, scorer, {"version": VERSIONS[stage], **decided_by})


def own_metrics(config: RunConfig) -> list[Metric]:
    """The metrics of the user's own that a run file names. Raises UserError where a class cannot be one."""
    return [own_metric(entry.python, entry.name) for entry in config.score.metrics]


STEERED, COMPARED_EFFECTS = "steered_texts", ("ablate", "sensitivity")


@dataclass
class _Graph:
    """The work of one run as it is put together, dictionary by dictionary."""

    config: RunConfig
    about: Work
    redos: Redos
    labels: Mapping[tuple[str, str], str]
    extracts: Mapping[str, Work]
    """By dictionary."""
    compared: dict[tuple[str, str | None], dict[str, str]] = field(default_factory=dict)
    """Explainer and scorer -> dictionary -> key of its means, which know its scores and its floor."""
    embedded: dict[tuple[str, str], str] = field(default_factory=dict)
    """Dictionary and embedded explainer -> key of its scores."""

    measured: dict[tuple[str, str], str] = field(default_factory=dict)
    """Stage and dictionary -> key of what measures effects on a sample of its features."""
    extracted: dict[str, str] = field(default_factory=dict)
    """Dictionary -> key of its extraction, of those whose activations are held against each other."""

    def __post_init__(self) -> None:
        self.scorers = scorers_of(self.config.score.scorers)
        self.metrics = own_metrics(self.config)

    def of_dictionary(self, name: str) -> Iterator[Work]:
        """All that is about one dictionary."""
        extract = self.extracts[name]
        effects = _work("effects", name, None, None, {BUILDS_ON: {"extract": extract.key}})
        yield from (extract, effects)
        if self.config.effects.features != "none":
            asked, steers = self.config.effects, STEERED in map(measured_by, self.scorers.values())
            for stage, settings, wanted in (
                ("ablate", asked.of_ablation(), True),
                ("context_effects", asked.of_contexts(), True),
                ("sensitivity", asked.of_sensitivity(), asked.sensitivity_positions > 0),
                ("token_changes", asked.of_token_changes(), asked.clamps),
                (STEERED, asked.of_steered_texts(), steers),
            ):
                if wanted:
                    on = {"extract": extract.key} | (self._strength() if stage == STEERED else {})
                    work = _work(stage, name, None, None, {BUILDS_ON: on, "effects": settings})
                    self.measured[stage, name] = work.key
                    yield work
        if self.config.effects.scores_output:
            settings = self.config.effects.of_output_scores()
            yield _work("output_scores", name, None, None, {BUILDS_ON: {"effects": effects.key}, "effects": settings})
        yield _work("diagnostics", name, None, None, {BUILDS_ON: {"extract": extract.key}})
        if self.config.effects.geometry_features != "none" and not name.endswith(NATURAL):  # a twin has the same rows
            settings = self.config.effects.of_geometry()
            yield _work("geometry", name, None, None, {BUILDS_ON: {"extract": extract.key}, "effects": settings})
            self.extracted[name] = extract.key
        yield _work("census", name, None, None, {BUILDS_ON: {"extract": extract.key}} | self._threshold)
        explained: dict[str, Work] = {}
        yield from self._embedded(name, effects, explained)
        yield from self._asking(name, effects, explained)
        yield from self._judged(name, explained)

    # --- explainers with a lookup

    def _embedded(self, name: str, effects: Work, explained: dict[str, Work]) -> Iterator[Work]:
        scored: dict[str, Work] = {}
        for explainer in (CONTROLS, *self.config.explain.embedded):
            own = {one.name: {"python": one.python} for one in self.config.explain.own_embedded}.get(explainer)
            facts = {BUILDS_ON: self._seen_by(name, explainer, effects)} | ({"explainer": own} if own else {})
            explain = explained[explainer] = _work("explain", name, explainer, None, facts)
            census = _work("census", name, explainer, None, {BUILDS_ON: {"explain": explain.key}} | self._threshold)
            score = scored[explainer] = _work(
                "score",
                name,
                explainer,
                None,
                {
                    BUILDS_ON: {"census": census.key} | self._tested_by(name, self.scorers.values()),
                    "score": self._how_scored(),
                    "metrics": self._embedded_metrics(),
                },
            )
            self.embedded[name, explainer] = score.key
            yield from (explain, census, score)
        for explainer, score in scored.items():
            means = self._means(name, explainer, None, score, {CONTROLS: scored[CONTROLS].key})
            yield means
            if explainer != CONTROLS or not self.scorers.keys().isdisjoint(
                LOGIT_SCORERS
            ):  # rankings without label are among them
                self.compared.setdefault((explainer, None), {})[name] = means.key

    def _strength(self) -> dict[str, Any]:
        """What the KL is chosen on, of several: all dictionaries, and what their features promote."""
        if len(self.config.effects.strengths) == 1:
            return {}
        return {"chosen_on": {name: work.key for name, work in self.extracts.items()}, "effects": VERSIONS["effects"]}

    def _seen_by(self, name: str, explainer: str, effects: Work) -> dict[str, str]:
        """What an explainer's evidence is made by."""
        shown = explainer in self.config.explain.from_measured
        return {"effects": effects.key} | ({"changes": self.measured["token_changes", name]} if shown else {})

    def _tested_by(self, name: str, scorers: Iterable[Scorer]) -> dict[str, str]:
        """What scorers of measured effects ask about."""
        stages = {stage for scorer in scorers if (stage := measured_by(scorer)) is not None}
        return {stage: self.measured[stage, name] for stage in sorted(stages)}

    @property
    def _threshold(self) -> dict[str, Any]:
        return {"score": self.config.score.model_dump(mode="json", include={"threshold"})}

    def _how_scored(self) -> dict[str, Any]:
        features = self.config.score.model_dump(mode="json", include={"features"})
        own = [entry.python for entry in self.config.score.scorers if not isinstance(entry, str)]
        scorers = {name: getattr(one, "version", 1) for name, one in sorted(self.scorers.items())}
        return features | {"scorers": scorers} | ({"own": own} if own else {})

    def _embedded_metrics(self) -> dict[str, int]:
        every = metrics_for("counted", "simulation", self.metrics)
        for scorer in self.scorers.values():
            every += metrics_for(scorer.shape, scorer.name, self.metrics)
            every += metrics_for("published", scorer.name, self.metrics)
        return versions_of(every)

    def _means(
        self,
        name: str,
        explainer: str,
        scorer: str | None,
        score: Work,
        floors: Mapping[str, str],
        *,
        drawn: bool = False,
    ) -> Work:
        """`drawn`: of an LLM's scores on features that were drawn by hash; the census of a lookup sharpens them. The
        census of lookups also says what is likely of labels that were not drawn."""
        builds_on: dict[str, Any] = {"score": score.key, "floors": floors}
        predictor = predictor_among(self.config.explain.embedded)
        sampled = isinstance(self.config.score.features, FeatureSample)
        if drawn and predictor is not None and sampled:
            builds_on["predictor"] = self.embedded[name, predictor]
        few = [
            *self.config.explain.kept,
            *self.config.explain.from_measured,
        ]  # labels of chosen features: no sample of all
        if (
            sampled
            and explainer != CONTROLS
            and is_label(explainer)
            and not without_label(explainer)
            and explainer not in few
        ):
            builds_on["free"] = {one: self.embedded[name, one] for one in BESIDE if (name, one) in self.embedded}
        return _work("means", name, explainer, scorer, {BUILDS_ON: builds_on})

    # --- explainers that are asked

    def _asking(self, name: str, effects: Work, explained: dict[str, Work]) -> Iterator[Work]:
        for entry in self.config.explain.asking:
            identity = explainer_identity(entry, self.config.score.judge)
            seen = self._seen_by(name, entry.name, effects)
            asked = _work("explain", name, entry.name, None, {BUILDS_ON: seen, "explainer": identity})
            shuffled = shuffled_of(entry.name)
            control = _work("explain", name, shuffled, None, {BUILDS_ON: {"explain": asked.key}})
            latest = asked
            for redo in self.redos.of(name, entry.name):
                latest = _redone(latest, redo, redo.explained, {"explain": latest.key})
            explained |= {entry.name: latest, shuffled: control}
            yield from (latest, control)
        for kept in self.config.explain.kept:  # not a run's work
            explained[kept] = _work("explain", name, kept, None, {"labels": self.labels.get((name, kept))})
        for imported in self.config.explain.imported:  # the control is made once, of the labels that came first
            there, shuffled = (name, imported) in self.labels, shuffled_of(imported)
            facts = {BUILDS_ON: self._seen_by(name, imported, effects), "imported": there}
            explained[shuffled] = _work("explain", name, shuffled, None, facts)
            if there:
                yield explained[shuffled]

    # --- what an LLM judges

    def _judged(self, name: str, explained: Mapping[str, Work]) -> Iterator[Work]:
        judge = self.config.score.judge
        if judge is None:
            return
        for scorer in self.scorers.values():
            scores: list[Work] = []
            for explainer in judged_explainers(self.config, judge, scorer):
                work = self._judge(name, explainer, scorer, judge, explained)
                score = _work(
                    "score",
                    name,
                    explainer,
                    scorer.name,
                    {
                        BUILDS_ON: {"judge": work.key},
                        "score": self.config.score.model_dump(mode="json", include={"features"}),
                        "metrics": versions_of(metrics_of_judge(scorer.shape, scorer.name, self.metrics)),
                    },
                )
                scores.append(score)
                yield from (work, score)
            floors = {str(one.explainer): one.key for one in scores if is_control(str(one.explainer))}
            for score in scores:
                asking = {entry.name for entry in self.config.explain.asking}
                drawn = score.explainer in asking - set(self.config.explain.from_measured)
                means = self._means(name, str(score.explainer), scorer.name, score, floors, drawn=drawn)
                yield means
                if not is_control(str(score.explainer)):
                    self.compared.setdefault((str(score.explainer), scorer.name), {})[name] = means.key

    def _judge(self, name: str, explainer: str, scorer: Scorer, judge: Judge, explained: Mapping[str, Work]) -> Work:
        source = of_permuted(explainer) or explainer
        said = explained[CONTROLS if source in LEXICAL_CONTROLS or without_label(source) else source]
        settings = {*scorer.settings, *(["controls"] if is_control(explainer) else [])}
        asking = [entry.name for entry in self.config.explain.asking]
        work = _work(
            "judge",
            name,
            explainer,
            scorer.name,
            {
                BUILDS_ON: {"explain": said.links[0].key} | self._tested_by(name, [scorer]),
                "judge": judge.identity() | judge.model_dump(mode="json", include=settings),
                "prompts": content_hash(list(scorer.prompts(judge)), tag="prompt"),
                "asked": getattr(scorer, "version", 1),
                "score": self.config.score.model_dump(mode="json", include={"features"}),
                "beside": [one for one in BESIDE if one in self.config.explain.embedded]
                if scorer.shape == "simulated" and explainer in asking
                else [],
            },
        )
        for redo in self.redos.of(name, source):
            before = [link for link in said.links if link.redo is None or link.redo.number <= redo.number][-1]
            work = _redone(work, redo, redo.judged, {"explain": before.key, "judge": work.key})
        return work

    # --- dictionaries beside each other

    def similarities(self) -> Iterator[Work]:
        """One for all of them, where there are several."""
        if len(self.extracted) > 1:
            beside = {"compared": list(self.extracted), "effects": self.config.effects.of_geometry()}
            yield _work("similarity", None, None, None, {BUILDS_ON: {"extract": self.extracted}, **beside})

    def effect_comparisons(self) -> Iterator[Work]:
        """One for all of them, where effects are measured."""
        on = {f"{stage} {name}": key for (stage, name), key in self.measured.items() if stage in COMPARED_EFFECTS}
        if on:
            yield _work("compare_effects", None, None, None, {BUILDS_ON: on, "compared": list(self.extracts)})

    def comparisons(self) -> Iterator[Work]:
        """One for each explainer (and scorer); of the controls only the ranking that needs no label is compared."""
        for (explainer, scorer), keys in self.compared.items():
            margin = self.config.score.model_dump(mode="json", include={"margin"})
            facts = {BUILDS_ON: {"means": keys}, "compared": list(keys), "score": margin}
            yield _work("compare", None, explainer, scorer, facts)


def judged_explainers(config: RunConfig, judge: Judge, scorer: Scorer) -> Sequence[str]:
    """Whom an LLM judges, the controls last. The embedded ones have judges of their own: they are judged where the run
    file asks for it, or has no others."""
    if not getattr(scorer, "reads_label", True):
        return [NO_LABEL, shuffled_of(NO_LABEL)]
    asking = [entry.name for entry in config.explain.asking]
    embedded = [one for one in config.explain.embedded if is_label(one)] if judge.embedded or not asking else []
    real = [*asking, *config.explain.kept, *embedded]
    own = map(shuffled_of, [*asking, *config.explain.imported])
    controls = [*own, *(["shuffled"] if embedded else []), *JUDGED_ALWAYS]
    return [*real, *controls, *(map(permuted_of, real) if scorer.permuted else [])]


def _redone(work: Work, redo: Redo, features: tuple[int, ...], builds_on: Mapping[str, str]) -> Work:
    """A further link, where the request is about any features."""
    if not features:
        return work
    facts = {BUILDS_ON: {**builds_on, "features": content_hash(features)}, "again": f"{redo.number}: {redo.said}"}
    return Work(work.stage, work.dictionary, work.explainer, work.scorer, {**work.decided_by, **facts}, work, redo)
