"""All dictionaries of a run, baselines fitted: from the work folder where they were fitted before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from autointerp.extract.passes import Selected
from autointerp.pipeline.prepare import Prepared
from autointerp.subject.baselines import Target, count_firings, make_units, take_sample
from autointerp.subject.dictionary import Units
from autointerp.subject.tokens import TokenFile


def all_dictionaries(prepared: Prepared, tokens: TokenFile, stage: Callable[[], object]) -> dict[str, Selected]:
    """Every dictionary of the run by name, in the order of the run file. `stage` is called if pass 0 must run."""
    files = {name: Selected(sae, prepared.features[name]) for name, sae in prepared.files.items()}
    fitted = _fitted(prepared, tokens, files, stage)
    chosen = files | {name: Selected(units, prepared.features[name]) for name, units in fitted.items()}
    return {entry.name: chosen[entry.name] for entry in prepared.config.dictionary}


def _fitted(
    prepared: Prepared, tokens: TokenFile, files: dict[str, Selected], stage: Callable[[], object]
) -> dict[str, Units]:
    wanted = [entry for entry in prepared.config.dictionary if entry.name not in prepared.files]
    if not wanted:
        return {}
    # Beside the tokens that they are fitted on: other tokens, other baselines.
    path = tokens.folder / f"baselines-{prepared.key('baselines')[:12]}.safetensors"
    if path.is_file():
        saved = load_file(path)
        return {
            entry.name: _restore(saved, entry.name, entry.kind, prepared.hooks[entry.name], entry.match, files)
            for entry in wanted
        }
    stage()
    hooks = sorted({prepared.hooks[entry.name] for entry in wanted})
    sample = take_sample(prepared.subject, tokens, hooks, prepared.config.seed, prepared.work_folder)
    targets: dict[str | None, Target] = {}
    for name in sorted({entry.match for entry in wanted if entry.match is not None}):
        x = sample.by_hook[prepared.hooks[name]]
        targets[name] = count_firings(files[name].dictionary, x, files[name].features)
    made = {
        entry.name: make_units(
            entry, prepared.hooks[entry.name], sample, prepared.config.seed, targets.get(entry.match)
        )
        for entry in wanted
    }
    _save(path, made)
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
