"""Gemma Scope 2's format: params.safetensors with w_enc, b_enc, w_dec, b_dec and threshold, and perhaps config.json.

    relu(x w_enc + b_enc), kept where x w_enc + b_enc is above the feature's threshold; b_dec is not subtracted

The hook point is the module of Hugging Face's model that config.json names, or follows from the folders' names,
SITE/layer_12_width_16k_l0_small:

    resid_post  the residual stream after the layer
    attn_out    the heads side by side, before the output projection
    mlp_out     what the MLP adds to the residual stream, after the norm that Gemma 3 has there
    transcoder  from the MLP's normalised input, after the norm's gain, to what the MLP adds

In Gemma Scope the input of a transcoder is before the gain. `affine_skip_connection` (d_in, d_out) is added to what a
transcoder writes, and no part of its activations.
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
    flag,
    load_safetensors,
    read_config,
)
from autointerp.subject.formats.row import Format, Setting
from autointerp.subject.hook_names import hook_of_module

FILE = "params.safetensors"
SITES = {
    "resid_post": "hook_resid_post",
    "attn_out": "attn.hook_z",
    "mlp_out": "hook_mlp_out",
    "transcoder": "mlp.hook_in",
}
WRITES_TO = "hook_mlp_out"
SKIP = "affine_skip_connection"


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    file = source.folder / "config.json"
    config = read_config(file, path) if file.is_file() else {}
    FORMAT.architectures.check(config.get("architecture", "jump_relu"), path)
    site, layer = _names(source.place)
    named, named_out = _module(config, "hf_hook_point_in", path), _module(config, "hf_hook_point_out", path)
    transcodes = named != named_out if named and named_out else site == "transcoder"
    if hook is None:
        hook = _hook(named, site, layer, path)
    hook_out = named_out or (f"blocks.{layer}.{WRITES_TO}" if layer is not None else None)
    weights = Weights(load_safetensors(source.named(FILE), path), path)
    d_in, n_features = weights.shape("w_enc")
    weights.says = "the encoder says"
    if config.get("width") not in (None, n_features):
        raise InputError(f'"{path}": config.json has width = {config["width"]!r}, but the weights say {n_features}')
    W_dec = weights.take("w_dec", (n_features, None if transcodes else d_in))
    d_out = int(W_dec.shape[1])
    skips = transcodes and (SKIP in weights or flag(config, "affine_connection", path, file="config.json"))
    sae = SparseAutoencoder(
        hook=hook,
        hook_out=hook_out if transcodes else None,
        architecture="jumprelu",
        kind=kind if kind != "auto" else "transcoder" if transcodes else "sae",
        W_enc=weights.take("w_enc", (d_in, n_features)),
        b_enc=weights.take("b_enc", (n_features,)),
        W_dec=W_dec,
        b_dec=weights.take("b_dec", (d_out,)),
        threshold=weights.take("threshold", (n_features,)),
        subtract_b_dec=False,
        W_skip=weights.take_transposed(SKIP, (d_in, d_out)) if skips else None,
        processing="raw",  # it was trained on Hugging Face's model as it is
        format="gemma_scope_2",
        source=path,
        config={**config, "site": site, "layer": layer, "hook": hook},
    )
    weights.finish()
    return sae


def _names(place: tuple[str, ...]) -> tuple[str | None, int | None]:
    """Site and layer, where the folders above say them; the innermost of each."""
    site = layer = None
    for name in place:
        if name.removesuffix("_all") in SITES:
            site = name.removesuffix("_all")
        if matched := re.fullmatch(r"layer_(\d+)(_\w+)?", name):
            layer = int(matched[1])
    return site, layer


def _module(config: dict[str, Any], key: str, path: str) -> str | None:
    """The hook point of the module that config.json names; None where it names none."""
    named = config.get(key)
    if named is None:
        return None
    hook = hook_of_module(str(named))
    if hook is None:
        raise InputError(f'"{path}": config.json has {key} = "{named}", a module that has no hook point here')
    return hook


def _hook(named: str | None, site: str | None, layer: int | None, path: str) -> str:
    """What config.json names, else what the folders say; where both speak, they must agree about the layer."""
    if named is not None:
        if layer is not None and f"blocks.{layer}." != named[: len(f"blocks.{layer}.")]:
            raise InputError(
                f'"{path}": config.json names a module of "{named}", the folder layer {layer}; {GIVE_A_HOOK}'
            )
        return named
    if site is None or layer is None:
        lacking = "site (resid_post, attn_out, mlp_out or transcoder)" if site is None else "layer (layer_12_...)"
        raise InputError(f'"{path}": there is no config.json, and no folder tells the {lacking}; {GIVE_A_HOOK}')
    return f"blocks.{layer}.{SITES[site]}"


FORMAT = Format(
    name="gemma_scope_2",
    title="Gemma Scope 2",
    sentence="The weights that Google published for Gemma 3: SAEs and transcoders, with and without a skip connection.",
    documented="https://huggingface.co/google/gemma-scope-2",
    hook="`hf_hook_point_in` of `config.json`, a module of Hugging Face's model; without the file, the folders' names: "
    "`resid_post`, `attn_out`, `mlp_out` or `transcoder` (also with `_all`), and `layer_12_width_16k_l0_small`. A "
    "transcoder reads `mlp.hook_in`, after the norm's gain.",
    input="the activation; `b_dec` is not subtracted",
    architectures=Setting(
        "architecture",
        {"jump_relu": "relu(x w_enc + b_enc), kept where x w_enc + b_enc is above the feature's threshold"},
    ),
    read=read,
    config="config.json",
    weights=FILE,
    passed_over=("examples*",),
    sae_lens_loaders=("gemma_3",),
)
