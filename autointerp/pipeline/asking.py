"""The stages that ask LLMs, or the user's own explainer: explanations, and judgements of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from autointerp.config import HUMAN, LLMExplainer, PythonExplainer, RunConfig
from autointerp.errors import OverBudget, Waiting
from autointerp.explain.lexical import lexical_lookup
from autointerp.explain.lookup import entries_of
from autointerp.pipeline.judge_stage import (
    Asker,
    Unanswered,
    ask_judge,
    control_features,
    findings_scores,
    write_findings,
)
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
        """The explanations of one explainer of one dictionary."""
        begun = time.monotonic()
        run, entries = self._run, {entry.name: entry for entry in self._run.config.explain.asking}
        assert work.explainer is not None
        entry = entries.get(work.explainer)
        if entry is None:
            of = next(name for name in entries if shuffled_of(name) == work.explainer)
            if (name, of) in self._unexplained:
                self._unexplained.add((name, work.explainer))
                return
            made, refined = shuffle(run.store, name, of, run.config.seed), None
        else:
            made, refined = self._explained(name, entry)
        if not self._whole(made.unanswered):
            self._unexplained.add((name, work.explainer))
            return
        with run.store.transaction() as transaction:
            n = write_written(transaction, name, made.written)
            if refined is not None:
                assert run.config.score.judge is not None
                n += write_refined(transaction, name, work.explainer, run.config.score.judge, refined)
            run.done(transaction, work, n, time.monotonic() - begun)
        run.publish()

    def _explained(self, name: str, entry: LLMExplainer | PythonExplainer) -> tuple[Asked, Refined | None]:
        run, title = self._run, f"explaining {name} by {entry.name}"
        if isinstance(entry, LLMExplainer) and entry.refines:
            judge = run.config.score.judge
            assert judge is not None  # config.py asks for it
            with run.report.stage(title, None, "answers") as advance:
                refined = refine(run.store, run.corpus(), name, entry, judge, self._asker(), advance)
            if refined.trouble and not refined.asked.unanswered.waiting:
                run.report.say(
                    f"{title}: {len(refined.trouble):,} features with drafts that could not be tried on the select "
                    "split; what led without that is kept (table failures says why)"
                )
            return refined.asked, refined
        with run.report.stage(title, run.n_features([name]), "features") as advance:
            if isinstance(entry, LLMExplainer):
                return ask_explainer(run.store, name, entry, self._asker(), advance), None
            return run_explainer(run.store, name, entry, advance), None

    def judge(self) -> None:
        """All judgements that are missing."""
        run, judge = self._run, self._run.config.score.judge
        if judge is None:
            return
        for name, works in run.by_dictionary("judge").items():
            sampled = run.ground(name, judge.items_per_call)
            tokens, pairs = read_gram_tables(run.store, name)
            lexical = lexical_lookup(tokens, pairs)
            few = set(control_features(sampled, judge.controls).tolist())
            texts = sampled.corpus.vocabulary.texts
            for work in works:
                begun = time.monotonic()
                assert work.explainer is not None
                if (name, work.explainer) in self._unexplained:
                    continue
                told = read_told(run.store, name, work.explainer, texts, lexical)
                ground = sampled
                if work.explainer == HUMAN:  # what people chose to label, sampled or not
                    ground = run.ground(name, judge.items_per_call, [one.explanation.feature for one in told])
                control = is_control(work.explainer)
                if control:
                    told = [one for one in told if one.explanation.feature in few]
                beside = work.decided_by["beside"]
                with run.report.stage(f"judging {work.explainer} of {name}", None, "answers") as advance:
                    found = ask_judge(
                        ground, work.explainer, told, judge, ground.scorers, self._asker(),
                        permuted=None if control else ground.corpus.vocabulary.permuted(run.config.seed),
                        permuted_on=few, advance=advance,
                        beside={f: entries_of(lexical, f) for f in ground.ready} if beside else None,
                    )  # fmt: skip
                if not self._whole(found.unanswered):
                    continue
                said = [one.explanation for one in told]
                scores = findings_scores(ground, said, found, ground.scorers, judge.model)
                with run.store.transaction() as transaction:
                    n = write_findings(transaction, work.key, ground, found, scores, judge.model)
                    run.done(transaction, work, n, time.monotonic() - begun)
                run.publish()

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
