"""Probes: texts that the explainer writes from its own answer, read by the subject; then it answers again.

1. The explainer is shown its leading draft and nothing else, and writes four texts on which the feature should fire and
   four on which it should not: the question of scorer `generation`.
2. The subject reads them: eight short forward passes a feature.
3. The explainer sees the evidence, its answer and what came of the texts, and answers again. Where a judge chooses
   between drafts it judges this one too; else the new answer is kept.

A feature whose texts were refused or could not be read as a reply keeps what it had, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from autointerp.explain.evidence import Draft, Evidence
from autointerp.explain.probe import ProbeText, probe_ask, probe_version
from autointerp.explain.prompt import Style
from autointerp.llm.asks import Ask
from autointerp.pipeline.asking.evidence import read_evidence
from autointerp.records import Float64
from autointerp.score.scorers.generation import N_EACH, generation_ask

if TYPE_CHECKING:
    from autointerp.pipeline.asking.drafts import Refining
    from autointerp.pipeline.asking.tried_drafts import Tried

ReadTexts = Callable[[Sequence[tuple[int, str]]], Sequence[tuple[Sequence[int], Float64]]]
"""Features and texts -> the tokens of each text and the feature's activation at each."""


@dataclass(frozen=True)
class TriedText:
    """What the feature did on one text: a row of table `probes`."""

    feature: int
    draft: int
    """The draft that it was written from."""
    number: int
    """From 1, in the order of the reply."""
    text: str
    read: ProbeText


def probe_round(work: Refining, number: int, read: ReadTexts) -> list[Tried]:
    """Steps 1 to 3 for all features whose replies so far are there; what was written, the failures left out."""
    leading = {feature: work.features[feature].leader for feature in work.alive if not work.features[feature].waits}
    leaders = {feature: leader for feature, leader in leading.items() if leader is not None}

    def writing() -> Iterator[Ask]:
        for feature, leader in leaders.items():
            assert leader.draft is not None
            yield work.about(generation_ask(leader.draft.text), feature=feature, draft=leader.number, probe=number)

    written: list[tuple[int, str]] = []
    for answer in work.answers(writing(), work.entry):
        feature = answer.ask.about["feature"]
        if answer.status == "ok":
            written += [(feature, text) for text in answer.data]
        else:
            work.features[feature].trouble = answer.status, f"texts to try it on: {answer.reason}"
    probes: dict[int, list[TriedText]] = {}
    for (feature, text), (tokens, activations) in zip(written, read(written), strict=True):
        mine = probes.setdefault(feature, [])
        shown = tuple(work.texts[token] for token in tokens)
        of = ProbeText(len(mine) < N_EACH, shown, tuple(map(float, activations)))
        mine.append(TriedText(feature, leaders[feature].number, len(mine) + 1, text, of))
    work.probes += [probe for mine in probes.values() for probe in mine]
    return _answer_again(work, number, probes, leaders)


def _answer_again(
    work: Refining, number: int, probes: dict[int, list[TriedText]], leaders: dict[int, Tried]
) -> list[Tried]:
    """Step 3."""

    def asks() -> Iterator[Ask]:
        for evidence in read_evidence(work.store, work.dictionary, sorted(probes), work.texts):
            feature, leader = evidence.feature, leaders[evidence.feature]
            assert leader.draft is not None
            texts = [probe.read for probe in probes[feature]]
            again = partial(_probe_ask, work.style, leader.draft, texts, work.first_sample + number - 1)
            ask, gone = work.fitted(evidence, again)
            about = {"draft": len(work.features[feature].tried), "revised": leader.number, "round": number}
            yield work.about(ask, **about, left_out=gone)

    made = []
    for answer in work.answers(asks(), work.entry):
        about = answer.ask.about
        tried = work.revised(answer, probe_version(work.style), number, about["draft"], about["revised"])
        made += [tried] if tried.draft is not None else []
    return made


def _probe_ask(style: Style, draft: Draft, texts: Sequence[ProbeText], sample: int, evidence: Evidence) -> Ask:
    return probe_ask(style, evidence, draft, texts, sample)
