"""The pieces of work that a run consists of, each under the hash of what decides its rows.

    tokens      one                          subject, corpus plan, seed: what a store is about
    extract     a dictionary                 its weights or its recipe, [evidence]
    effects     a dictionary
    diagnostics a dictionary
    explain     a dictionary and explainer   the explainer's settings
    census      a dictionary and explainer   (and one without an explainer: the truth)
    score       a dictionary and explainer   scorers, scored features
    judge       a dictionary and explainer   the judge, its prompts, scorers, scored features
    means       a dictionary and explainer   bootstrap
    compare     an explainer                 the dictionaries compared, bootstrap, margin

Each builds on others, whose hashes are in its own: where something changes, what stands on it is other work and
the rest is not. So a store takes up what is new of a changed run file and keeps the rest.

Explainers that ask an LLM, or the user's own, have no lookup: they are judged, not counted over. Each has a control of
its own, `shuffled:EXPLAINER`; `constant` and `generic` are judged once for all of them.

The controls of a dictionary are made together, under the name CONTROLS; they are made of the `lexical` explanations
whatever explainers a run has, so that no explainer's rows depend on which others there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from autointerp.config.dictionary_entry import DictionaryEntry as DictionaryConfig
from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import Judge, LLMExplainer, PythonExplainer, RunConfig
from autointerp.explain.prompt import style
from autointerp.explain.revise import revise_version
from autointerp.hashing import content_hash
from autointerp.pipeline.plan.reask import Redo, Redos
from autointerp.pipeline.plan.work import BUILDS_ON, Work
from autointerp.resources import folder, prompt_text
from autointerp.score.scorers.select_exam import N_CHOOSING
from autointerp.subject.dictionary import SparseAutoencoder, checksum
from autointerp.subject.model import Subject
from autointerp.subject.tokenise import TokenPlan
from autointerp.words import CONTROLS, HUMAN, JUDGED_ALWAYS, MEMBERS, STAGES, is_control, shuffled_of

ROWS_VERSION = 8
"""Raised when this version of the code would make other rows from the same run file."""
JUDGED = "judged "
"""Stands before the explainer in work of the stages means and compare that is about judgements."""


def works_of(
    config: RunConfig,
    subject: Subject,
    tokens: TokenPlan,
    files: Mapping[str, SparseAutoencoder],
    hooks: Mapping[str, str],
    labels: Mapping[str, str],
    redos: Redos = Redos(),  # noqa: B008 - frozen
) -> tuple[Work, ...]:
    """All work of a run, in the order of STAGES and, within, of the run file; `labels` is the hash of what people
    wrote, by dictionary; `redos` what is asked again: of work with such links the last one stands for all."""
    made = tuple(_works(config, subject, tokens, files, hooks, labels, redos))
    return tuple(sorted(made, key=lambda work: STAGES.index(work.stage)))


def _works(
    config: RunConfig,
    subject: Subject,
    tokens: TokenPlan,
    files: Mapping[str, SparseAutoencoder],
    hooks: Mapping[str, str],
    labels: Mapping[str, str],
    redos: Redos,
) -> Iterator[Work]:
    about = Work("tokens", None, None, _about(config, subject, tokens))
    yield about
    definitions = {name: _file_definition(sae) for name, sae in files.items()}
    explainers = [CONTROLS, *config.explain.embedded]
    scores: dict[str, dict[str, str]] = {explainer: {} for explainer in explainers}
    judgements: dict[str, dict[str, str]] = {}
    for entry in config.dictionary:
        name = entry.name
        extract = Work(
            "extract",
            name,
            None,
            {
                BUILDS_ON: {"tokens": about.key},
                "dictionary": _asked(entry) | _made(entry, hooks[name], definitions),
                "evidence": config.evidence.model_dump(mode="json") | {"left": config.evidence.left_of(tokens.window)},
            },
        )
        effects = Work("effects", name, None, {BUILDS_ON: {"extract": extract.key}})
        yield from (extract, effects, Work("diagnostics", name, None, {BUILDS_ON: {"extract": extract.key}}))
        yield Work("census", name, None, {BUILDS_ON: {"extract": extract.key}})
        floor: str | None = None
        explained: dict[str, Work] = {}
        again: dict[str, Work] = {}
        for explainer in explainers:
            explain = Work("explain", name, explainer, {BUILDS_ON: {"effects": effects.key}})
            explained[explainer] = explain
            census = Work("census", name, explainer, {BUILDS_ON: {"explain": explain.key}})
            sampled = config.score.model_dump(mode="json", include={"features"})
            sampled |= {"scorers": sorted(config.score.scorers)}
            score = Work("score", name, explainer, {BUILDS_ON: {"census": census.key}, "score": sampled})
            floor = floor or score.key
            drawn = {"bootstrap": config.score.bootstrap}
            means = Work("means", name, explainer, {BUILDS_ON: {"score": score.key, "floor": floor}, "score": drawn})
            yield from (explain, census, score, means)
            scores[explainer][name] = score.key
        for entry_ in config.explain.asking:
            asked = Work(
                "explain",
                name,
                entry_.name,
                {BUILDS_ON: {"effects": effects.key}, "explainer": identity(entry_, config.score.judge)},
            )
            control = Work("explain", name, shuffled_of(entry_.name), {BUILDS_ON: {"explain": asked.key}})
            explained |= {work.explainer: work for work in (asked, control) if work.explainer is not None}
            latest = asked
            for redo in redos.of(name, entry_.name):
                latest = _again(latest, redo, redo.explained, {"explain": latest.key})
            again[entry_.name] = latest
            yield from (latest, control)
        if config.explain.human:
            explained[HUMAN] = Work("explain", name, HUMAN, {"labels": labels.get(name)})  # not a run's work
        judged = list(_judged(config, name, explained, again, redos))
        yield from judged
        floors = {work.explainer: work.key for work in judged if work.explainer and is_control(work.explainer)}
        for work in judged:
            assert work.explainer is not None
            builds_on = {"judge": work.key, "floors": floors}
            yield Work("means", name, f"{JUDGED}{work.explainer}", {BUILDS_ON: builds_on, "score": drawn})
            if not is_control(work.explainer):
                judgements.setdefault(work.explainer, {})[name] = work.key
    yield from _comparisons(config, scores, "")
    yield from _comparisons(config, judgements, JUDGED)


def _comparisons(config: RunConfig, scores: Mapping[str, Mapping[str, str]], prefix: str) -> Iterator[Work]:
    for explainer in scores:
        if explainer == CONTROLS:
            continue
        yield Work(
            "compare",
            None,
            f"{prefix}{explainer}",
            {
                BUILDS_ON: {"scores": scores[explainer]},
                "compared": list(scores[explainer]),
                "score": config.score.model_dump(mode="json", include={"bootstrap", "margin"}),
            },
        )


def _again(work: Work, redo: Redo, features: tuple[int, ...], builds_on: Mapping[str, str]) -> Work:
    """A further link, where the request is about any features."""
    if not features:
        return work
    facts = {BUILDS_ON: {**builds_on, "features": content_hash(features)}, "again": f"{redo.number}: {redo.said}"}
    return Work(work.stage, work.dictionary, work.explainer, {**work.decided_by, **facts}, work, redo)


def _judged(
    config: RunConfig, dictionary: str, explained: Mapping[str, Work], again: Mapping[str, Work], redos: Redos
) -> Iterator[Work]:
    """What the judge is asked about, the controls last."""
    judge = config.score.judge
    if judge is None:
        return
    asking = [entry.name for entry in config.explain.asking]
    embedded = config.explain.embedded if judge.embedded or not asking else []
    controls = [*map(shuffled_of, asking), *(["shuffled"] if embedded else []), *JUDGED_ALWAYS]
    settings = judge.model_dump(mode="json", include=set(type(judge).model_fields) - set(LLMModel.model_fields))
    human = [HUMAN] if config.explain.human else []
    for explainer in [*asking, *human, *embedded, *controls]:
        source = explained[CONTROLS if explainer in MEMBERS else explainer]
        how = settings if is_control(explainer) else {k: v for k, v in settings.items() if k != "controls"}
        work = Work(
            "judge",
            dictionary,
            explainer,
            {
                BUILDS_ON: {"explain": source.key},
                "judge": judge.identity() | how | {"prompts": judge_prompts()},
                "score": config.score.model_dump(mode="json", include={"features"})
                | {"scorers": sorted(config.score.scorers)},
                "beside": "lexical" in config.explain.embedded and explainer in asking,
            },
        )
        for redo in redos.of(dictionary, explainer):
            links = again[explainer].links if explainer in again else [source]
            latest = [link for link in links if link.redo is None or link.redo.number <= redo.number][-1]
            work = _again(work, redo, redo.judged, {"explain": latest.key, "judge": work.key})
        yield work


def judge_prompts() -> str:
    """Hash of the words that judges are asked in."""
    files = sorted((folder("prompts") / "score").glob("*.md"))
    return content_hash([file.read_text(encoding="utf-8") for file in files], tag="prompt")


def identity(entry: LLMExplainer | PythonExplainer, judge: Judge | None = None) -> dict[str, Any]:
    """All that decides what an explainer writes, as far as it can be known; `judge` chooses between drafts."""
    if isinstance(entry, PythonExplainer):
        return {"python": entry.python}
    words = style(entry.preset, entry.evidence, None if entry.prompt is None else Path(entry.prompt))
    found = entry.identity() | {"preset": entry.preset, "prompt": words.version}
    if not entry.refines:
        return found
    assert judge is not None  # config.py asks for it
    how = judge.model_dump(mode="json", include={"judgements", "logprobs"})
    found |= {"best_of": entry.best_of, "revise": entry.revise, "n_choosing": N_CHOOSING}
    found |= {"chosen_by": judge.identity() | how | {"prompt": content_hash(prompt_text("score/detect.md"))}}
    return found | ({"revise_prompt": revise_version(words)} if entry.revise else {})


def _about(config: RunConfig, subject: Subject, tokens: TokenPlan) -> dict[str, Any]:
    """What a store is about. Named as in the run file, but what things hold counts, not where they lie."""
    explain, select, score = tokens.shares
    facts = asdict(tokens)
    for name in ("allow_fewer", "bos", "shares", "content", "d_vocab"):
        del facts[name]
    if tokens.commit is not None:
        del facts["revision"]
    if tokens.content:
        for name in ("subset", "hf_split", "revision", "commit"):
            facts.pop(name, None)
        facts["source"] = tokens.content
    return {
        "rows_version": ROWS_VERSION,
        "seed": config.seed,
        "subject": {"model": subject.checksum, "processing": subject.processing, "dtype": subject.dtype},
        "tokens": facts
        | {
            "prepend_bos": tokens.bos is not None,
            "splits": {"explain": explain, "select": select, "score": score},
        },
    }


def _file_definition(sae: SparseAutoencoder) -> dict[str, Any]:
    """All that decides a dictionary read from files; not where they lie."""
    values = {item.name: getattr(sae, item.name) for item in fields(sae) if item.name != "source"}
    plain = {name: value for name, value in values.items() if not isinstance(value, Tensor) and value is not None}
    return plain | {"labels": content_hash(sae.labels), "weights": checksum(sae)}


def _asked(entry: DictionaryConfig) -> dict[str, Any]:
    """What the run file asks of a dictionary, but for its name, where its files lie and whether it has a twin."""
    return entry.model_dump(mode="json", exclude={"name", "path", "format", "hook", "natural"}, exclude_none=True)


def _made(entry: DictionaryConfig, hook: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a dictionary is beyond what the run file asks: its files; a baseline's hook and what it is matched to."""
    if entry.name in files:
        return dict(files[entry.name])
    return {"hook": hook} | ({"matched_to": content_hash(files[entry.match])} if entry.match is not None else {})
