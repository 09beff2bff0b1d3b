"""Qwen-Scope's format: layerN.sae.pt, a plain dict, for each layer of a model.

    the k largest of x W_enc^T + b_enc, then relu; b_dec is not subtracted

There are no settings: k and the model stand in the repository's name, SAE-Res-Qwen3-1.7B-Base-W32K-L0_50. The file is
read with `weights_only=True`.
"""

from __future__ import annotations

import re

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import DictionarySource, Weights, checked_k, load_torch, unwrapped
from autointerp.subject.formats.one_layer import file_of_one_layer
from autointerp.subject.formats.row import Format, Setting

FILES = "layer*.sae.pt"


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    file, layer = file_of_one_layer(source, FILES, "SAEs")
    model, named = _of_the_name(source.place)
    k = source.stated.k or named
    if k is None:
        raise InputError(
            f'"{path}": no folder is called as the repository is (SAE-Res-...-L0_50), which says k; '
            "give k = ... in the run file"
        )
    if named is not None and k != named:
        raise InputError(f'"{path}": the run file says k = {k}, but the repository\'s name says {named}')
    weights = Weights(unwrapped(load_torch(file, path)), path)
    n_features, d_in = weights.shape("W_enc")
    weights.says = "the encoder says"
    sae = SparseAutoencoder(
        hook=hook or f"blocks.{layer}.hook_resid_post",
        architecture="topk",
        kind=kind if kind != "auto" else "sae",
        W_enc=weights.take_transposed("W_enc", (n_features, d_in)),
        b_enc=weights.take("b_enc", (n_features,)),
        W_dec=weights.take_transposed("W_dec", (d_in, n_features)),
        b_dec=weights.take("b_dec", (d_in,)),
        subtract_b_dec=False,
        k=checked_k(k, n_features, path),
        processing="raw",
        format="qwen_scope",
        source=path,
        config={"model_name": model, "layer": layer, "k": k},
    )
    weights.finish()
    return sae


def _of_the_name(place: tuple[str, ...]) -> tuple[str | None, int | None]:
    """The model and k, where a folder is called as the repository is."""
    for name in reversed(place):
        if matched := re.search(r"SAE-Res-(.+)-W\d+K-L0_(\d+)", name):
            return matched[1], int(matched[2])
    return None, None


FORMAT = Format(
    name="qwen_scope",
    title="Qwen-Scope",
    sentence="The SAEs that Qwen published for Qwen 3 and 3.5, a file a layer; `path` names one.",
    documented="https://huggingface.co/Qwen",
    hook="The residual stream after the layer that the file's name says.",
    input="the activation; `b_dec` is not subtracted",
    architectures=Setting(
        "architecture",
        {
            "topk": "the k largest of x W_enc^T + b_enc, then relu; k from the repository's name (`...-L0_50`), "
            "or the run file's"
        },
    ),
    read=read,
    one_of=FILES,
    states=("k",),
    sae_lens_loaders=("qwen_scope",),
)
