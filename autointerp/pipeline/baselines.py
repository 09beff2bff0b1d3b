"""The dictionaries of a run, baselines fitted: from the work folder where they were fitted before."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from autointerp.config import Dictionary as DictionaryConfig
from autointerp.extract.passes import Selected
from autointerp.pipeline.prepare import Prepared
from autointerp.subject.baselines import Target, count_firings, make_units, take_sample
from autointerp.subject.dictionary import Units
from autointerp.subject.tokens import TokenFile


def open_dictionaries(
    prepared: Prepared, tokens: TokenFile, names: Sequence[str], stage: Callable[[], object]
) -> dict[str, Selected]:
    """The dictionaries of these names, in their order. `stage` is called if pass 0 must run."""
    files = {name: Selected(sae, prepared.features[name]) for name, sae in prepared.files.items()}
    wanted = [entry for entry in prepared.config.dictionary if entry.name in names and entry.name not in files]
    fitted = _fitted(prepared, tokens, wanted, files, stage)
    chosen = files | {name: Selected(units, prepared.features[name]) for name, units in fitted.items()}
    return {name: chosen[name] for name in names}


def _fitted(
    prepared: Prepared,
    tokens: TokenFile,
    wanted: Sequence[DictionaryConfig],
    files: dict[str, Selected],
    stage: Callable[[], object],
) -> dict[str, Units]:
    # Beside the tokens that they are fitted on: other tokens, other baselines. A file each, since one may be new.
    paths = {
        entry.name: tokens.folder / f"baseline-{prepared.work('extract', entry.name).key[:12]}.safetensors"
        for entry in wanted
    }
    made = {
        entry.name: _restore(
            load_file(paths[entry.name]), entry.name, entry.kind, prepared.hooks[entry.name], entry.match, files
        )
        for entry in wanted
        if paths[entry.name].is_file()
    }
    missing = [entry for entry in wanted if entry.name not in made]
    if not missing:
        return made
    stage()
    hooks = sorted({prepared.hooks[entry.name] for entry in missing})
    sample = take_sample(prepared.subject, tokens, hooks, prepared.config.seed, prepared.work_folder)
    targets: dict[str | None, Target] = {}
    for name in sorted({entry.match for entry in missing if entry.match is not None}):
        x = sample.by_hook[prepared.hooks[name]]
        targets[name] = count_firings(files[name].dictionary, x, files[name].features)
    for entry in missing:
        units = make_units(entry, prepared.hooks[entry.name], sample, prepared.config.seed, targets.get(entry.match))
        made[entry.name] = units
        _save(paths[entry.name], {entry.name: units})
    return made


def _save(path: Path, made: dict[str, Units]) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for name, units in made.items():
        for field in ("unit", "direction", "sign", "mu", "theta", "matched_feature"):
            value = getattr(units, field)
            if value is not None:
                tensors[f"{name}/{field}"] = value.contiguous()
        tensors[f"{name}/matched"] = torch.tensor(units.matched, dtype=torch.bool)
    temporary = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, temporary)
    temporary.rename(path)


def _restore(
    saved: dict[str, torch.Tensor], name: str, kind: str, hook: str, match: str | None, files: dict[str, Selected]
) -> Units:
    def tensor(field: str) -> torch.Tensor:
        return saved[f"{name}/{field}"]

    direction = saved.get(f"{name}/direction")
    d_in = int(direction.shape[1]) if direction is not None else _d_in(saved, name, match, files)
    return Units(
        kind=kind,
        hook=hook,
        d_in=d_in,
        unit=tensor("unit"),
        direction=direction,
        sign=tensor("sign"),
        mu=tensor("mu"),
        theta=tensor("theta"),
        matched_to=match,
        matched_feature=saved.get(f"{name}/matched_feature"),
        matched=tuple(bool(item) for item in tensor("matched")),
    )


def _d_in(saved: dict[str, torch.Tensor], name: str, match: str | None, files: dict[str, Selected]) -> int:
    """Neurons have no directions: their width is the target's, or half their number (both signs)."""
    if match is not None:
        return files[match].dictionary.d_in
    return len(np.unique(saved[f"{name}/unit"].numpy()))
