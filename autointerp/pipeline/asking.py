"""The stages that ask LLMs, or the user's own explainer: explanations, and judgements of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from autointerp.config import HUMAN, Judge, LLMExplainer, PythonExplainer, RunConfig
from autointerp.errors import OverBudget, Waiting
from autointerp.explain.lexical import lexical_lookup
from autointerp.explain.lookup import entries_of
from autointerp.pipeline.again import Redo, first_sample
from autointerp.pipeline.ground import Ground
from autointerp.pipeline.judge_stage import (
    Asker,
    Told,
    Unanswered,
    ask_judge,
    control_features,
    findings_scores,
    write_findings,
)
from autointerp.pipeline.judged_rows import carry_over
from autointerp.pipeline.llm_explain_stage import (
    Asked,
    ask_explainer,
    read_told,
    run_explainer,
    shuffle,
    write_written,
)
from autointerp.pipeline.refine_stage import Refined, refine, write_refined
from autointerp.pipeline.travel import Travel
from autointerp.pipeline.under_way import UnderWay
from autointerp.pipeline.work import Work, is_control, servers_of, shuffled_of
from autointerp.store.evidence import read_gram_tables
from autointerp.store.writer import StoreWriter

_FAILED = """
SELECT DISTINCT feature, scorer, starts_with(explainer, 'permuted:') AS permuted FROM scores
WHERE run = $run AND (status = 'failed' OR n_failed > 0)
"""


class _Desk:
    """What judging one dictionary's explainers takes; its ground is laid once for all of it."""

    def __init__(self, run: UnderWay, name: str, judge: Judge) -> None:
        self.name, self.judge, self._run = name, judge, run
        self.lexical = lexical_lookup(*read_gram_tables(run.store, name))
        sample = run.sample_of(name)
        self.few = set(control_features(sample, name, run.config.seed, judge.controls).tolist())
        self._whole: Ground | None = None

    def told(self, explainer: str, only: Collection[int] | None) -> list[Told]:
        """What is judged: of a control a few, `only` these where it is given."""
        told = read_told(self._run.store, self.name, explainer, self._run.corpus().vocabulary.texts, self.lexical)
        wanted = self.few if is_control(explainer) else {one.explanation.feature for one in told}
        wanted = wanted if only is None else wanted & set(only)
        return [one for one in told if one.explanation.feature in wanted]

    def ground(self, more: Sequence[int], only: Collection[int] | None) -> Ground:
        """The sampled features and `more`; `only` these where it is given."""
        if more or only is not None:
            return self._run.ground(self.name, self.judge.items_per_call, more, only)
        if self._whole is None:
            self._whole = self._run.ground(self.name, self.judge.items_per_call)
        return self._whole


OpenClient = Callable[[StoreWriter, RunConfig], Asker]
"""How a run gets its LLM client."""


