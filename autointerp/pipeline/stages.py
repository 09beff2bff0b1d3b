"""All stages of a run, in order; each does only what its dictionary still lacks."""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from autointerp.config import RunConfig, load_run
from autointerp.errors import StoreError
from autointerp.extract.effects import logit_effects
from autointerp.extract.passes import Selected
from autointerp.pipeline import explain_stage, extract_stage
from autointerp.pipeline.baselines import all_dictionaries
from autointerp.pipeline.census_stage import SCORER, run_census, write_census
from autointerp.pipeline.compare_stage import COMPARED, Side, comparisons, dictionary_scores
from autointerp.pipeline.explain_stage import CONTROLS
from autointerp.pipeline.pass_one import make_engine, make_job
from autointerp.pipeline.prepare import Prepared, check_paths, choose_scored, prepare
from autointerp.pipeline.score_stage import ScoredExplainer, comparison_moments, score_dictionary, write_scores
from autointerp.progress import Reporter, stderr_reporter
from autointerp.records import N_BLOCKS, SPLITS, Int64
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.writer import StoreWriter
from autointerp.subject.dictionary import Units
from autointerp.subject.tokenise import open_tokens
from autointerp.subject.tokens import TokenFile

STAGES = ("tokens", "extract", "effects", "explain", "census", "score", "compare")
"""In order; `--stage NAME` stops after that one."""
PER_DICTIONARY = ("effects", "explain", "score")
"""Stages that commit one dictionary at a time."""


def run(run_file: str | Path | RunConfig, *, until: str = STAGES[-1], reporter: Reporter | None = None) -> Path:
    """Does what is missing of a run and returns the path of its store.

    Raises UserError, before anything is written, where the run file or what it names cannot be used.
    """
    config = run_file if isinstance(run_file, RunConfig) else load_run(run_file)
    report = reporter or stderr_reporter()
    path = config.store_path
    check_paths(config)
    if path.exists():  # held by another process, newer, damaged: said before the slow part
        StoreWriter.open(path).close()
    import torch

    torch.set_float32_matmul_precision("highest")  # float32 is float32 on a GPU too, not TF32
    if config.engine.threads is not None:
        torch.set_num_threads(config.engine.threads)
    with report.stage("subject and dictionaries", None, "files"):
        prepared = prepare(config)
    if path.exists():
        with StoreWriter.open(path) as store:
            refuse_other_work(store, prepared)
    with report.stage("tokens", config.tokens.n_tokens, "tokens") as advance:
        subject = prepared.subject
        tokens = open_tokens(
            prepared.work_folder, prepared.tokens, subject.encode_texts, _rising(advance), subject.encode_chat
        )
    if tokens.left_out:
        report.say("tokens: rows left out: " + ", ".join(f"{n:,} {why}" for why, n in sorted(tokens.left_out.items())))
    with StoreWriter.open(path) as store:
        refuse_other_work(store, prepared)
        _sweep(prepared.work_folder, tokens.folder)
        _Run(prepared, tokens, store, report).until(until)
    return path


