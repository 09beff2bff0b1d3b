"""`autointerp check`: the self-check of every dictionary of a run file, before anything is spent or written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from autointerp.config.run_file import RunConfig
from autointerp.pipeline.plan.prepare import Prepared, prepare, written_hooks
from autointerp.progress import Reporter
from autointerp.subject.check import Probe, Report, check_dictionaries, check_subject, planned_tokens
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.hook_places import hook_places
from autointerp.subject.model import Subject
from autointerp.subject.opening import open_subject
from autointerp.subject.token_ids import adds_bos
from autointerp.subject.tokenise import open_tokens
from autointerp.subject.tokens import TokenFile

CHECK_TOKENS = 12_000


@dataclass(frozen=True)
class ContextToken:
    """One place of the context that is shown."""

    id: int
    text: str
    is_special: bool


@dataclass(frozen=True)
class HookLine:
    """A hook point of a dictionary, and where it is in Hugging Face's model."""

    dictionary: str
    hook: str
    use: str  # "reads" or "writes"
    place: str


@dataclass(frozen=True)
class CheckedRun:
    """All that a check says."""

    reports: list[Report]
    hooks: list[HookLine]
    context: list[ContextToken]
    """The first context of the sample."""
    n_contexts: int
    tokens: list[str]
    """What holds of BOS, special ids and the vocabulary, a line each; what is wrong begins with its name."""
    not_checked: list[str]
    """What could not be checked, and why."""

    @property
    def ok(self) -> bool:
        return all(report.ok for report in self.reports)


def check_run(config: RunConfig, reporter: Reporter) -> CheckedRun:
    """Checks every dictionary that is read from files; raises UserError where something does not even fit."""
    with reporter.stage("loading", None, "dictionaries") as advance:
        prepared = prepare(config)
        advance(len(prepared.saes))
    with reporter.stage("reading the sample", None, "tokens") as advance:
        probe = make_probe(prepared)
        advance(int(probe.tokens.numel()))
    difference = check_subject(prepared.subject, probe.tokens)
    with reporter.stage("checking", planned_tokens(probe), "tokens") as advance:
        reports = check_dictionaries(prepared.saes, probe, advance) if prepared.saes else []
    hooks = _hook_lines(prepared)
    return CheckedRun(
        reports=reports,
        hooks=hooks,
        context=_first_context(prepared.subject, probe),
        n_contexts=len(probe.tokens),
        tokens=[*_bos_lines(prepared, probe), *prepared.subject.differences],
        not_checked=_not_checked(prepared, probe, reports, hooks, difference),
    )


def make_probe(prepared: Prepared, n_tokens: int = CHECK_TOKENS) -> Probe:
    """The first tokens of the run's source, and the subject with its weights folded (or raw)."""
    wanted = prepared.config.subject

    @cache
    def other() -> Subject:
        processing = "raw" if wanted.processing == "folded" else "folded"
        return open_subject(prepared.config, processing)

    plan = replace(prepared.tokens, n_tokens=n_tokens, allow_fewer=True, shares=(1.0, 0.0, 0.0))
    with tempfile.TemporaryDirectory() as folder:
        subject = prepared.subject
        tokens = open_tokens(Path(folder), plan, subject.encode_texts, lambda _: None, subject.encode_chat)
        ids, scored = _whole(tokens)
    exclude = prepared.config.evidence.exclude_outliers
    return Probe(prepared.subject, ids, scored, None if wanted.device == "map" else other, exclude)


def _whole(tokens: TokenFile) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.from_numpy(np.array(tokens.tokens, dtype=np.int64))
    return ids, torch.from_numpy(tokens.scored(np.arange(tokens.n_contexts)))


