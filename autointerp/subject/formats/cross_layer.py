"""Cross-layer transcoders in circuit-tracer's format: W_enc_N.safetensors and W_dec_N.safetensors for each layer N.

    relu(x W_enc^T + b_enc), kept where x W_enc^T + b_enc is above the feature's threshold, where one is held

A dictionary is the features of one layer. They read there, and write into the MLP outputs of that layer and all later
ones: W_dec_N is (F, layers from N on, d). What a feature writes is here the sum over these layers. That is all that a
step along it adds to the residual stream directly; the norms that some models have behind each MLP, and what later
layers make of it, are left out. So its logit effects are an approximation, and its features alone do not reconstruct
the MLP output of any layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.circuit_tracer import CONFIG, hook_in_block
from autointerp.subject.formats.common import GIVE_A_HOOK, DictionarySource, Weights, load_safetensors, read_yaml
from autointerp.subject.formats.one_layer import file_of_one_layer
from autointerp.subject.formats.row import Format, Setting
from autointerp.subject.formats.safetensors_file import SafetensorsFile

FILES = "W_enc_*.safetensors"
INCOMPLETE = "the features of earlier layers write there too"


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    config = read_yaml(source.folder / CONFIG, path)
    KIND.check(config.get("model_kind", "cross_layer_transcoder"), path)
    file, layer = file_of_one_layer(source, FILES, "encoders of a cross-layer transcoder")
    weights = Weights(load_safetensors(file, path), path)
    n_features, d_in = weights.shape(f"W_enc_{layer}")
    weights.says = "the encoder says"
    jumps = f"threshold_{layer}" in weights
    if hook is None:
        hook = hook_in_block(config, "feature_input_hook", layer, path)
        if hook is None:
            raise InputError(f'"{path}": there is no {CONFIG} that names feature_input_hook; {GIVE_A_HOOK}')
    b_dec = weights.take(f"b_dec_{layer}", (None,))
    decoder = SafetensorsFile(file.with_name(decoder_of(file.name)[0]), path)
    sae = SparseAutoencoder(
        hook=hook,
        hook_out=hook_in_block(config, "feature_output_hook", layer, path) or f"blocks.{layer}.hook_mlp_out",
        architecture="jumprelu" if jumps else "standard",
        kind=kind if kind != "auto" else "transcoder",
        W_enc=weights.take_transposed(f"W_enc_{layer}", (n_features, d_in)),
        b_enc=weights.take(f"b_enc_{layer}", (n_features,)),
        W_dec=_summed(decoder, layer, n_features, int(b_dec.shape[0])),
        b_dec=b_dec,
        subtract_b_dec=False,
        threshold=weights.take(f"threshold_{layer}", (n_features,)) if jumps else None,
        incomplete=INCOMPLETE,
        processing="raw",
        format="cross_layer",
        source=path,
        config={**config, "layer": layer, "directions": "sum over the layers that a feature writes to"},
    )
    weights.finish()
    return sae


def decoder_of(name: str) -> tuple[str, ...]:
    """The name of the file of decoders that belongs to a file of encoders."""
    return (name.replace("W_enc_", "W_dec_", 1),)


def _summed(decoder: SafetensorsFile, layer: int, n_features: int, d_out: int) -> Tensor:
    """What each feature writes, [F, d], summed over the layers; the file is read a range of features at a time."""
    name = f"W_dec_{layer}"
    if decoder.names != [name]:
        raise InputError(f'"{decoder.path}": {decoder.file.name} holds {", ".join(decoder.names)}; it must be {name}')
    shape = decoder.shape(name)
    if len(shape) != 3 or (shape[0], shape[2]) != (n_features, d_out) or shape[1] == 0:
        raise InputError(f'"{decoder.path}": "{name}" has shape {shape}; the encoder says {n_features} x any x {d_out}')
    summed = torch.cat([block.to(torch.float32).sum(dim=1) for block in decoder.blocks(name)])
    if not torch.isfinite(summed).all():
        raise InputError(f'"{decoder.path}": "{name}" holds NaN or infinite weights')
    return summed


KIND = Setting(
    "model_kind",
    {"cross_layer_transcoder": "features that write to all later layers"},
    {"transcoder_set": "its transcoders lie in layer_N.safetensors; name one of them"},
)
FORMAT = Format(
    name="cross_layer",
    title="circuit-tracer, cross-layer transcoders",
    sentence="The features of one layer of a cross-layer transcoder; `path` names the file of its encoder. What a "
    "feature writes is taken as the sum over all layers that it writes to: its logit effects are an approximation, "
    "and `check` does not measure how well it reconstructs.",
    documented="https://github.com/decoderesearch/circuit-tracer",
    hook="`feature_input_hook` and `feature_output_hook` of `config.yaml`, in the block of the layer that the file's "
    "name says.",
    input="the activation; `b_dec` is not subtracted",
    architectures=Setting(
        "activation",
        {
            "relu": "relu(x W_enc^T + b_enc); no threshold is held",
            "jumprelu": "relu(x W_enc^T + b_enc), kept where x W_enc^T + b_enc is above the threshold that is held",
        },
    ),
    read=read,
    config=CONFIG,
    one_of=FILES,
    companions=decoder_of,
    passed_over=("W_dec_*.safetensors", "features*"),
    settings=(KIND,),
    sae_lens_loaders=("mntss_clt_layer_transcoder",),
)
