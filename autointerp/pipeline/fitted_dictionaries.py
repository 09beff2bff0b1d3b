"""The dictionaries of a run, baselines fitted: from the work folder where they were fitted before."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.errors import StoreError
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.prepare import Prepared
from autointerp.progress import Reporter
from autointerp.store.query import Queryable
from autointerp.subject.baselines import (
    Target,
    base_name,
    count_firings,
    make_units,
    match_order,
    natural_twin,
    take_sample,
)
from autointerp.subject.dictionary import Units, checksum
from autointerp.subject.tokens import TokenFile
from autointerp.words import NATURAL

NormLimits = Callable[[Sequence[str]], dict[str, float]]
"""Of some hooks, the norm past which a token is an outlier; where outliers count like all others, of none."""


def open_fitted(
    prepared: Prepared,
    tokens: TokenFile,
    store: Queryable,
    names: Sequence[str],
    report: Reporter,
    limits: NormLimits,
) -> dict[str, Selected]:
    """What `open_dictionaries` opens; says how long it took.

    Raises StoreError where a baseline is not the one whose evidence is stored.
    """
    begun = time.monotonic()
    opened = open_dictionaries(
        prepared, tokens, names, lambda: report.say("baselines: fitting them on a sample (pass 0)"), limits
    )
    if (taken := time.monotonic() - begun) > 1:
        report.say(f"baselines: {taken:.1f} s")
    _refuse_drift(prepared, store, opened)
    for name, chosen in opened.items():
        fit = chosen.dictionary.config if isinstance(chosen.dictionary, Units) else {}
        if fit.get("converged") is False:
            report.say(f"{name}: still turning after {fit['steps']} steps: the last directions stand")
    return opened


_CHECKSUMS = "SELECT dictionary, checksum FROM dictionaries"


def _refuse_drift(prepared: Prepared, store: Queryable, opened: dict[str, Selected]) -> None:
    """A baseline whose fit was lost is fitted again: where it differs its evidence is another's."""
    stored = {row["dictionary"]: row["checksum"] for row in store.rows(_CHECKSUMS)}
    for name, chosen in opened.items():
        units = chosen.dictionary
        if isinstance(units, Units) and name in stored and checksum(units) != stored[name]:
            raise StoreError(
                f'dictionary "{name}": its fit was lost with "{prepared.work_folder}", and fitted again here '
                "it is not quite the one whose evidence the store holds; give another --store"
            )


def open_dictionaries(
    prepared: Prepared, tokens: TokenFile, names: Sequence[str], stage: Callable[[], object], limits: NormLimits
) -> dict[str, Selected]:
    """The dictionaries of these names, in their order. `stage` is called if pass 0 must run, `limits` for its hooks."""
    saes = {name: Selected(sae, prepared.features[name]) for name, sae in prepared.saes.items()}
    wanted = [entry for entry in prepared.config.dictionary if entry.name in names and entry.name not in saes]
    fitted = _fitted(prepared, tokens, wanted, saes, stage, limits)
    chosen = saes | {name: Selected(units, prepared.features[name]) for name, units in fitted.items()}
    return {name: chosen[name] for name in names}


def _fitted(
    prepared: Prepared,
    tokens: TokenFile,
    wanted: Sequence[DictionaryEntry],
    saes: dict[str, Selected],
    stage: Callable[[], object],
    limits: NormLimits,
) -> dict[str, Units]:
    # Beside the tokens that they are fitted on: other tokens, other baselines. A file each, since one may be new.
    made: dict[str, Units] = {}
    missing = []
    for entry in fitted_entries(prepared, wanted):
        path = _path(prepared, tokens, entry.name)
        if path.is_file():
            made[entry.name] = _restore(path)
        else:
            missing.append(entry)
    if missing:
        stage()
        hooks = sorted({prepared.hooks[entry.name] for entry in missing})
        seed, folder = prepared.config.seed, prepared.work_folder
        sample = take_sample(prepared.subject, tokens, hooks, seed, folder, norm_limits=limits(hooks))
        targets: dict[tuple[str | None, float], Target] = {}
        for name, share in sorted({(e.match, e.match_at or 0.0) for e in missing if e.match is not None}):
            x = sample.by_hook[prepared.hooks[name]]
            there = saes[name].features
            most = max(e.n_features or len(there) for e in missing if e.match == name)
            paired = np.sort(match_order(there, seed, name)[:most])
            counted = count_firings(saes[name].dictionary, x, paired, share)
            targets[name, share] = replace(counted, n_selected=len(there))
        for entry in missing:
            target, like = targets.get((entry.match, entry.match_at or 0.0)), prepared.saes.get(entry.match or "")
            units = make_units(entry, prepared.hooks[entry.name], sample, prepared.config.seed, target, like)
            made[entry.name] = units
            _save(_path(prepared, tokens, entry.name), units)
    twins = [entry.name for entry in wanted if entry.name.endswith(NATURAL)]
    return made | {twin: natural_twin(base_name(twin), made[base_name(twin)]) for twin in twins}


def fitted_entries(prepared: Prepared, wanted: Sequence[DictionaryEntry]) -> list[DictionaryEntry]:
    """The baselines that must be fitted to have those `wanted`: a twin's units are those of its baseline."""
    names = {base_name(entry.name) for entry in wanted}
    return [entry for entry in prepared.config.dictionary if entry.name in names]


def _path(prepared: Prepared, tokens: TokenFile, name: str) -> Path:
    return tokens.folder / f"baseline-{prepared.work('extract', name).key[:12]}.safetensors"


TENSORS = ("unit", "direction", "sign", "mu", "theta", "matched_feature", "written")


def _save(path: Path, units: Units) -> None:
    tensors = {field: getattr(units, field) for field in TENSORS}
    held = {field: value.contiguous() for field, value in tensors.items() if value is not None}
    held["matched"] = torch.tensor(units.matched, dtype=torch.bool)
    facts = {name: getattr(units, name) for name in ("kind", "hook", "d_in", "matched_to", "norm_limit")}
    temporary = path.with_suffix(f".{os.getpid()}.part")
    save_file(held, temporary, {"facts": json.dumps(facts | {"config": units.config})})
    temporary.rename(path)


def _restore(path: Path) -> Units:
    with safe_open(path, "pt") as saved:
        held = set(saved.keys())
        tensors: dict[str, Any] = {field: saved.get_tensor(field) for field in TENSORS if field in held}
        matched = tuple(bool(item) for item in saved.get_tensor("matched"))
        facts = json.loads(saved.metadata()["facts"])
    return Units(**{"direction": None} | tensors, matched=matched, **facts)
