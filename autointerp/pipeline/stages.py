"""All stages of a run, in order; each does only the work that the store still lacks."""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from autointerp.config import RunConfig, load_run
from autointerp.errors import StoreError
from autointerp.extract.effects import logit_effects
from autointerp.extract.pass_one import Summaries
from autointerp.extract.passes import Selected
from autointerp.extract.probe import take_probe
from autointerp.llm.shared import Progress
from autointerp.pipeline import explain_stage, extract_stage
from autointerp.pipeline.again import Wish, asked_rows, finished_rows
from autointerp.pipeline.asking import Asking, OpenClient
from autointerp.pipeline.baselines import open_dictionaries
from autointerp.pipeline.census_stage import SCORER, run_census, write_sums, write_truth
from autointerp.pipeline.changes import Found
from autointerp.pipeline.client import RunClient
from autointerp.pipeline.compare_stage import COMPARED, comparisons, dictionary_scores
from autointerp.pipeline.diagnostics_stage import diagnose_dictionary, write_diagnostics
from autointerp.pipeline.pass_one import make_engine, make_job
from autointerp.pipeline.prepare import Prepared, check_paths, prepare
from autointerp.pipeline.score_stage import (
    completion_floor,
    read_stored,
    score_dictionary,
    write_scores,
)
from autointerp.pipeline.sides import Side, judged_sides, read_scores, read_side
from autointerp.pipeline.travel import Travel
from autointerp.pipeline.under_way import UnderWay
from autointerp.pipeline.work import (
    BUILDS_ON,
    CONTROLS,
    JUDGED,
    JUDGED_ALWAYS,
    STAGES,
    Work,
    members,
    shuffled_of,
)
from autointerp.progress import Advance, Reporter, stderr_reporter
from autointerp.records import SPLITS
from autointerp.score.logits import COMPLETION
from autointerp.store.writer import StoreWriter, Transaction
from autointerp.subject.dictionary import Units, checksum
from autointerp.subject.tokenise import open_tokens
from autointerp.subject.tokens import TokenFile


def run(
    run_file: str | Path | RunConfig,
    *,
    until: str = STAGES[-1],
    reporter: Reporter | None = None,
    open_client: OpenClient | None = None,
    travel: Travel = Travel(),  # noqa: B008 - frozen
    wish: Wish = Wish(),  # noqa: B008 - frozen
) -> Path:
    """Does what is missing of a run and returns the path of its store.

    `open_client` makes what asks LLMs; default: the client of `autointerp.llm`, with the store as its reply log, whose
    questions go as `travel` says. `wish` names features to be explained again (`pipeline/again.py`).

    Raises UserError, before anything is written, where the run file or what it names cannot be used; Waiting, when all
    else is done, where replies are not there yet.
    """
    config = run_file if isinstance(run_file, RunConfig) else load_run(run_file)
    report = reporter or stderr_reporter()
    path = config.store_path
    check_paths(config)
    travel.check(config)
    if path.exists():  # held by another process, newer, damaged: said before the slow part
        StoreWriter.open(path).close()
    import torch

    torch.set_float32_matmul_precision("highest")  # float32 is float32 on a GPU too, not TF32
    if config.engine.threads is not None:
        torch.set_num_threads(config.engine.threads)
    with report.stage("subject and dictionaries", None, "files"):
        prepared = prepare(config, wish)
    for line in prepared.redos.lines:
        report.say(line)
    if path.exists():
        with StoreWriter.open(path) as store:
            Found(prepared, store).refuse_mixing()
    with report.stage("tokens", config.tokens.n_tokens, "tokens") as advance:
        subject = prepared.subject
        tokens = open_tokens(
            prepared.work_folder, prepared.tokens, subject.encode_texts, _rising(advance), subject.encode_chat
        )
    if tokens.left_out:
        report.say("tokens: rows left out: " + ", ".join(f"{n:,} {why}" for why, n in sorted(tokens.left_out.items())))
    with StoreWriter.open(path) as store:
        found = Found(prepared, store)
        found.refuse_mixing()
        for line in found.describe():
            report.say(line)
        _sweep(prepared.work_folder, tokens.folder)
        client = open_client or partial(RunClient, travel=travel, on_progress=_spending(report))
        under_way = _Run(prepared, tokens, store, report, client, travel)
        try:
            under_way.until(until)
        finally:
            under_way.close()
    return path


