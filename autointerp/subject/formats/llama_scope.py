"""Llama Scope's format: hyperparams.json, and checkpoints/final.safetensors below it.

What they compute is what `lm_saes.py` says, with one threshold for all features, as `jump_relu_threshold` holds it.
It is compared with values in the scale of training: the factor that is folded into the weights is no part of it.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.faults import L0_DECLARED
from autointerp.subject.formats import lm_saes
from autointerp.subject.formats.common import DictionarySource, Weights, load_safetensors, number, read_config
from autointerp.subject.formats.row import Format, Refusal, Setting

FILE = "checkpoints/final.safetensors"
CONFIG = "hyperparams.json"
PRUNED = Refusal(
    "`checkpoints/pruned.safetensors` is there",
    "the library takes it in place of final.safetensors, and no published one is known",
    "checkpoints/pruned.safetensors: {reason}; not read",
)


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    folder = source.folder.parent if source.folder.name == "checkpoints" else source.folder
    config = read_config(folder / CONFIG, path, ": not a dictionary of Llama Scope")
    if (folder / "checkpoints" / "pruned.safetensors").is_file():
        raise PRUNED.error(path)
    FORMAT.architectures.check(config.get("act_fn"), path)
    weights = Weights(load_safetensors(source.named(FILE), path), path)
    n_features, d_in = weights.shape("encoder.weight")
    for key, size in (("d_sae", n_features), ("d_model", d_in)):
        if config.get(key, size) != size:
            raise InputError(f'"{path}": {CONFIG} has {key} = {config[key]!r}, but the weights say {size}')
    threshold = torch.full((n_features,), number(config, "jump_relu_threshold", path, CONFIG))
    average = lm_saes.norms_in(config, path, CONFIG)
    sae = lm_saes.folded(source, config, CONFIG, weights, threshold, average, hook, kind)
    weights.finish()
    declared = config.get("top_k")
    named = {L0_DECLARED: declared} if isinstance(declared, int) and declared > 0 else {}
    return replace(sae, format="llama_scope", config={**sae.config, **named})


FORMAT = Format(
    name="llama_scope",
    title="Llama Scope",
    sentence="The SAEs and transcoders that were published for Llama 3.1 8B, of 32,768 and 131,072 features. "
    "Read rightly, and on the right model, L0 lies near `top_k`, which is 50: `autointerp check` refuses one that "
    "fires 3 times as many features or a third.",
    documented="https://huggingface.co/fnlp/Llama-Scope",
    hook="`hook_point_in` of `hyperparams.json`; where `hook_point_out` is another, it is a transcoder.",
    input="the activation times sqrt(d) / `dataset_average_activation_norm.in`, which is folded into the weights; "
    "minus `b_dec` where `apply_decoder_bias_to_pre_encoder` says so",
    architectures=Setting(
        "act_fn",
        {
            "jumprelu": "relu(x W_enc + b_enc), kept where it is above `jump_relu_threshold`, over the norm of the "
            "feature's decoder where `sparsity_include_decoder_norm` is true; SAELens multiplies the threshold by the "
            "factor too, so fewer features fire there"
        },
    ),
    read=read,
    config=CONFIG,
    needs_config=True,
    weights=FILE,
    passed_over=("lm_config.json",),
    refusals=(PRUNED,),
    sae_lens_loaders=("llama_scope",),
)