def _hook_lines(prepared: Prepared) -> list[HookLine]:
    """Each dictionary's hook points, those of transcoders twice."""
    lines = []
    used = [(name, hook, "reads") for name, hook in prepared.hooks.items()]
    known = set(written_hooks(prepared.subject, prepared.saes))
    used += [(name, sae.hook_out, "writes") for name, sae in prepared.saes.items() if sae.hook_out in known]
    places = hook_places(prepared.subject, sorted({hook for _, hook, _ in used}))
    for name, hook, use in used:
        place = places[hook].text if hook in places else "not compared with Hugging Face's model"
        lines.append(HookLine(name, hook, use, place))
    return sorted(lines, key=lambda line: list(prepared.hooks).index(line.dictionary))


def _first_context(subject: Subject, probe: Probe) -> list[ContextToken]:
    vocabulary = subject.vocabulary()
    special = set(subject.special)
    return [ContextToken(int(id_), vocabulary[int(id_)], int(id_) in special) for id_ in probe.tokens[0]]


def _bos_lines(prepared: Prepared, probe: Probe) -> list[str]:
    subject, bos = prepared.subject, prepared.subject.bos
    lines = []
    put = prepared.tokens.bos is not None
    if bos is None:
        lines.append("BOS: the subject has none, and contexts begin with text")
    else:
        text = subject.vocabulary()[bos]
        by_itself = adds_bos(subject.tokenizer)
        own = "" if by_itself is None else f"; the tokenizer by itself {'adds it too' if by_itself else 'adds none'}"
        what = "put in front of each context" if put else "not put in front (prepend_bos = false)"
        lines.append(f"BOS: {bos} {text}, {what}{own}")
        doubled = (probe.tokens[:, :2] == bos).all(dim=1)
        if bool(doubled.any()):
            lines.append(
                f"doubled BOS: {int(doubled.sum())} of {len(doubled)} contexts begin with {text} {text}; take one out "
                "of the source" + (", or set prepend_bos = false" if put else "")
            )
    for name, sae in prepared.saes.items():
        lines += [f"{name}: {line}" for line in _trained_otherwise(sae, put, prepared.tokens.context_length)]
    return lines


def _trained_otherwise(sae: SparseAutoencoder, puts_bos: bool, length: int) -> list[str]:
    """Where the dictionary's files say that it was trained on other contexts than the run reads."""
    nested = sae.config.get("metadata")
    facts: Mapping[str, object] = {**sae.config, **(nested if isinstance(nested, dict) else {})}
    lines = []
    trained = facts.get("prepend_bos")
    if isinstance(trained, bool) and trained != puts_bos:
        lines.append(
            f"trained {'with' if trained else 'without'} a BOS in front, and this run has "
            f"{'one' if puts_bos else 'none'}; set prepend_bos = {str(trained).lower()}"
        )
    size = facts.get("context_size")
    if isinstance(size, int) and size != length:
        lines.append(f"trained on contexts of {size:,} tokens, and this run has {length:,}")
    return lines


def _not_checked(
    prepared: Prepared, probe: Probe, reports: list[Report], hooks: list[HookLine], difference: float | None
) -> list[str]:
    subject, lines = prepared.subject, []
    if difference is None:
        why = "its weights are folded" if subject.processing == "folded" else "it is spread over devices"
        lines.append(f"the subject's logits and hook points against Hugging Face's model: {why}")
    elif apart := sorted({line.hook for line in hooks if "could not be compared" in line.place}):
        lines.append(f"{', '.join(apart)}: no module of Hugging Face's model holds the same")
    if int(probe.scored.sum()) < CHECK_TOKENS // 2:
        lines.append(f"more than {int(probe.scored.sum()):,} scored tokens: the source holds no more")
    lines += [f"{report.dictionary}, {line}" for report in reports for line in report.not_checked]
    baselines = [entry.name for entry in prepared.config.dictionary if entry.name not in prepared.saes]
    if baselines:
        lines.append(f"{', '.join(baselines)}: a baseline is made here and reconstructs nothing")
    return [*lines, "what a dictionary was trained on, and faults that leave a good reconstruction"]