def _spending(report: Reporter) -> Callable[[Progress], None]:
    """Shows what LLMs have cost so far beside the stage that asks them."""

    def told(progress: Progress) -> None:
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        report.note = f"${progress.cost_usd:,.4f}{failed}"

    return told


def _rising(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Totals to increments."""
    last = 0

    def told(total: int) -> None:
        nonlocal last
        advance(total - last)
        last = total

    return told


def _sweep(work_folder: Path, tokens_folder: Path) -> None:
    """Removes what a killed process left half-written, and the token files of earlier stores of this name."""
    for entry in work_folder.iterdir():
        if entry != tokens_folder:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for part in tokens_folder.glob("*.part"):
        part.unlink()


class _Run(UnderWay):
    """One run under way."""

    def __init__(
        self, prepared: Prepared, tokens: TokenFile, store: StoreWriter, report: Reporter, open_client: OpenClient,
        travel: Travel,
    ) -> None:  # fmt: skip
        super().__init__(prepared, tokens, store, report)
        self.names = [entry.name for entry in self.config.dictionary]
        self._opened: dict[str, Selected] = {}
        self._asking = Asking(self, open_client, travel)

    def close(self) -> None:
        self._asking.close()

    def until(self, last: str) -> None:
        for name in STAGES:
            if self._asking.waits and STAGES.index(name) > STAGES.index("judge"):
                break
            getattr(self, f"_{name}")()
            if name == last:
                break
        self._asking.end()
        if last == STAGES[-1] and self.prepared.redos.open:
            with self.store.transaction() as transaction:
                transaction.append("again", finished_rows(self.prepared.redos.open, _now()))

    def _open(self, names: Iterable[str]) -> dict[str, Selected]:
        """These dictionaries, baselines fitted (pass 0 runs where they are not there yet)."""
        names = list(names)
        missing = [name for name in names if name not in self._opened]
        if missing:
            begun = time.monotonic()
            opened = open_dictionaries(
                self.prepared, self.tokens, missing,
                lambda: self.report.say("baselines: fitting them on a sample (pass 0)"),
            )  # fmt: skip
            if (taken := time.monotonic() - begun) > 1:
                self.report.say(f"baselines: {taken:.1f} s")
            self._refuse_drift(opened)
            for name, chosen in opened.items():
                fit = chosen.dictionary.config if isinstance(chosen.dictionary, Units) else {}
                if fit.get("converged") is False:
                    self.report.say(f"{name}: still turning after {fit['steps']} steps: the last directions stand")
            self._opened |= opened
        return {name: self._opened[name] for name in names}

    def _refuse_drift(self, opened: dict[str, Selected]) -> None:
        """A baseline whose fit was lost is fitted again: where it differs its evidence is another's."""
        stored = {row["dictionary"]: row["checksum"] for row in self.store.rows(_CHECKSUMS)}
        for name, chosen in opened.items():
            units = chosen.dictionary
            if isinstance(units, Units) and name in stored and checksum(units) != stored[name]:
                raise StoreError(
                    f'dictionary "{name}": its fit was lost with "{self.prepared.work_folder}", and fitted again here '
                    "it is not quite the one whose evidence the store holds; give another --store"
                )

    # --- tokens

    def _tokens(self) -> None:
        begun = time.monotonic()
        [work] = [work for work in self.prepared.works if work.stage == "tokens"]
        subject = self.prepared.subject
        new = not self.store.done("tokens", work.key)
        if not new and Found(self.prepared, self.store).goes_on and not self.prepared.redos.new:
            return
        with self.store.transaction() as transaction:
            n = transaction.append("runs", self._run_row())
            n += transaction.append("again", asked_rows(self.prepared.redos.new, _now()))
            if not self.store.rows("SELECT 1 FROM works WHERE run = $run LIMIT 1", run=self.prepared.run):
                n += transaction.append("works", self._work_rows())
            if new:
                n += transaction.append("subjects", extract_stage.subject_rows(subject))
                n += transaction.append("vocab", extract_stage.vocab_rows(subject, self.tokens))
                n += transaction.append("token_splits", extract_stage.split_rows(self.tokens))
                contexts: set[int] = set()
                for rows, seen in extract_stage.pool_rows(self.tokens, self.config.seed):
                    n += transaction.append("pool", rows)
                    contexts |= seen
                n += transaction.append("contexts", extract_stage.context_rows(self.tokens, contexts))
                self.done(transaction, work, n, time.monotonic() - begun)

    def _work_rows(self) -> dict[str, Any]:
        works = self.prepared.works
        return {
            "run": self.prepared.run,
            "stage": [work.stage for work in works],
            "dictionary": [work.dictionary for work in works],
            "explainer": [work.explainer for work in works],
            "work": [work.key for work in works],
            "decided_by": [json.dumps(work.decided_by, sort_keys=True, default=str) for work in works],
        }

    def _run_row(self) -> dict[str, Any]:
        packages = ("autointerp", "torch", "transformer-lens", "transformers", "duckdb", "numpy", "scipy")
        versions = {"python": platform.python_version()} | {name: _version(name) for name in packages}
        resolved = self.config.model_dump(mode="json")
        resolved["tokens"]["window"] = self.tokens.window
        resolved["tokens"]["context_length"] = self.tokens.context_length
        resolved["evidence"]["left"] = self.config.evidence.left_of(self.tokens.window)
        resolved["tokens"] |= {"commit": self.prepared.tokens.commit, "left_out": self.tokens.left_out}
        # "The latest run" is the one started last: a clock that was set back must not change which.
        [latest] = self.store.rows("SELECT max(started_at) AS at FROM runs")
        now = _now()
        return {
            "run": [self.prepared.run],
            "name": [self.config.name],
            "seed": [self.config.seed],
            "config": [json.dumps(resolved, sort_keys=True)],
            "versions": [json.dumps(versions, sort_keys=True)],
            "started_at": [now if latest["at"] is None else max(now, latest["at"] + datetime.resolution)],
        }

    # --- evidence

    def _extract(self) -> None:
        missing = self.by_dictionary("extract")
        if not missing:
            return
        begun = time.monotonic()
        dictionaries, tokens, config = self._open(missing), self.tokens, self.config
        job = make_job(self.prepared.subject, tokens, dictionaries, config.evidence, config.engine, config.seed)
        keys = [work.key for [work] in missing.values()]
        engine = make_engine(job, self.prepared.subject, tokens, config, keys, self.report)
        engine.gather()
        n_features = sum(chosen.dictionary.n_features for chosen in dictionaries.values())
        stored = {row["context"] for row in self.store.rows("SELECT context FROM contexts")}
        n_rows = Counter[str]()
        with (
            self.report.stage("pass 1: storing evidence", n_features, "features") as advance,
            self.store.transaction() as transaction,
        ):
            for name, chosen in dictionaries.items():
                n_rows[name] = transaction.append("dictionaries", extract_stage.dictionary_row(name, chosen))
            for summaries in engine.rounds():
                n_rows += self._write_round(transaction, summaries, stored, advance)
            shared = (engine.seconds + time.monotonic() - begun) / len(missing)
            for name, [work] in missing.items():
                self.done(transaction, work, n_rows[name], shared)
        engine.done()
        self.publish()

    def _write_round(
        self, transaction: Transaction, summaries: Summaries, stored: set[int], advance: Advance
    ) -> Counter[str]:
        """Rows written, by dictionary; `stored` gets the contexts. Nothing of a round is held when it returns."""
        n_rows = Counter[str]()
        for piece, summary in summaries.items():
            name = piece.dictionary
            more, seen = extract_stage.write_dictionary(
                transaction, name, self._opened[name], summary, self.tokens, self.config.evidence
            )
            contexts = extract_stage.context_rows(self.tokens, seen - stored)
            n_rows[name] += more + transaction.append("contexts", contexts)
            stored.update(seen)
            advance(piece.last - piece.first)
        return n_rows

    def _effects(self) -> None:
        missing = self.by_dictionary("effects")
        if not missing:
            return
        seen = sum(self.tokens.count_tokens(split, self.prepared.subject.d_vocab) for split in SPLITS)
        usable = np.asarray(seen) > 0
        dictionaries = self._open(missing)
        with self.report.stage("logit effects", len(missing), "dictionaries") as advance:
            for name, [work] in missing.items():
                begun = time.monotonic()
                chosen = dictionaries[name]
                effects = logit_effects(self.prepared.subject, chosen.dictionary, chosen.features, usable)
                with self.store.transaction() as transaction:
                    if effects is None:
                        n = transaction.append("failures", _no_direct_path(name, chosen.dictionary.hook))
                    else:
                        n = sum(
                            transaction.append("logit_effects", extract_stage.effect_rows(name, effects, direction))
                            for direction in ("promoted", "suppressed")
                        )
                    self.done(transaction, work, n, time.monotonic() - begun)
                advance(1)

    def _diagnostics(self) -> None:
        missing = self.by_dictionary("diagnostics")
        if not missing:
            return
        dictionaries, subject, begun = self._open(missing), self.prepared.subject, time.monotonic()
        hooks = sorted({chosen.dictionary.hook for chosen in dictionaries.values()})
        with self.report.stage("diagnostics: a sample of tokens", None, "tokens") as advance:
            probe = take_probe(subject, self.tokens, hooks, self.config.seed, self.prepared.work_folder, advance)
        shared = (time.monotonic() - begun) / len(missing)
        with self.report.stage("diagnostics", len(probe.token) * len(missing), "tokens") as advance:
            for name, [work] in missing.items():
                begun = time.monotonic()
                chosen = dictionaries[name]
                found, start = diagnose_dictionary(self.store, name, chosen, probe, subject, advance)
                with self.store.transaction() as transaction:
                    n = write_diagnostics(self.store, transaction, name, chosen.features, found, start)
                    self.done(transaction, work, n, shared + time.monotonic() - begun)
        self.publish()

    # --- explanations

    def _explain(self) -> None:
        every = self.by_dictionary("explain")
        known = (CONTROLS, *self.config.explain.embedded)
        missing = {name: [work for work in works if work.explainer in known] for name, works in every.items()}
        self._explain_by_lookup({name: works for name, works in missing.items() if works})
        for name, works in every.items():
            for work in works:
                if work.explainer not in known:
                    self._asking.explain(name, work)

    def _explain_by_lookup(self, missing: dict[str, list[Work]]) -> None:
        if not missing:
            return
        lookups = explain_stage.stored_lookups(self.store)
        with self.report.stage("explaining", self.n_features(missing), "features") as advance:
            for name, works in missing.items():
                begun = time.monotonic()
                made = explain_stage.explain(self.store, name, _explainers(works), self.config.seed)
                shared = (time.monotonic() - begun) / len(works)
                with self.store.transaction() as transaction:
                    for work, controls in zip(works, made.values(), strict=True):
                        begun = time.monotonic()
                        n = explain_stage.write_explanations(transaction, name, controls, lookups)
                        n += explain_stage.write_failures(transaction, name, controls)
                        self.done(transaction, work, n, shared + time.monotonic() - begun)
                advance(self.n_features([name]))
        self.publish()

    def _census(self) -> None:
        missing = self.by_dictionary("census")
        if not missing:
            return
        begun = time.monotonic()
        n_tokens = self.tokens.facts("score")["n_tokens"]
        explainers = {name: _flat(map(members, _explainers(works))) for name, works in missing.items()}
        with self.report.stage("pass 2: census of the score split", n_tokens, "tokens") as advance:
            found = run_census(
                self.store, self.prepared.subject, self.tokens, self._open(missing), explainers, advance,
                self.config.engine.batch_size,
            )  # fmt: skip
        shared = (time.monotonic() - begun) / sum(map(len, missing.values()))
        with self.store.transaction() as transaction:
            for name, works in missing.items():
                truth, sums = found[name]
                features = self.prepared.features[name]
                for work in works:
                    if work.explainer is None:
                        n = write_truth(transaction, name, features, truth)
                    else:
                        made = members(work.explainer)
                        n = sum(write_sums(transaction, name, one, features, sums[one]) for one in made)
                    self.done(transaction, work, n, shared)

    # --- scores

    def _score(self) -> None:
        missing = self.by_dictionary("score")
        if not missing:
            return
        with self.report.stage("scoring", self.n_features(missing), "features") as advance:
            for name, works in missing.items():
                begun = time.monotonic()
                ground = self.ground(name)
                asked = _flat(members(explainer) for explainer in _explainers(works))
                scored = {one.explainer: one for one in score_dictionary(self.store, ground, asked, ground.scorers)}
                if any(work.explainer == CONTROLS for work in works) and "logits" in ground.scorers:
                    scored[COMPLETION] = completion_floor(ground, self.prepared.subject.unembedding())
                stored = {explainer: read_stored(self.store, name, explainer) for explainer in scored}
                shared = (time.monotonic() - begun) / len(works)
                with self.store.transaction() as transaction:
                    for work in works:
                        assert work.explainer is not None
                        floors = [COMPLETION] if work.explainer == CONTROLS and COMPLETION in scored else []
                        n = sum(
                            write_scores(transaction, work.key, name, scored[one], stored[one], self.tokens)
                            for one in (*members(work.explainer), *floors)
                        )
                        self.done(transaction, work, n, shared)
                advance(self.n_features([name]))

    def _judge(self) -> None:
        self._asking.judge()

    def _means(self) -> None:
        missing = self.by_dictionary("means")
        if not missing:
            return
        with self.report.stage("means", len(missing), "dictionaries") as advance:
            for name, works in missing.items():
                with self.store.transaction() as transaction:
                    for work in works:
                        begun = time.monotonic()
                        rows = list(self._means_of(name, work))
                        n = transaction.append("dictionary_scores", _columns(rows)) if rows else 0
                        self.done(transaction, work, n, time.monotonic() - begun)
                advance(1)
        self.publish()

    def _means_of(self, name: str, work: Work) -> Iterator[dict[str, Any]]:
        assert work.explainer is not None
        drawn = self.config.score.bootstrap, self.config.seed
        if work.explainer.startswith(JUDGED):
            run = self.prepared.work("judge", name, work.explainer.removeprefix(JUDGED)).key
            floors = work.decided_by[BUILDS_ON]["floors"]
            controls = [score for of, key in floors.items() for score in read_scores(self.store, key, of)]
            for explainer, side in judged_sides(self.store, name, run):
                # each explainer's own shuffled control, and those of all
                own = [s for s in controls if s.explainer in (*JUDGED_ALWAYS, "shuffled", shuffled_of(explainer))]
                yield from dictionary_scores(work.key, side, explainer, own, *drawn)
            return
        floor = self.prepared.work("score", name, CONTROLS).key
        controls = [s for one in members(CONTROLS) for s in read_scores(self.store, floor, one)]
        run = self.prepared.work("score", name, work.explainer).key
        more = [COMPLETION] if work.explainer == CONTROLS else []
        for one in (*members(work.explainer), *more):
            yield from dictionary_scores(work.key, read_side(self.store, name, one, run), one, controls, *drawn)

    def _compare(self) -> None:
        missing = self.missing("compare")
        if not missing:
            return
        with (
            self.report.stage("comparing", len(missing), "explainers") as advance,
            self.store.transaction() as transaction,
        ):
            for work in missing:
                begun = time.monotonic()
                assert work.explainer is not None
                explainer, scorer, sides = self._sides(work.explainer)
                rows = [
                    row
                    for metric, design in COMPARED
                    if all(metric in side.moments for side in sides)
                    for row in comparisons(
                        work.key, sides, explainer, scorer, metric, design,
                        n_draws=self.config.score.bootstrap, margin=self.config.score.margin, seed=self.config.seed,
                    )
                ]  # fmt: skip
                n = transaction.append("comparisons", _columns(rows)) if rows else 0
                self.done(transaction, work, n, time.monotonic() - begun)
                advance(1)

    def _sides(self, explainer: str) -> tuple[str, str, list[Side]]:
        """Whose scores by whom are compared: the embedded simulator's, or the judge's."""
        if not explainer.startswith(JUDGED):
            runs = {name: self.prepared.work("score", name, explainer).key for name in self.names}
            return explainer, SCORER, [read_side(self.store, name, explainer, run) for name, run in runs.items()]
        explainer = explainer.removeprefix(JUDGED)
        assert self.config.score.judge is not None
        scorer = f"{SCORER}:{self.config.score.judge.model}"
        sides = []
        for name in self.names:
            run = self.prepared.work("judge", name, explainer).key
            sides.append(read_side(self.store, name, explainer, run, scorer))
        return explainer, scorer, sides


_CHECKSUMS = "SELECT dictionary, checksum FROM dictionaries"


def _explainers(works: Iterable[Work]) -> list[str]:
    return [work.explainer for work in works if work.explainer is not None]


def _flat(groups: Iterable[Iterable[str]]) -> list[str]:
    return [one for group in groups for one in group]


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {column: [row[column] for row in rows] for column in rows[0]}


def _no_direct_path(name: str, hook: str) -> dict[str, Any]:
    return {
        "stage": ["effects"],
        "dictionary": [name],
        "feature": [None],
        "explainer": [None],
        "scorer": [None],
        "status": ["no_direct_path"],
        "reason": [f"there is no direct path from {hook} to the logits"],
        "again": [0],
    }