class Asking:
    """What a run asks. A piece of work whose replies are not all there is not done, and what builds on it waits."""

    def __init__(self, under_way: UnderWay, open_client: OpenClient, travel: Travel) -> None:
        self._run, self._open_client, self._travel = under_way, open_client, travel
        self._client: Asker | None = None
        self._unexplained: set[tuple[str, str]] = set()  # dictionary and explainer that have to wait
        self._waiting: dict[tuple[str, int], str] = {}  # request and sample -> where its reply is waited for

    def close(self) -> None:
        """Lets go of the client."""
        if self._client is not None:
            self._client.close()

    @property
    def waits(self) -> bool:
        """Whether replies are not there yet."""
        return bool(self._waiting)

    def end(self) -> None:
        """Says what became of the questions. Raises Waiting where replies are not there yet."""
        if self._waiting:
            places = Counter(self._waiting.values())
            raise Waiting("; ".join(f"{n:,} {'request' if n == 1 else 'requests'} {at}" for at, n in places.items()))
        if self._travel.refresh and self._client is None:
            self._run.report.say("--refresh: nothing was asked; all that asks LLMs is done")

    def explain(self, name: str, work: Work) -> None:
        """The explanations of one explainer of one dictionary, and those of it that are asked for again."""
        for link in self._run.undone(work):
            if not self._explain(name, link):
                return

    def _explain(self, name: str, work: Work) -> bool:
        begun = time.monotonic()
        run, entries = self._run, {entry.name: entry for entry in self._run.config.explain.asking}
        assert work.explainer is not None
        entry = entries.get(work.explainer)
        if entry is None:
            of = next(name for name in entries if shuffled_of(name) == work.explainer)
            if not run.store.done("explain", run.prepared.work("explain", name, of).links[0].key):
                self._unexplained.add((name, work.explainer))
                return False
            made, refined = shuffle(run.store, name, of, run.config.seed), None
        else:
            made, refined = self._explained(name, entry, work.redo)
        if not self._whole(made.unanswered):
            self._unexplained.add((name, work.explainer))
            return False
        again = 0 if work.redo is None else work.redo.number
        with run.store.transaction() as transaction:
            n = write_written(transaction, name, made.written, again)
            if refined is not None:
                assert run.config.score.judge is not None
                n += write_refined(transaction, name, work.explainer, run.config.score.judge, refined, again)
            run.done(transaction, work, n, time.monotonic() - begun)
        run.publish()
        return True

    def _explained(
        self, name: str, entry: LLMExplainer | PythonExplainer, redo: Redo | None
    ) -> tuple[Asked, Refined | None]:
        run, title = self._run, f"explaining {name} by {entry.name}"
        if isinstance(entry, LLMExplainer) and entry.refines:
            judge = run.config.score.judge
            assert judge is not None  # config.py asks for it
            with run.report.stage(title, None, "answers") as advance:
                refined = refine(run.store, run.corpus(), name, entry, judge, self._asker(), advance, redo)
            for line in refined.lines() if not refined.asked.unanswered.waiting else ():
                run.report.say(f"{title}: {line}")
            return refined.asked, refined
        n = run.n_features([name]) if redo is None else len(redo.explained)
        with run.report.stage(title, n, "features") as advance:
            if isinstance(entry, LLMExplainer):
                return ask_explainer(run.store, name, entry, self._asker(), advance, redo), None
            return run_explainer(run.store, name, entry, advance, redo), None

    def judge(self) -> None:
        """All judgements that are missing."""
        judge = self._run.config.score.judge
        for name, works in self._run.by_dictionary("judge").items() if judge is not None else ():
            assert judge is not None
            desk = _Desk(self._run, name, judge)
            for work in works:
                if (name, work.explainer) not in self._unexplained:
                    self._judged(desk, work)

    def _judged(self, desk: _Desk, work: Work) -> None:
        """Judges an explainer; of one that was judged before, only what is asked again, the rest is carried over."""
        begun = time.monotonic()
        run, name, judge = self._run, desk.name, desk.judge
        assert work.explainer is not None
        done = [link for link in work.links if run.store.done(link.stage, link.key)]
        before = done[-1] if done else None
        later = work.links[work.links.index(before) + 1 :] if before is not None else []
        redone = {feature for link in later if link.redo is not None for feature in link.redo.judged}
        only = None if before is None else redone
        told = desk.told(work.explainer, only)
        # what people chose to label is judged, sampled or not
        more = [one.explanation.feature for one in told] if work.explainer == HUMAN else []
        ground = desk.ground(more, only)
        control = is_control(work.explainer)
        beside = work.decided_by["beside"]
        with run.report.stage(f"judging {work.explainer} of {name}", None, "answers") as advance:
            found = ask_judge(
                ground, work.explainer, told, judge, ground.scorers, self._asker(),
                permuted=None if control else ground.corpus.vocabulary.permuted(run.config.seed),
                permuted_on=desk.few, advance=advance, samples=self._samples(work, before),
                beside={f: entries_of(desk.lexical, f) for f in ground.ready} if beside else None,
            )  # fmt: skip
        if not self._whole(found.unanswered):
            return
        said = [one.explanation for one in told]
        scores = findings_scores(ground, said, found, ground.scorers, judge.model)
        with run.store.transaction() as transaction:
            again = 0 if work.redo is None else work.redo.number
            n = write_findings(transaction, work.key, ground, found, scores, judge.model, again)
            n += 0 if before is None else carry_over(run.store, transaction, before.key, work.key, redone)
            run.done(transaction, work, n, time.monotonic() - begun)
        run.publish()

    def _samples(self, work: Work, before: Work | None) -> dict[tuple[int, str], int]:
        """Numbers of the request's own for what failed before it: a failure in a batch would stand."""
        if before is None or work.redo is None:
            return {}
        number = first_sample(work.redo.number)
        rows = self._run.store.rows(_FAILED, run=before.key)
        asked = [("permuted" if row["permuted"] else row["scorer"].split(":")[0], row["feature"]) for row in rows]
        return {(feature, scorer): number for scorer, feature in asked}

    def _asker(self) -> Asker:
        """The LLM client of this run; `run` says once where corpus text goes."""
        if self._client is None:
            self._client = self._open_client(self._run.store, self._run.config)
            for server, models in sorted(servers_of(self._run.config).items()) if self._travel.sends else ():
                self._run.report.say(f"text of the corpus is sent to {server} ({', '.join(models)})")
        return self._client

    def _whole(self, unanswered: Unanswered) -> bool:
        """Whether a piece of work can be done now. Where the budget cut it short, or replies are not there yet, it is
        not done, and the replies that came are kept."""
        if unanswered.over_budget:
            raise OverBudget(unanswered.over_budget)
        self._waiting |= unanswered.waiting
        return not unanswered.waiting
