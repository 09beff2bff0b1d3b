"""What decides the rows of a run: the subject and tokens that a store is about, dictionaries, explainers.

Named as in the run file, but what things hold counts, not where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.explainers import LLMExplainer, PythonExplainer
from autointerp.config.judging import Judge
from autointerp.config.run_file import RunConfig
from autointerp.explain.probe import probe_version
from autointerp.explain.prompt import style
from autointerp.explain.revise import revise_version
from autointerp.hashing import content_hash
from autointerp.resources import prompt_text
from autointerp.score.scorers.fitting import fit_items
from autointerp.score.scorers.select_exam import N_CHOOSING
from autointerp.subject.dictionary import SparseAutoencoder, checksum
from autointerp.subject.model import Subject
from autointerp.subject.tokenise import TokenPlan


def about_store(config: RunConfig, subject: Subject, tokens: TokenPlan) -> dict[str, Any]:
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
        "seed": config.seed,
        "subject": {"model": subject.checksum, "processing": subject.processing, "dtype": subject.dtype},
        "tokens": facts
        | {
            "prepend_bos": tokens.bos is not None,
            "splits": {"explain": explain, "select": select, "score": score},
        },
    }


def file_definition(sae: SparseAutoencoder) -> dict[str, Any]:
    """All that decides a dictionary read from files; not where they lie."""
    values = {item.name: getattr(sae, item.name) for item in fields(sae) if item.name != "source"}
    plain = {name: value for name, value in values.items() if not isinstance(value, Tensor) and value is not None}
    return plain | {"labels": content_hash(sae.labels), "weights": checksum(sae)}


def asked_of(entry: DictionaryEntry) -> dict[str, Any]:
    """What the run file asks of a dictionary, but for its name, where its files lie and whether it has a twin."""
    return entry.model_dump(mode="json", exclude={"name", "path", "format", "hook", "natural"}, exclude_none=True)


def made_of(entry: DictionaryEntry, hook: str, definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a dictionary is beyond what the run file asks: its files; a baseline's hook and what it is matched to."""
    if entry.name in definitions:
        return dict(definitions[entry.name])
    return {"hook": hook} | ({"matched_to": content_hash(definitions[entry.match])} if entry.match is not None else {})


def explainer_identity(entry: LLMExplainer | PythonExplainer, judge: Judge | None = None) -> dict[str, Any]:
    """All that decides what an explainer writes, as far as it can be known; `judge` chooses between drafts."""
    if isinstance(entry, PythonExplainer):
        return {"python": entry.python}
    words = style(entry.preset, entry.evidence, None if entry.prompt is None else Path(entry.prompt))
    identity = entry.identity() | {"preset": entry.preset, "prompt": words.version}
    if entry.probe:
        words_of_probes = [prompt_text("score/generate.md"), probe_version(words)]
        identity |= {"probe": entry.probe, "probe_prompts": content_hash(words_of_probes)}
    if not entry.chooses:
        return identity
    assert judge is not None  # the run file is asked for it
    how = judge.model_dump(mode="json", include={"judgements", "logprobs"})
    if (items := fit_items(judge)) is not None:
        how["items"] = items
    identity |= {"best_of": entry.best_of, "revise": entry.revise, "n_choosing": N_CHOOSING}
    identity |= {"chosen_by": judge.identity() | how | {"prompt": content_hash(prompt_text("score/detect.md"))}}
    return identity | ({"revise_prompt": revise_version(words)} if entry.revise else {})
