"""Bare state dicts of an encoder and a decoder, with nothing beside them: the run file says what they are.

    relu(x W_enc^T + b_enc), or of x W_enc^T + b_enc the k largest, then relu; b_dec is not subtracted

Goodfire and qresearch publish such files. They are read with `weights_only=True`. The weights may lie inside a
checkpoint (`state_dict`, `model_state_dict`), behind a prefix (`module.`, `_orig_mod.`), and without a bias: 0.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import (
    GIVE_A_HOOK,
    DictionarySource,
    Weights,
    checked_k,
    load_torch,
    unwrapped,
)
from autointerp.subject.formats.row import Format, Setting

SUFFIXES = (".pt", ".pth")
NAMES = (("encoder_linear", "decoder_linear"), ("encoder", "decoder"))
"""What their linear layers are called."""


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    if hook is None:
        raise InputError(f'"{path}": a file of this format names no hook; {GIVE_A_HOOK}')
    stated = source.stated
    if stated.activation is None:
        raise InputError(
            f'"{path}": a file of this format does not say what its values go through; '
            'give activation = "relu", or activation = "topk" and k = ... in the run file'
        )
    FORMAT.architectures.check(stated.activation, path)
    if (stated.activation == "topk") != (stated.k is not None):
        raise InputError(f'"{path}": activation = "{stated.activation}" and k = {stated.k}: only topk has a k')
    weights = Weights(unwrapped(load_torch(_file(source), path)), path)
    encoder, decoder = next((pair for pair in NAMES if f"{pair[0]}.weight" in weights), NAMES[0])
    n_features, d_in = weights.shape(f"{encoder}.weight")
    weights.says = "the encoder says"
    sae = SparseAutoencoder(
        hook=hook,
        architecture="topk" if stated.k is not None else "standard",
        kind=kind if kind != "auto" else "sae",
        W_enc=weights.take_transposed(f"{encoder}.weight", (n_features, d_in)),
        b_enc=_bias(weights, encoder, n_features),
        W_dec=weights.take_transposed(f"{decoder}.weight", (d_in, n_features)),
        b_dec=_bias(weights, decoder, d_in),
        subtract_b_dec=False,
        k=None if stated.k is None else checked_k(stated.k, n_features, path),
        format="state_dict",
        source=path,
        config={"activation": stated.activation, "k": stated.k},
    )
    weights.finish()
    return sae


def _bias(weights: Weights, layer: str, width: int) -> Tensor:
    """That of a linear layer; 0 where it was made without one."""
    return weights.take(f"{layer}.bias", (width,)) if f"{layer}.bias" in weights else torch.zeros(width)


def _file(source: DictionarySource) -> Path:
    if source.file is not None:
        return source.file
    files = sorted(file for suffix in SUFFIXES for file in source.folder.glob(f"*{suffix}"))
    if len(files) != 1:
        there = ", ".join(file.name for file in files) or "none"
        raise InputError(f'"{source.path}" must have one {SUFFIXES[0]} file, there are: {there}')
    return files[0]


def _is_likely(file: Path) -> bool:
    """Whether the names of a file's tensors are those of such layers. Its weights are not read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = set(unwrapped(torch.load(file, map_location="cpu", weights_only=True, mmap=True)))
    except Exception:  # whatever is wrong with it, its reader says so
        return False
    weights = [{f"{part}.weight" for part in pair} for pair in NAMES]
    biases = [{f"{part}.bias" for part in pair} for pair in NAMES]
    return any(must <= names <= must | may for must, may in zip(weights, biases, strict=True))


FORMAT = Format(
    name="state_dict",
    title="a bare state dict",
    sentence="One file with the weights of two linear layers and nothing else, as Goodfire and qresearch publish them. "
    "The run file says `hook`, `activation` and, for topk, `k`.",
    documented="https://huggingface.co/Goodfire",
    hook="The file names none: the run file must give `hook`.",
    input="the activation; `b_dec` is not subtracted",
    architectures=Setting(
        "activation",
        {"relu": "relu(x W_enc^T + b_enc)", "topk": "the k largest of x W_enc^T + b_enc, then relu"},
    ),
    read=read,
    suffixes=SUFFIXES,
    likely=_is_likely,
    states=("activation", "k"),
    sae_lens_loaders=("goodfire", "deepseek_r1"),
)
