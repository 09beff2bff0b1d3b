"""OpenAI sparse_autoencoder's format: one .pt, the state dict of its `Autoencoder`.

What its dictionaries compute is in `FORMAT`. The file says TopK or ReLU and nothing of the input's normalisation:
their loader takes TopK to mean it, and so do we. It names no hook either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import GIVE_A_HOOK, DictionarySource, Weights, checked_k, load_torch
from autointerp.subject.formats.row import Format, Setting

SUFFIXES = (".pt", ".pth")
STATISTICS = ("stats_last_nonzero", "latents_activation_frequency", "latents_mean_square")


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    if hook is None:
        raise InputError(f'"{path}": a file of this format names no hook; {GIVE_A_HOOK}')
    held = load_torch(_file(source), path)
    activation = held.pop("activation", "ReLU")
    settings = held.pop("activation_state_dict", None) or {}
    weights = Weights(held, path)
    n_features, d_in = weights.shape("encoder.weight")
    weights.says = "the encoder says"
    k = _k(activation, settings, n_features, path)
    sae = SparseAutoencoder(
        hook=hook,
        architecture="standard" if k is None else "topk",
        kind=kind if kind != "auto" else "sae",
        W_enc=weights.take_transposed("encoder.weight", (n_features, d_in)),
        b_enc=weights.take("latent_bias", (n_features,)),
        W_dec=weights.take_transposed("decoder.weight", (d_in, n_features)),
        b_dec=weights.take("pre_bias", (d_in,)),
        k=k,
        normalize="none" if k is None else "layer_norm",
        format="openai",
        source=path,
        config={"activation": activation, "k": k},
    )
    weights.ignore(*STATISTICS)
    weights.finish()
    return sae


def _file(source: DictionarySource) -> Path:
    if source.file is not None:
        return source.file
    there = sorted(file for file in source.folder.iterdir() if file.suffix in SUFFIXES)
    if len(there) != 1:
        names = ", ".join(file.name for file in there[:4]) or "none"
        raise InputError(f'"{source.path}" has {len(there)} .pt files ({names}); give the path of one')
    return there[0]


def _k(activation: Any, settings: Any, n_features: int, path: str) -> int | None:
    """None for ReLU. Other activations go below zero, or are unknown."""
    FORMAT.architectures.check(activation, path)
    if activation == "ReLU":
        return None
    k, after = (settings.get("k"), settings.get("postact_fn", "ReLU")) if isinstance(settings, dict) else (None, None)
    if not isinstance(k, int) or isinstance(k, bool):
        raise InputError(f'"{path}": activation_state_dict has k = {k!r}; it must be an integer')
    AFTER.check(after, path)
    return checked_k(k, n_features, path)


AFTER = Setting("postact_fn", {"ReLU": "relu"}, line="{key} = {value!r} is not read", lists=True)
FORMAT = Format(
    name="openai",
    title="OpenAI sparse_autoencoder",
    sentence="One file: the state dict of the class `Autoencoder` of OpenAI's sparse_autoencoder.",
    documented="https://github.com/openai/sparse_autoencoder",
    hook="The file names none: the run file must give `hook`.",
    input="the activation; for TopK each token's is first centred and divided by its standard deviation + 1e-5",
    architectures=Setting(
        "activation",
        {
            "ReLU": "relu((x - pre_bias) W_enc + latent_bias)",
            "TopK": "the k largest of (x - pre_bias) W_enc + latent_bias, then relu",
        },
        line="{key} = {value!r} is not read",
        lists=True,
    ),
    read=read,
    suffixes=SUFFIXES,
    settings=(AFTER,),
)