def _rising(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Totals to increments."""
    last = 0

    def told(total: int) -> None:
        nonlocal last
        advance(total - last)
        last = total

    return told


def refuse_other_work(store: Queryable, prepared: Prepared) -> None:
    """A store holds one piece of work: another configuration is never mixed into it."""
    for row in store.rows("SELECT run, name FROM runs"):
        if row["run"] != prepared.work:
            raise StoreError(
                f'"{prepared.store_path}" holds the run "{row["name"]}" with another configuration, corpus, '
                "subject or dictionary; give --store a new name, or delete the file"
            )


def _sweep(work_folder: Path, tokens_folder: Path) -> None:
    """Removes what a killed process left half-written, and the token files of earlier stores of this name."""
    for entry in work_folder.iterdir():
        if entry != tokens_folder:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


class _Run:
    """One run under way."""

    def __init__(self, prepared: Prepared, tokens: TokenFile, store: StoreWriter, report: Reporter) -> None:
        self.prepared, self.tokens, self.store, self.report = prepared, tokens, store, report
        self.config = prepared.config
        self.names = [entry.name for entry in self.config.dictionary]
        self.explainers = [*self.config.explain.explainers, *CONTROLS]
        self._dictionaries: dict[str, Selected] | None = None
        self._sides: dict[str, dict[str, Side]] = {}

    def until(self, last: str) -> None:
        for name in STAGES:
            getattr(self, f"_{name}")()
            if name == last:
                break

    @property
    def dictionaries(self) -> dict[str, Selected]:
        """All dictionaries, baselines fitted (pass 0 runs where they are not there yet)."""
        if self._dictionaries is None:
            begun = time.monotonic()
            self._dictionaries = all_dictionaries(
                self.prepared, self.tokens, lambda: self.report.say("baselines: fitting them on a sample (pass 0)")
            )
            if (taken := time.monotonic() - begun) > 1:
                self.report.say(f"baselines: {taken:.1f} s")
        return self._dictionaries

    def _missing(self, stage: str) -> list[str]:
        return [name for name in self.names if not self.store.done(stage, self.prepared.key(stage, name))]

    def _n_features(self, names: list[str]) -> int:
        return sum(len(self.prepared.features[name]) for name in names)

    def _tokens(self) -> None:
        key = self.prepared.key("tokens")
        if self.store.done("tokens", key):
            return
        begun = time.monotonic()
        subject = self.prepared.subject
        with self.store.transaction() as transaction:
            n = transaction.append("runs", self._run_row())
            n += transaction.append("subjects", extract_stage.subject_rows(subject))
            n += transaction.append("vocab", extract_stage.vocab_rows(subject, self.tokens))
            n += transaction.append("token_splits", extract_stage.split_rows(self.tokens))
            transaction.mark_done("tokens", key, None, n, time.monotonic() - begun)

    def _run_row(self) -> dict[str, Any]:
        packages = ("autointerp", "torch", "transformer-lens", "transformers", "duckdb", "numpy", "scipy")
        versions = {"python": platform.python_version()} | {name: _version(name) for name in packages}
        resolved = self.config.model_dump(mode="json")
        resolved["tokens"]["window"] = self.tokens.window
        resolved["tokens"]["context_length"] = self.tokens.context_length
        resolved["tokens"] |= {"commit": self.prepared.tokens.commit, "left_out": self.tokens.left_out}
        return {
            "run": [self.prepared.work],
            "name": [self.config.name],
            "seed": [self.config.seed],
            "config": [json.dumps(resolved, sort_keys=True)],
            "versions": [json.dumps(versions, sort_keys=True)],
            "started_at": [datetime.now(UTC).replace(tzinfo=None)],
        }

    def _extract(self) -> None:
        key = self.prepared.key("extract")
        if self.store.done("extract", key):
            return
        begun = time.monotonic()
        dictionaries, tokens, config = self.dictionaries, self.tokens, self.config
        job = make_job(self.prepared.subject, tokens, dictionaries, config.evidence, config.engine, config.seed)
        engine = make_engine(job, self.prepared.subject, tokens, config, key, self.report)
        engine.gather()
        sae_hooks = {self.prepared.hooks[name] for name in self.prepared.files}
        n_features = sum(chosen.dictionary.n_features for chosen in dictionaries.values())
        with (
            self.report.stage("pass 1: storing evidence", n_features, "features") as advance,
            self.store.transaction() as transaction,
        ):
            rows, contexts = extract_stage.pool_rows(tokens, config.seed)
            n = transaction.append("pool", rows)
            for name, chosen in dictionaries.items():
                other_site = isinstance(chosen.dictionary, Units) and chosen.dictionary.hook not in sae_hooks
                n += transaction.append("dictionaries", extract_stage.dictionary_row(name, chosen, other_site))
            for summaries in engine.rounds():
                more, seen = extract_stage.write_summaries(
                    transaction, dictionaries, summaries, tokens, config.evidence, advance
                )
                n += more
                contexts |= seen
            n += transaction.append("contexts", extract_stage.context_rows(tokens, contexts))
            transaction.mark_done("extract", key, None, n, engine.seconds + time.monotonic() - begun)
        engine.done()
        self._publish()

    def _effects(self) -> None:
        missing = self._missing("effects")
        if not missing:
            return
        seen = sum(self.tokens.count_tokens(split, self.prepared.subject.d_vocab) for split in SPLITS)
        usable = np.asarray(seen) > 0
        with self.report.stage("logit effects", len(missing), "dictionaries") as advance:
            for name in missing:
                begun = time.monotonic()
                chosen = self.dictionaries[name]
                effects = logit_effects(self.prepared.subject, chosen.dictionary, chosen.features, usable)
                with self.store.transaction() as transaction:
                    if effects is None:
                        n = transaction.append("failures", _no_direct_path(name, chosen.dictionary.hook))
                    else:
                        n = sum(
                            transaction.append("logit_effects", extract_stage.effect_rows(name, effects, direction))
                            for direction in ("promoted", "suppressed")
                        )
                    transaction.mark_done(
                        "effects", self.prepared.key("effects", name), name, n, time.monotonic() - begun
                    )
                advance(1)

    def _explain(self) -> None:
        missing = self._missing("explain")
        if not missing:
            return
        with self.report.stage("explaining", self._n_features(missing), "features") as advance:
            for name in missing:
                begun = time.monotonic()
                made = explain_stage.explain(self.store, name, self.config.explain.explainers, self.config.seed)
                with self.store.transaction() as transaction:
                    n = explain_stage.write_explanations(self.store, transaction, name, made)
                    n += explain_stage.write_failures(transaction, name, made)
                    transaction.mark_done(
                        "explain", self.prepared.key("explain", name), name, n, time.monotonic() - begun
                    )
                advance(len(made[0].explanations))
        self._publish()

    def _census(self) -> None:
        key = self.prepared.key("census")
        if self.store.done("census", key):
            return
        begun = time.monotonic()
        n_tokens = self.tokens.facts("score")["n_tokens"]
        with self.report.stage("pass 2: census of the score split", n_tokens, "tokens") as advance:
            found = run_census(
                self.store, self.prepared.subject, self.tokens, self.dictionaries, self.explainers, advance,
                self.config.engine.batch_size,
            )  # fmt: skip
        with self.store.transaction() as transaction:
            n = sum(
                write_census(transaction, name, self.dictionaries[name].features, accumulator)
                for name, accumulator in found.items()
            )
            transaction.mark_done("census", key, None, n, time.monotonic() - begun)

    def _score(self) -> None:
        missing = self._missing("score")
        if not missing:
            return
        with self.report.stage("scoring", self._n_features(missing), "features") as advance:
            for name in missing:
                begun = time.monotonic()
                scored = self._scored(name)
                key = self.prepared.key("score", name)
                sides = self._sides[name] = {one.explainer: self._side(name, one) for one in scored}
                with self.store.transaction() as transaction:
                    n = write_scores(transaction, key, name, scored, self.tokens)
                    rows = dictionary_scores(key, sides, self.config.score.bootstrap, self.config.seed)
                    n += transaction.append("dictionary_scores", _columns(rows))
                    transaction.mark_done("score", key, name, n, time.monotonic() - begun)
                advance(len(self.dictionaries[name].features))
        self._publish()

    def _scored(self, name: str) -> list[ScoredExplainer]:
        sample = self._sample_of(name)
        scorers = self.config.score.scorers
        return score_dictionary(self.store, name, self.explainers, scorers, sample, self.tokens, self.config.seed)

    def _sample_of(self, name: str) -> Int64:
        """Features for the sample design; a matched baseline's are the partners of its target's."""
        chosen = self.dictionaries[name]
        units = chosen.dictionary
        if isinstance(units, Units) and units.matched_to is not None and units.matched_feature is not None:
            theirs = self._sample_of(units.matched_to)
            partner = units.matched_feature.numpy()[chosen.features]
            return chosen.features[np.isin(partner, theirs)]
        n_features = chosen.dictionary.n_features
        return choose_scored(self.config.score.features, chosen.features, n_features, self.config.seed, name)

    def _side(self, name: str, scored: ScoredExplainer) -> Side:
        chosen = self.dictionaries[name]
        units = chosen.dictionary if isinstance(chosen.dictionary, Units) else None
        partner: dict[int, int] = {}
        if units is not None and units.matched_feature is not None:
            partner = {f: int(units.matched_feature[f]) for f in chosen.features.tolist() if units.matched[f]}
        return Side(
            dictionary=name,
            kind=chosen.dictionary.kind,
            hook=chosen.dictionary.hook,
            matched_to=units.matched_to if units else None,
            partner=partner,
            unit={f: int(units.unit[f]) for f in chosen.features.tolist()} if units else {},
            scores=scored.scores,
            moments=comparison_moments(
                self.store, name, scored, dictionary_row(self.store, name)["n_features"], N_BLOCKS
            ),
            alarms=scored.alarms,
        )

    def _compare(self) -> None:
        key = self.prepared.key("compare")
        if self.store.done("compare", key):
            return
        begun = time.monotonic()
        with self.report.stage("comparing", len(self.names), "dictionaries") as advance:
            for name in self.names:
                if name not in self._sides:  # scored by an earlier process: its rows are there, this is not
                    self._sides[name] = {one.explainer: self._side(name, one) for one in self._scored(name)}
                advance(1)
            rows = [
                row
                for explainer in self.config.explain.explainers
                for metric, design in COMPARED
                for row in comparisons(
                    key, [self._sides[name][explainer] for name in self.names], explainer, SCORER, metric, design,
                    n_draws=self.config.score.bootstrap, margin=self.config.score.margin, seed=self.config.seed,
                )
            ]  # fmt: skip
        with self.store.transaction() as transaction:
            n = transaction.append("comparisons", _columns(rows)) if rows else 0
            transaction.mark_done("compare", key, None, n, time.monotonic() - begun)

    def _publish(self) -> None:
        """Readers see the run's progress; a snapshot that cannot be made does not stop it."""
        from autointerp.errors import AutointerpError

        try:
            self.store.publish_snapshot()
        except AutointerpError as error:
            self.report.say(f"no snapshot for readers: {error}")


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
    }
