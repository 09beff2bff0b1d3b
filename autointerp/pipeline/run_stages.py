"""A run: everything is checked, then each stage does the work that the store still lacks.

RUN has one function a stage, in the file of its name under `stages/`; each is given the context and the works that are
not done.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from autointerp.config.explainers import LLMExplainer
from autointerp.config.llm_model import LLMModel
from autointerp.config.loading import load_run
from autointerp.config.run_file import RunConfig
from autointerp.llm.session.state import Progress
from autointerp.pipeline.asking.asker import Asking, OpenClient
from autointerp.pipeline.asking.client import RunClient
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.pipeline.asking.settling import settle_servers
from autointerp.pipeline.plan.prepare import Prepared, check_paths, prepare
from autointerp.pipeline.plan.reask import Wish, finished_rows
from autointerp.pipeline.plan.store_diff import StoreDiff
from autointerp.pipeline.plan.subject_of_store import subject_of_store
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.stages import (
    ablate,
    census,
    compare,
    compare_effects,
    context_effects,
    diagnostics,
    effects,
    explain,
    extract,
    geometry,
    judge,
    means,
    output_scores,
    score,
    sensitivity,
    similarity,
    steered_texts,
    token_changes,
    tokens,
)
from autointerp.pipeline.stages.context import StageContext, now
from autointerp.progress import Reporter, rising, stderr_reporter
from autointerp.store.writer import StoreWriter
from autointerp.subject.model_files import WEIGHTS
from autointerp.subject.token_ids import TOKEN_FACTS
from autointerp.subject.tokenise import open_tokens
from autointerp.words import STAGES

FROM_ROWS = STAGES[STAGES.index("score") :]
"""Stages that read what the others have stored; the first time, `score` reads the unembedding too."""

Stage = Callable[[StageContext, Sequence[Work]], None]
RUN: Mapping[str, Stage] = {
    "tokens": tokens.run,
    "extract": extract.run,
    "effects": effects.run,
    "ablate": ablate.run,
    "context_effects": context_effects.run,
    "sensitivity": sensitivity.run,
    "token_changes": token_changes.run,
    "steered_texts": steered_texts.run,
    "output_scores": output_scores.run,
    "diagnostics": diagnostics.run,
    "geometry": geometry.run,
    "similarity": similarity.run,
    "compare_effects": compare_effects.run,
    "explain": explain.run,
    "census": census.run,
    "judge": judge.run,
    "score": score.run,
    "means": means.run,
    "compare": compare.run,
}


def run(
    run_file: str | Path | RunConfig,
    *,
    until: str | None = None,
    reporter: Reporter | None = None,
    open_client: OpenClient | None = None,
    delivery: Delivery = Delivery(),
    wish: Wish = Wish(),
) -> Path:
    """Does what is missing of a run and returns the path of its store.

    `open_client` makes what asks LLMs; default: the client of `autointerp.llm`, with the store as its reply log, whose
    questions go as `delivery` says. `wish` names features to be explained again (`pipeline/plan/reask.py`).

    `until`: the stage to stop after; default: the last. Where it is named, is one of those that read stored rows
    (FROM_ROWS), and all before them is done, the subject's weights are not read (but for a first score of `logits`).

    Raises UserError, before anything is written, where the run file or what it names cannot be used; Waiting, when all
    else is done, where replies are not there yet.
    """
    config = run_file if isinstance(run_file, RunConfig) else load_run(run_file)
    report = reporter or stderr_reporter()
    path = config.store_path
    check_paths(config)
    delivery.check(config)
    if path.exists():  # held by another process, newer, damaged: said before the slow part
        StoreWriter.open(path).close()
    if config.score.bootstrap is not None:
        report.say("score.bootstrap does nothing any more: intervals need no resamples; it can be removed")
    import torch

    torch.set_float32_matmul_precision("highest")  # float32 is float32 on a GPU too, not TF32
    if config.engine.threads is not None:
        torch.set_num_threads(config.engine.threads)
    with report.stage("subject and dictionaries", None, "files"):
        prepared = _prepared(config, wish, from_rows=until in FROM_ROWS)
    for line in (line for line in prepared.subject.differences if line.startswith((*TOKEN_FACTS, WEIGHTS))):
        report.say(f"subject: {line}")
    for line in prepared.redos.lines:
        report.say(line)
    if path.exists():
        with StoreWriter.open(path) as store:
            StoreDiff(prepared, store).refuse_mixing()
    with report.stage("tokens", config.tokens.n_tokens, "tokens") as advance:
        subject = prepared.subject
        token_file = open_tokens(
            prepared.work_folder, prepared.tokens, subject.encode_texts, rising(advance), subject.encode_chat
        )
    for remark in token_file.remarks:
        report.say(f"tokens: {remark}")
    if token_file.left_out:
        report.say(
            "tokens: rows left out: " + ", ".join(f"{n:,} {why}" for why, n in sorted(token_file.left_out.items()))
        )
    with StoreWriter.open(path) as store:
        diff = StoreDiff(prepared, store)
        diff.refuse_mixing()
        for line in diff.describe():
            report.say(line)
        _sweep(prepared.work_folder, token_file.folder)
        client = open_client or partial(RunClient, delivery=delivery, on_progress=_spending(report))
        asking = Asking(store, prepared.config, report, client, delivery)
        context = StageContext(prepared, token_file, store, report, asking)
        # A million objects of libraries stay to the end: the collector need not walk through them time after time. What
        # loading left behind is garbage, and must not stay with them.
        gc.collect()
        gc.freeze()
        try:
            _run_until(until or STAGES[-1], context)
        finally:
            gc.unfreeze()
            asking.close()
    return path


def _prepared(config: RunConfig, wish: Wish, *, from_rows: bool) -> Prepared:
    """With `from_rows` the subject is as the store knows it; but where an earlier stage is left the model is read."""
    path = config.store_path
    if not from_rows or not path.exists():
        return prepare(config, wish)
    with StoreWriter.open(path) as store:
        subject = subject_of_store(config, store)
    if subject is None:
        return prepare(config, wish)
    prepared = prepare(config, wish, subject)
    with StoreWriter.open(path) as store:
        diff = StoreDiff(prepared, store)
    if all(diff.done(work) for work in prepared.works if work.stage not in FROM_ROWS):
        return prepared
    return prepare(config, wish, saes=prepared.saes)


def _spending(report: Reporter) -> Callable[[Progress], None]:
    """Shows what LLMs have cost so far beside the stage that asks them."""

    def told(progress: Progress) -> None:
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        report.note = f"${progress.cost_usd:,.4f}{failed}"

    return told


def _models_to_ask(last: str, context: StageContext) -> list[LLMModel]:
    """The models that what is missing will ask: what their servers cannot do is said before the first stage."""
    stages, config = STAGES[: STAGES.index(last) + 1], context.config
    explaining = {work.explainer for work in context.missing("explain")} if "explain" in stages else set()
    entries = [entry for entry in config.explain.asking if isinstance(entry, LLMExplainer) and entry.name in explaining]
    judged = bool(context.missing("judge")) if "judge" in stages else any(entry.chooses for entry in entries)
    return [*entries, *([config.score.judge] if judged and config.score.judge is not None else [])]


def _sweep(work_folder: Path, tokens_folder: Path) -> None:
    """Removes what a killed process left half-written, and the token files of earlier stores of this name."""
    for entry in work_folder.iterdir():
        if entry != tokens_folder:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for part in tokens_folder.glob("*.part"):
        part.unlink()


def _run_until(last: str, context: StageContext) -> None:
    census.remove_unneeded(context)
    settle_servers(context.asking, context.config, _models_to_ask(last, context))
    for name in STAGES:
        if context.asking.waits and STAGES.index(name) > STAGES.index("score"):
            break  # scores of what was judged are there; means wait for all of them
        works = context.missing(name)
        if works or name == "tokens":  # a run is entered also where nothing is left to do
            RUN[name](context, works)
        if name == last:
            break
    context.asking.end()
    redos = context.prepared.redos
    if last == STAGES[-1] and redos.unfinished:
        with context.store.transaction() as transaction:
            transaction.append("again", finished_rows(redos.unfinished, now()))
