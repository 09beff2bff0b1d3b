"""Formats of the user's own: `format = { python = "module:Class" }` in a run file."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, cast

import torch
from torch import Tensor

from autointerp.config.own_code import OwnCode
from autointerp.errors import InputError
from autointerp.own_code import load_own, one_line
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import DictionarySource
from autointerp.subject.formats.row import Reader
from autointerp.words import PLANTED, STUDIED


class DictionaryFormat(Protocol):
    """What a class of the user's own must have to read dictionaries. It is made without arguments.

    `source.folder` is the folder that the run file's `path` names; `source.file` the file, where it names one. `hook`
    is the run file's hook point, or None. `kind` is "auto", or "planted" where the run file says so.
    """

    def read(self, source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
        """The dictionary in these files. Raise `autointerp.errors.InputError` for what you do not read."""
        ...


def own_reader(spec: OwnCode) -> Reader:
    """A reader of the user's own. Raises UserError where the class cannot be made."""
    made = cast(DictionaryFormat, load_own(spec.python, "format", ("read(source, hook, kind)",)))

    def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
        try:
            sae: object = made.read(source, hook, kind)
        except InputError:
            raise
        except Exception as error:  # the user's code
            what = f'format "{spec.python}" failed: {type(error).__name__}: {one_line(error)}'
            raise InputError(f'"{source.path}": {what}') from error
        if not isinstance(sae, SparseAutoencoder):
            what = f'format "{spec.python}" returned {type(sae).__name__}; return a SparseAutoencoder'
            raise InputError(f'"{source.path}": {what}')
        if wrong := _wrong(sae):
            raise InputError(f'"{source.path}": format "{spec.python}" returned {wrong}')
        config = {**sae.config, "read_by": spec.python}
        return replace(sae, format=spec.known_as, source=source.path, config=config)

    return read


def _wrong(sae: SparseAutoencoder) -> str:
    """What is wrong with a record that the user's code made; nothing: the empty text."""
    kinds = (*STUDIED, PLANTED)
    if sae.kind not in kinds:
        return f'kind = "{sae.kind}"; give one of {", ".join(kinds)}'
    if sae.W_enc.ndim != 2 or sae.W_dec.ndim != 2 or 0 in sae.W_enc.shape:
        return "a W_enc or W_dec that is no matrix"
    n_features, d_out = sae.n_features, int(sae.W_dec.shape[1])
    sizes = {
        "b_enc": (n_features,), "W_dec": (n_features, d_out), "b_dec": (d_out,), "threshold": (n_features,),
        "b_gate": (n_features,), "r_mag": (n_features,), "b_mag": (n_features,), "W_skip": (d_out, sae.d_in),
    }  # fmt: skip
    for name, weight in _weights(sae).items():
        if tuple(weight.shape) != sizes.get(name, tuple(weight.shape)):
            return f"{name} of shape {tuple(weight.shape)}; with this W_enc it must be {sizes[name]}"
        if weight.dtype != torch.float32 or not bool(torch.isfinite(weight).all()):
            return f"{name} that is not finite float32"
    needed = {"jumprelu": ("threshold",), "gated": ("b_gate", "r_mag", "b_mag"), "topk": ("k",), "groupmax": ("k",)}
    if sae.architecture not in ("standard", *needed):
        return f'architecture = "{sae.architecture}"; give one of standard, {", ".join(needed)}'
    given = _weights(sae) | ({} if sae.k is None else {"k": torch.tensor(sae.k)})
    lacking = [name for name in needed.get(sae.architecture, ()) if name not in given]
    if lacking:
        return f"no {lacking[0]}, which {sae.architecture} needs"
    if sae.k is not None and not 0 < sae.k <= n_features:
        return f"k = {sae.k} for {n_features} features"
    return ""


def _weights(sae: SparseAutoencoder) -> dict[str, Tensor]:
    """The weights that it has, by name."""
    weights = {
        "W_enc": sae.W_enc, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec, "threshold": sae.threshold,
        "b_gate": sae.b_gate, "r_mag": sae.r_mag, "b_mag": sae.b_mag, "W_skip": sae.W_skip,
    }  # fmt: skip
    return {name: weight for name, weight in weights.items() if weight is not None}
