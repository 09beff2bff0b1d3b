"""The pieces of work that a run consists of, each under the hash of what decides its rows.

    tokens      one                          subject, corpus plan, seed: what a store is about
    extract     a dictionary                 its weights or its recipe, [evidence]
    effects     a dictionary
    diagnostics a dictionary
    explain     a dictionary and explainer   the explainer's settings
    census      a dictionary and explainer   (and one without an explainer: the truth)
    score       a dictionary and explainer   scorers, scored features
    means       a dictionary and explainer   bootstrap
    compare     an explainer                 the dictionaries compared, bootstrap, margin

Each builds on others, whose hashes are in its own: where something changes, what stands on it is other work and
the rest is not. So a store takes up what is new of a changed run file and keeps the rest.

The controls of a dictionary are made together, under the name CONTROLS; they are made of the `lexical` explanations
whatever explainers a run has, so that no explainer's rows depend on which others there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from torch import Tensor

from autointerp.config import Dictionary as DictionaryConfig
from autointerp.config import RunConfig
from autointerp.hashing import content_hash
from autointerp.subject.dictionary import SparseAutoencoder, checksum
from autointerp.subject.model import Subject
from autointerp.subject.tokenise import TokenPlan

ROWS_VERSION = 4
"""Raised when this version of the code would make other rows from the same run file."""
STAGES = ("tokens", "extract", "effects", "diagnostics", "explain", "census", "score", "means", "compare")
"""In order; `--stage NAME` stops after that one."""
CONTROLS = "controls"
"""What `shuffled`, `constant` and `generic` are called together."""
MEMBERS = {CONTROLS: ("shuffled", "constant", "generic")}
BUILDS_ON = "builds_on"
"""Key of `Work.decided_by` under which the hashes of other work stand."""


def members(explainer: str) -> tuple[str, ...]:
    """The explainers whose rows a piece of work makes."""
    return MEMBERS.get(explainer, (explainer,))


@dataclass(frozen=True)
class Work:
    """A piece of work."""

    stage: str
    dictionary: str | None
    explainer: str | None
    decided_by: Mapping[str, Any]
    """Keys of the run file with what they decide, as JSON has it; under BUILDS_ON the hashes of other work."""

    @cached_property
    def key(self) -> str:
        """Its identity: the `work` of tables `works` and `stages`."""
        return content_hash([self.stage, self.dictionary, self.explainer, self.decided_by], tag="work")

    @property
    def what(self) -> tuple[str, str | None, str | None]:
        """What it makes, however it is made."""
        return self.stage, self.dictionary, self.explainer


def works_of(
    config: RunConfig,
    subject: Subject,
    tokens: TokenPlan,
    files: Mapping[str, SparseAutoencoder],
    hooks: Mapping[str, str],
) -> tuple[Work, ...]:
    """All work of a run, in the order of STAGES and, within, of the run file."""
    made = tuple(_works(config, subject, tokens, files, hooks))
    return tuple(sorted(made, key=lambda work: STAGES.index(work.stage)))


def _works(
    config: RunConfig,
    subject: Subject,
    tokens: TokenPlan,
    files: Mapping[str, SparseAutoencoder],
    hooks: Mapping[str, str],
) -> Iterator[Work]:
    about = Work("tokens", None, None, _about(config, subject, tokens))
    yield about
    definitions = {name: _file_definition(sae) for name, sae in files.items()}
    explainers = [CONTROLS, *config.explain.explainers]
    scores: dict[str, dict[str, str]] = {explainer: {} for explainer in explainers}
    for entry in config.dictionary:
        name = entry.name
        extract = Work(
            "extract", name, None,
            {
                BUILDS_ON: {"tokens": about.key},
                "dictionary": _asked(entry) | _made(entry, hooks[name], definitions),
                "evidence": config.evidence.model_dump(mode="json")
                | {"left": config.evidence.left_of(tokens.window)},
            },
        )  # fmt: skip
        effects = Work("effects", name, None, {BUILDS_ON: {"extract": extract.key}})
        yield from (extract, effects, Work("diagnostics", name, None, {BUILDS_ON: {"extract": extract.key}}))
        yield Work("census", name, None, {BUILDS_ON: {"extract": extract.key}})
        floor: str | None = None
        for explainer in explainers:
            explain = Work("explain", name, explainer, {BUILDS_ON: {"effects": effects.key}})
            census = Work("census", name, explainer, {BUILDS_ON: {"explain": explain.key}})
            sampled = config.score.model_dump(mode="json", include={"features"})
            sampled |= {"scorers": sorted(config.score.scorers)}
            score = Work("score", name, explainer, {BUILDS_ON: {"census": census.key}, "score": sampled})
            floor = floor or score.key
            drawn = {"bootstrap": config.score.bootstrap}
            means = Work("means", name, explainer, {BUILDS_ON: {"score": score.key, "floor": floor}, "score": drawn})
            yield from (explain, census, score, means)
            scores[explainer][name] = score.key
    for explainer in config.explain.explainers:
        yield Work(
            "compare", None, explainer,
            {
                BUILDS_ON: {"scores": scores[explainer]},
                "compared": list(scores[explainer]),
                "score": config.score.model_dump(mode="json", include={"bootstrap", "margin"}),
            },
        )  # fmt: skip


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
