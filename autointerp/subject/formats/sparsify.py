"""EleutherAI sparsify's format: cfg.json and sae.safetensors.

What its dictionaries compute is in `FORMAT`. x is the activation minus b_dec, unless `transcode` is set. (Before
February 2025 transcoders subtracted it as well, and their cfg.json had no `transcode`.) `W_dec` is (n_features, d_in),
as we hold it. The hook point is the folder's name, a module of Hugging Face's model whose output it was trained on:
`layers.6`, `h.3.mlp`. Transcoders read that module's input.
"""

from __future__ import annotations

import re
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import (
    GIVE_A_HOOK,
    DictionarySource,
    Weights,
    checked_k,
    flag,
    integer,
    load_safetensors,
    read_config,
)
from autointerp.subject.formats.row import Format, Setting
from autointerp.subject.formats.signed import both_signs
from autointerp.subject.hook_names import hook_of_module

FILE = "sae.safetensors"
SIGNED = Setting(
    "signed",
    {
        "false": "as above",
        "true": "the k of x W_enc + b_enc that are largest in magnitude, with their sign; older files. Feature i is "
        "latent i where it is positive, feature i + the number of latents where it is negative",
    },
)


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    config = read_config(source.folder / "cfg.json", path, ": not a dictionary in sparsify's format")
    activation = str(config.get("activation") or "topk")
    FORMAT.architectures.check(activation, path)
    signed = flag(config, "signed", path)
    if signed and activation != "topk":
        raise InputError(f'"{path}": signed = true with activation = "{activation}"; only topk has both')
    d_in = integer(config, "d_in", path)
    n_features = _n_features(config, d_in, path)
    k = checked_k(integer(config, "k", path), n_features, path)
    if activation == "groupmax" and n_features % k:
        raise InputError(f'"{path}": {n_features} features cannot be cut into k = {k} groups')
    skips, transcodes = flag(config, "skip_connection", path), flag(config, "transcode", path)
    reads_input = transcodes or skips or _trained_as_transcoder(source)
    hookpoint = _hookpoint(source.place)
    side = "in" if reads_input else "out"
    if hook is None:
        hook = hook_of_module(hookpoint, side)
        if hook is None:
            raise InputError(
                f'"{path}": the folder\'s name ("{hookpoint}") is no hook point such as layers.6 or h.3.mlp; '
                f"{GIVE_A_HOOK}"
            )
    weights = Weights(load_safetensors(source.named(FILE), path), path)
    W_enc = weights.take_transposed("encoder.weight", (n_features, d_in))
    b_enc = weights.take("encoder.bias", (n_features,))
    W_dec = weights.take("W_dec", (n_features, d_in))
    if signed:
        W_enc, b_enc, W_dec = both_signs(W_enc, b_enc, W_dec)
    sae = SparseAutoencoder(
        hook=hook,
        hook_out=hook_of_module(hookpoint) if reads_input else None,
        architecture=activation,
        kind=kind if kind != "auto" else "transcoder" if reads_input else "sae",
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=weights.take("b_dec", (d_in,)),
        subtract_b_dec=not transcodes,
        k=k,
        W_skip=weights.take("W_skip", (d_in, d_in)) if skips else None,
        processing="raw",  # its trainer runs Hugging Face's model as it is
        format="sparsify",
        source=path,
        config={**config, "hookpoint": hookpoint, "hook": hook},
    )
    weights.finish()
    return sae


def _n_features(config: dict[str, Any], d_in: int, path: str) -> int:
    if config.get("num_latents"):
        return integer(config, "num_latents", path)
    return d_in * integer(config, "expansion_factor", path)


def _hookpoint(place: tuple[str, ...]) -> str:
    """Name of the folder; runs of several seeds put each into a folder of its own below it."""
    return place[-2] if len(place) > 1 and re.fullmatch(r"seed\d+", place[-1]) else place[-1]


def _trained_as_transcoder(source: DictionarySource) -> bool:
    """Whether the settings of the whole run, one folder up, say so: in older files nothing else does."""
    file = source.folder.parent / "config.json"
    config = read_config(file, source.path) if file.is_file() else {}
    return flag(config, "transcode", source.path, file=file.name)


FORMAT = Format(
    name="sparsify",
    title="EleutherAI sparsify",
    sentence="A folder that EleutherAI's sparsify writes for one hook point.",
    documented="https://github.com/EleutherAI/sparsify",
    hook="The folder's name, a module of Hugging Face's model: `layers.6`, `h.3.mlp`. Transcoders read its input.",
    input="the activation minus `b_dec`, unless `transcode` is set",
    architectures=Setting(
        "activation",
        {
            "topk": "the k largest of relu(x W_enc + b_enc)",
            "groupmax": "of relu(x W_enc + b_enc) the largest of each of k groups of neighbours",
        },
    ),
    read=read,
    config="cfg.json",
    needs_config=True,
    weights=FILE,
    settings=(SIGNED,),
)
