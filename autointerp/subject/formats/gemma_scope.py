"""Gemma Scope's format: params.npz with W_enc, b_enc, W_dec, b_dec and threshold.

    relu(x W_enc + b_enc), kept where x W_enc + b_enc is above the feature's threshold; b_dec is not subtracted

Widths are the arrays'. The hook follows from names alone: the layer from a folder `layer_12`, the site from
the repository, gemma-scope-2b-pt-{res, mlp, att, transcoders}:

    res          the residual stream after the layer
    mlp          what the MLP adds to it, after the norm that Gemma 2 has there
    att          the heads side by side, before the output projection
    transcoders  from the MLP's normalised input, before the norm's gain, to what the MLP adds

At these four points a Gemma 2 has the same activations raw and folded.
"""

from __future__ import annotations

import re

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import GIVE_A_HOOK, DictionarySource, Weights, load_npz
from autointerp.subject.formats.row import Format, Setting

FILE = "params.npz"
SITES = {
    "res": "hook_resid_post",
    "mlp": "hook_mlp_out",
    "att": "attn.hook_z",
    "transcoders": "ln2.hook_normalized",
}


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    held = load_npz(source.named(FILE), path)
    weights = Weights({re.sub(r"^w_", "W_", name): value for name, value in held.items()}, path)
    d_in, n_features = weights.shape("W_enc")
    weights.says = "the encoder says"
    site, layer = _names(source.place)
    transcoder = site == "transcoders"
    W_dec = weights.take("W_dec", (n_features, None if transcoder else d_in))
    if hook is None:
        if site is None or layer is None:
            lacking = "repository (gemma-scope-...-res, mlp or att)" if layer is not None else "layer (layer_12)"
            raise InputError(f'"{path}": the folders\' names do not tell the {lacking}; {GIVE_A_HOOK}')
        hook = f"blocks.{layer}.{SITES[site]}"
    sae = SparseAutoencoder(
        hook=hook,
        hook_out=f"blocks.{layer}.hook_mlp_out" if transcoder and layer is not None else None,
        architecture="jumprelu",
        kind=kind if kind != "auto" else "transcoder" if transcoder else "sae",
        W_enc=weights.take("W_enc", (d_in, n_features)),
        b_enc=weights.take("b_enc", (n_features,)),
        W_dec=W_dec,
        b_dec=weights.take("b_dec", (int(W_dec.shape[1]),)),
        threshold=weights.take("threshold", (n_features,)),
        subtract_b_dec=False,
        format="gemma_scope",
        source=path,
        config={"site": site, "layer": layer, "hook": hook},
    )
    weights.finish()
    return sae


def _names(place: tuple[str, ...]) -> tuple[str | None, int | None]:
    """Site and layer, where the folders above say them; the innermost of each."""
    site = layer = None
    for name in place:
        if matched := re.search(r"gemma-scope-\w+-\w+-(res|mlp|att|transcoders)$", name):
            site = matched[1]
        if matched := re.fullmatch(r"layer_(\d+)", name):
            layer = int(matched[1])
    return site, layer


FORMAT = Format(
    name="gemma_scope",
    title="Gemma Scope",
    sentence="The arrays that Google published for Gemma 2; the files name no architecture, there is one.",
    documented="https://huggingface.co/google/gemma-scope",
    hook="The folders' names: the layer from `layer_12`, the site from `gemma-scope-2b-pt-res`, `mlp`, `att` or "
    "`transcoders`.",
    input="the activation; `b_dec` is not subtracted",
    architectures=Setting(
        "architecture",
        {"jumprelu": "relu(x W_enc + b_enc), kept where x W_enc + b_enc is above the feature's threshold"},
    ),
    read=read,
    weights=FILE,
    suffixes=(".npz",),
    sae_lens_loaders=("gemma_2", "gemma_2_transcoder"),
)
