"""What a run would ask about a few features: the stages' own questions, rendered from what a store holds, to nobody.

`run --dry-run` weighs these instead of guessing. Of an explanation that is not written yet a text of usual length
stands in the judge's question: the windows, not the explanation, are what such a question is long for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from autointerp.config.explainers import LLMExplainer
from autointerp.config.llm_model import LLMModel
from autointerp.explain.lexical import lexical_lookup
from autointerp.explain.lookup import entries_of
from autointerp.explain.prompt import explain_ask
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.evidence import read_evidence
from autointerp.pipeline.asking.explaining import style_of
from autointerp.pipeline.asking.judging import ask_judge, control_features
from autointerp.pipeline.asking.materials import Materials
from autointerp.pipeline.asking.shown_explanation import Told, read_told
from autointerp.pipeline.plan.prepare import Prepared
from autointerp.pipeline.plan.reask import first_sample
from autointerp.pipeline.plan.work import Work
from autointerp.records import Explanation, Int64, LookupTable
from autointerp.store.evidence import read_gram_tables, read_vocab
from autointerp.store.query import Queryable
from autointerp.subject.tokens import TokenFile
from autointerp.words import CONTROLS, HUMAN, MEMBERS, is_control

STAND_IN = "Fires on words of one kind, and on what stands next to them in texts of another kind. " * 3

_STATUS = "SELECT feature, status FROM features WHERE dictionary = $dictionary"


@dataclass(frozen=True)
class Sampled:
    """Questions about some features of a piece of work."""

    asks: list[Ask]
    each: float
    """Features of the work that one of the sampled stands for."""
    permuted: float = 0.0
    """Of the questions about logit effects, how many are asked once more with the vocabulary permuted."""
    new: bool = False
    """Whether the words that they are about are not written yet: no reply can be there."""


@dataclass
class _Listener:
    """In the place of a client."""

    heard: list[Ask] = field(default_factory=list)

    def answers(self, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
        for ask in asks:
            self.heard.append(ask)
            yield Answer(ask, "", "waiting")

    def close(self) -> None:
        """Nothing was opened."""


class Sampler:
    """Samples of the work of one prepared run. `undone`: stage, dictionary and explainer of what is left of it."""

    def __init__(
        self,
        prepared: Prepared,
        store: Queryable,
        tokens: TokenFile | None,
        undone: set[tuple[str, str | None, str | None]],
    ) -> None:
        self._prepared, self._store, self._undone = prepared, store, undone
        self._materials = None if tokens is None else Materials(prepared, tokens, store)
        self._vocab: list[str] | None = None
        self._status: dict[str, dict[int, str]] = {}
        self._lexical: dict[str, LookupTable] = {}

    def of(self, work: Work, size: int) -> Sampled | None:
        """`size` features of it at most; None where the store has no evidence to render from."""
        name = work.dictionary
        if name is None or any((stage, name, None) in self._undone for stage in ("extract", "effects")):
            return None
        if name not in self._status:
            self._status[name] = {row["feature"]: row["status"] for row in self._store.rows(_STATUS, dictionary=name)}
        if work.stage == "explain":
            return self._explained(work, name, size)
        return None if work.explainer == HUMAN else self._judged(work, name, size)

    def _some(self, name: str, among: Int64, size: int) -> tuple[Int64, float]:
        """A hash sample, rising, and how many of `among` each stands for."""
        key = stream_key(self._prepared.config.seed, "dry run", name)
        chosen = np.sort(among[np.argsort(hash64(key, among), kind="stable")][:size])
        return chosen, len(among) / max(len(chosen), 1)

    def _explained(self, work: Work, name: str, size: int) -> Sampled | None:
        entry = next((one for one in self._prepared.config.explain.asking if one.name == work.explainer), None)
        if not isinstance(entry, LLMExplainer):
            return None
        features = self._prepared.features[name] if work.redo is None else np.array(work.redo.explained, np.int64)
        chosen, each = self._some(name, features, size)
        fit = [feature for feature in chosen.tolist() if self._status[name].get(feature) != "dead"]
        self._vocab = self._vocab or list(read_vocab(self._store))
        first = 0 if work.redo is None else first_sample(work.redo.number)
        shown = read_evidence(self._store, name, fit, self._vocab)
        return Sampled([explain_ask(style_of(entry), evidence, first) for evidence in shown], each)

    def _judged(self, work: Work, name: str, size: int) -> Sampled | None:
        judge = self._prepared.config.score.judge
        if judge is None or self._materials is None:
            return None
        assert work.explainer is not None
        control = is_control(work.explainer)
        population = self._materials.sample_of(name)
        few = control_features(population, name, self._prepared.config.seed, judge.controls)
        if control:
            population = few
        if work.redo is not None:
            population = np.intersect1d(population, np.array(work.redo.judged, np.int64))
        chosen, each = self._some(name, population, size)
        source = CONTROLS if work.explainer in MEMBERS else work.explainer
        new = ("explain", name, source) in self._undone
        told = self._told(name, work.explainer, chosen, new)
        listener = _Listener()
        ground = self._materials.ground(name, judge.items_per_call, (), chosen.tolist())
        ask_judge(ground, work.explainer, told, judge, ground.scorers, listener)
        permuted = 0.0 if control else len(np.intersect1d(few, population)) / max(len(population), 1)
        return Sampled(listener.heard, each, permuted, new)

    def _told(self, name: str, explainer: str, chosen: Int64, new: bool) -> list[Told]:
        if name not in self._lexical:
            self._lexical[name] = lexical_lookup(*read_gram_tables(self._store, name))
        lexical = self._lexical[name]
        if new:
            said = Explanation(0, explainer, STAND_IN, "ok")
            return [Told(replace(said, feature=f), entries_of(lexical, f)) for f in chosen.tolist()]
        assert self._materials is not None
        wanted = set(chosen.tolist())
        found = read_told(self._store, name, explainer, self._materials.corpus().vocabulary.texts, lexical)
        return [one for one in found if one.explanation.feature in wanted]
