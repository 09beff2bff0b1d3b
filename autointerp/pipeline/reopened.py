"""A store's subject, text and dictionaries, opened again: what asks for activations that the store does not hold.

The latest run's configuration stands in the store. What it names must still be there and be what the store is about:
the weights of the subject and of the dictionaries, and the text. Nothing is written to the store.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.config.subject_tokens import TokensSection
from autointerp.errors import StoreError
from autointerp.extract.selected import Selected
from autointerp.pipeline.fitted_dictionaries import open_fitted
from autointerp.pipeline.hook_norms import norms_at
from autointerp.pipeline.plan.prepare import Prepared, prepare
from autointerp.progress import Reporter, rising
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.reader import open_reader
from autointerp.subject.baselines import base_name
from autointerp.subject.dictionary import checksum
from autointerp.subject.tokenise import open_tokens
from autointerp.subject.tokens import TokenFile
from autointerp.words import NATURAL

_CONFIG = "SELECT config FROM runs ORDER BY started_at DESC LIMIT 1"
_SUBJECT = "SELECT checksum FROM subjects"
_TOKENS = "SELECT count(*) AS n FROM stages WHERE stage = 'tokens' AND work = $work"
_CHECKSUMS = "SELECT dictionary, checksum FROM dictionaries"


@dataclass(frozen=True)
class Reopened:
    """The run behind a store, with some of its dictionaries."""

    path: Path
    prepared: Prepared
    tokens: TokenFile
    dictionaries: dict[str, Selected]


def reopen(path: Path, names: Sequence[str], report: Reporter) -> Reopened:
    """Opens what is behind a store, and these dictionaries of it.

    Raises StoreError where the store has no such dictionary or is about something else than what is there now, and
    UserError where a file is gone.
    """
    with open_reader(path) as store:
        for name in names:
            dictionary_row(store, name)
        config = stored_config(store, path, names)
        with report.stage("subject and dictionaries", None, "files"):
            prepared = prepare(config)
        _refuse_others(store, prepared)
        with report.stage("tokens", config.tokens.n_tokens, "tokens") as advance:
            subject = prepared.subject
            tokens = open_tokens(
                prepared.work_folder, prepared.tokens, subject.encode_texts, rising(advance), subject.encode_chat
            )
        limits = partial(norm_limits, prepared, tokens, store)
        opened = open_fitted(prepared, tokens, store, list(dict.fromkeys(names)), report, limits)
    return Reopened(path, prepared, tokens, opened)


def reopen_dictionaries(
    path: Path, names: Sequence[str], report: Reporter
) -> tuple[Prepared, dict[str, Selected], dict[str, float | None]]:
    """The subject and these dictionaries, and of each the norm past which a token fires none of its units; the text is
    not read, and the store is let go of, unless one of them has to be fitted again. Raises as `reopen` does."""
    with open_reader(path) as store:
        limits = {name: dictionary_row(store, name)["norm_limit"] for name in names}
        config = stored_config(store, path, names)
    with report.stage("subject and dictionaries", None, "files"):
        prepared = prepare(config)
    if not set(names) <= set(prepared.saes):
        again = reopen(path, names, report)
        return again.prepared, {name: again.dictionaries[name] for name in names}, limits
    with open_reader(path) as store:
        _refuse_others(store, prepared)
    chosen = {name: Selected(prepared.saes[name], prepared.features[name]) for name in names}
    return prepared, chosen, limits


def norm_limits(prepared: Prepared, tokens: TokenFile, store: Queryable, hooks: Sequence[str]) -> dict[str, float]:
    """By hook, the norm past which a token is an outlier; none where outliers count like all others."""
    if not prepared.config.evidence.exclude_outliers:
        return {}
    return {hook: norms.norm_limit for hook, norms in norms_at(prepared, tokens, store, hooks).items()}


def stored_facts(store: Queryable, path: Path) -> dict[str, Any]:
    """The latest run file as the store has it, with all defaults. Raises StoreError where there is none."""
    runs = store.rows(_CONFIG)
    if not runs:
        raise StoreError(f'"{path}" holds no run yet')
    facts: dict[str, Any] = json.loads(runs[0]["config"])
    return facts


def stored_config(store: Queryable, path: Path, names: Sequence[str]) -> RunConfig:
    """The latest run file, with these dictionaries and those that they are made from; no LLM is asked."""
    facts = stored_facts(store, path)
    # natural twins stand beside their baselines there, and are made of them
    entries = {one["name"]: one for one in facts["dictionary"] if not one["name"].endswith(NATURAL)}
    wanted = {base_name(name) for name in names}
    if missing := sorted(wanted - set(entries)):
        raise StoreError(f'"{missing[0]}" is of an earlier run of "{path}"; the latest run file does not name it')
    wanted |= {entries[name][key] for name in set(wanted) for key in ("match", "like") if entries[name].get(key)}
    kept = [entry for name, entry in entries.items() if name in wanted]
    tokens = {key: value for key, value in facts["tokens"].items() if key in TokensSection.model_fields}
    if tokens["source"].startswith("npy:"):
        tokens["context_length"] = None  # that of the rows, and a BOS
    return parse_run(
        facts | {"store": str(path), "tokens": tokens, "dictionary": kept, "explain": {}, "score": {}, "budget": {}},
        source=str(path),
    )


def _refuse_others(store: Queryable, prepared: Prepared) -> None:
    [subject] = store.rows(_SUBJECT)
    if subject["checksum"] != prepared.subject.checksum:
        raise StoreError(
            f'the weights of "{prepared.subject.name}" are not those that the store is about '
            f"(content {subject['checksum'][:8]} -> {prepared.subject.checksum[:8]})"
        )
    stored = {row["dictionary"]: row["checksum"] for row in store.rows(_CHECKSUMS)}
    for name, sae in prepared.saes.items():
        if name in stored and stored[name] != checksum(sae):
            raise StoreError(f'the weights of "{name}" are not those that the store is about')
    if not store.rows(_TOKENS, work=prepared.work("tokens").key)[0]["n"]:
        raise StoreError(
            f'the text of "{prepared.config.tokens.source}" is not the one that the store is about any more'
        )
