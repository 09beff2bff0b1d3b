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
from autointerp.explain.context_lookup import context_lookup
from autointerp.explain.lookup import entries_of
from autointerp.explain.prompt import explain_ask
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.evidence import clamped_features, read_evidence
from autointerp.pipeline.asking.explaining import style_of
from autointerp.pipeline.asking.judging import ScorerTask, ask_judge
from autointerp.pipeline.asking.materials_of_run import Materials
from autointerp.pipeline.asking.shown_explanation import read_shown
from autointerp.pipeline.plan.prepare import Prepared
from autointerp.pipeline.plan.reask import first_sample
from autointerp.pipeline.plan.work import What, Work
from autointerp.records import Explanation, Int64, LookupTable
from autointerp.score.scorers.protocol import ShownExplanation
from autointerp.score.scorers.registry import scorers_of
from autointerp.store.evidence import read_gram_tables, read_vocab
from autointerp.store.query import Queryable
from autointerp.subject.tokens import TokenFile
from autointerp.words import CONTROLS, LEXICAL_CONTROLS, of_permuted, without_label

STAND_IN = "Fires on words of one kind, and on what stands next to them in texts of another kind. " * 3

_STATUS = "SELECT feature, status FROM features WHERE dictionary = $dictionary"


@dataclass(frozen=True)
class Sampled:
    """Questions about some features of a piece of work."""

    asks: list[Ask]
    each: float
    """Features of the work that one of the sampled stands for."""
    new: bool = False
    """Whether the words that they are about are not written yet: no reply can be there."""


@dataclass
class _Listener:
    """In the place of a client."""

    heard: list[Ask] = field(default_factory=list)

    def answers(self, asks: Iterable[Ask], _model: LLMModel) -> Iterator[Answer]:
        for ask in asks:
            self.heard.append(ask)
            yield Answer(ask, "", "waiting")

    def close(self) -> None:
        """Nothing was opened."""


class Sampler:
    """Samples of the work of one prepared run. `undone` is what is left of it."""

    def __init__(
        self,
        prepared: Prepared,
        store: Queryable,
        tokens: TokenFile | None,
        undone: set[What],
    ) -> None:
        self._prepared, self._store, self._undone = prepared, store, undone
        self._materials = None if tokens is None else Materials(prepared, tokens, store)
        self._vocab: list[str] | None = None
        self._status: dict[str, dict[int, str]] = {}
        self._tables: dict[str, LookupTable] = {}

    def of(self, work: Work, size: int) -> Sampled | None:
        """`size` features of it at most; None where the store has no evidence to render from."""
        name = work.dictionary
        if name is None or any((stage, name, None, None) in self._undone for stage in ("extract", "effects")):
            return None
        if name not in self._status:
            self._status[name] = {row["feature"]: row["status"] for row in self._store.rows(_STATUS, dictionary=name)}
        if work.stage == "explain":
            return self._explained(work, name, size)
        kept = work.explainer in self._prepared.config.explain.kept
        return None if kept else self._judged(work, name, size)

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
        if entry.sees_measured:
            features = np.intersect1d(features, sorted(clamped_features(self._store, name)))
        chosen, each = self._some(name, features, size)
        fit = [feature for feature in chosen.tolist() if self._status[name].get(feature) != "dead"]
        self._vocab = self._vocab or list(read_vocab(self._store))
        first = 0 if work.redo is None else first_sample(work.redo.number)
        shown = read_evidence(self._store, name, fit, self._vocab)
        return Sampled([explain_ask(style_of(entry), evidence, first) for evidence in shown], each)

    def _judged(self, work: Work, name: str, size: int) -> Sampled | None:
        judge = self._prepared.config.score.judge
        if judge is None or self._materials is None or work.scorer is None:
            return None
        explainer = str(work.explainer)
        scorer = scorers_of(self._prepared.config.score.scorers)[work.scorer]
        population = self._materials.asked_of(name, explainer, scorer)
        if work.redo is not None:
            population = np.intersect1d(population, np.array(work.redo.judged, np.int64))
        chosen, each = self._some(name, population, size)
        said = of_permuted(explainer) or explainer
        of_controls = said in LEXICAL_CONTROLS or without_label(said)
        new = ("explain", name, CONTROLS if of_controls else said, None) in self._undone
        listener = _Listener()
        task = ScorerTask(scorer, frozenset(chosen.tolist()))
        shown = self._shown(name, explainer, chosen, new)
        ask_judge(self._materials.some(name, chosen.tolist()), explainer, shown, judge, [task], listener)
        return Sampled(listener.heard, each, new)

    def _shown(self, name: str, explainer: str, chosen: Int64, new: bool) -> list[ShownExplanation]:
        if name not in self._tables:
            self._tables[name] = context_lookup(*read_gram_tables(self._store, name))
        table = self._tables[name]
        if new:
            said = Explanation(0, explainer, STAND_IN, "ok")
            return [ShownExplanation(replace(said, feature=f), entries_of(table, f)) for f in chosen.tolist()]
        assert self._materials is not None
        wanted = set(chosen.tolist())
        by_text = self._materials.corpus.by_text
        return [one for one in read_shown(self._store, name, explainer, by_text, table) if one.feature in wanted]
