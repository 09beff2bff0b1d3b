"""circuit-tracer's sets of transcoders: config.yaml, and layer_N.safetensors for each layer.

What they compute is in `FORMAT`. A dictionary is one layer of a set. The hook points are the config's, in the block of
that layer: the library runs the model with raw weights. TopK keeps the k largest values as they are there, also those
below zero where fewer than k are above it; no feature fires below zero here.
"""

from __future__ import annotations

from typing import Any

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import (
    GIVE_A_HOOK,
    DictionarySource,
    Weights,
    checked_k,
    integer,
    load_safetensors,
    read_yaml,
)
from autointerp.subject.formats.one_layer import file_of_one_layer
from autointerp.subject.formats.row import Format, Refusal, Setting

FILES = "layer_*.safetensors"
CONFIG = "config.yaml"
THRESHOLD = "activation_function.threshold"
K_OF_A_SET = {("facebook", "crv-8b-instruct-transcoders"): 128}
"""Sets whose config says topk and no k: the library holds theirs in its code."""
ELSEWHERE = Refusal(
    "the folder only lists files of other repositories (`transcoders`)",
    "a layer is read by its number behind the path, `#5`: the file that is listed, at the hook point of the set",
    "{value}: {reason}; put the number of a layer behind the path: #0",
)


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    config = {**source.defaults, **read_yaml(source.folder / CONFIG, path)}
    KIND.check(config.get("model_kind", "transcoder_set"), path)
    listed = config.get("transcoders")
    if source.file is None and isinstance(listed, list) and listed:
        raise ELSEWHERE.error(path, f'its {CONFIG} lists its files, for layer 0 "{listed[0]}"')
    file, layer = file_of_one_layer(source, FILES, "transcoders")
    weights = Weights(load_safetensors(file, path), path)
    n_features, d_in = weights.shape("W_enc")
    weights.says = "the encoder says"
    architecture = _architecture(config, weights, path)
    k = _k(source, config, n_features) if architecture == "topk" else None
    if hook is None:
        hook = hook_in_block(config, "feature_input_hook", layer, path)
        if hook is None:
            raise InputError(f'"{path}": there is no {CONFIG} that names feature_input_hook; {GIVE_A_HOOK}')
    W_dec = weights.take("W_dec", (n_features, None))
    d_out = int(W_dec.shape[1])
    sae = SparseAutoencoder(
        hook=hook,
        hook_out=hook_in_block(config, "feature_output_hook", layer, path) or f"blocks.{layer}.hook_mlp_out",
        architecture=architecture,
        kind=kind if kind != "auto" else "transcoder",
        W_enc=weights.take_transposed("W_enc", (n_features, d_in)),
        b_enc=weights.take("b_enc", (n_features,)),
        W_dec=W_dec,
        b_dec=weights.take("b_dec", (d_out,)),
        subtract_b_dec=False,
        threshold=weights.take(THRESHOLD, (n_features,)) if architecture == "jumprelu" else None,
        k=k,
        W_skip=weights.take("W_skip", (d_out, d_in)) if "W_skip" in weights else None,
        processing="raw",
        format="circuit_tracer",
        source=path,
        config={name: value for name, value in config.items() if name != "transcoders"} | {"layer": layer},
    )
    weights.finish()
    return sae


def hook_in_block(config: dict[str, Any], key: str, layer: int, path: str) -> str | None:
    """The hook point that the config names, in the block of a layer; None where it names none."""
    named = config.get(key)
    if named is None:
        return None
    if not isinstance(named, str) or not named.replace(".", "").replace("_", "").isalnum():
        raise InputError(f'"{path}": {CONFIG} has {key} = {named!r}; it must be the name of a hook point in a block')
    return f"blocks.{layer}.{named}"


def _architecture(config: dict[str, Any], weights: Weights, path: str) -> str:
    """What the config says; where it says nothing, a held threshold tells."""
    named = config.get("activation")
    if named is None:
        return "jumprelu" if THRESHOLD in weights else "standard"
    FORMAT.architectures.check(named, path)
    return "standard" if named == "relu" else str(named)


def _k(source: DictionarySource, config: dict[str, Any], n_features: int) -> int:
    path = source.path
    if config.get("k") is not None:
        return checked_k(integer(config, "k", path, CONFIG), n_features, path)
    known = next((k for name, k in K_OF_A_SET.items() if _is_part(name, source.place)), source.stated.k)
    if known is None:
        raise InputError(f'"{path}": {CONFIG} says topk and no k; give k = ... in the run file')
    return checked_k(known, n_features, path)


def _is_part(name: tuple[str, ...], place: tuple[str, ...]) -> bool:
    return any(place[first : first + len(name)] == name for first in range(len(place)))


KIND = Setting(
    "model_kind",
    {"transcoder_set": "a transcoder for each layer"},
    {"cross_layer_transcoder": "its encoders lie in W_enc_N.safetensors; name one of them"},
)
FORMAT = Format(
    name="circuit_tracer",
    title="circuit-tracer, sets of transcoders",
    sentence="A transcoder for each layer, as circuit-tracer writes them; `path` names the file of one layer.",
    documented="https://github.com/decoderesearch/circuit-tracer",
    hook="`feature_input_hook` and `feature_output_hook` of `config.yaml`, in the block of the layer that the file's "
    "name says.",
    input="the activation; `b_dec` is not subtracted",
    architectures=Setting(
        "activation",
        {
            "relu": "relu(x W_enc^T + b_enc); also where the config says nothing and no threshold is held",
            "jumprelu": "relu(x W_enc^T + b_enc), kept where x W_enc^T + b_enc is above the feature's threshold; also "
            "where the config says nothing and a threshold is held",
            "topk": "the k largest of x W_enc^T + b_enc, then relu; k from `config.yaml`, or the run file's",
        },
    ),
    read=read,
    config=CONFIG,
    one_of=FILES,
    tells=lambda folder: (
        any(folder.glob(FILES)) or ((folder / CONFIG).is_file() and not any(folder.glob("W_enc_*.safetensors")))
    ),
    passed_over=("wanb-config.yaml", "features*"),
    states=("k",),
    settings=(KIND,),
    refusals=(ELSEWHERE,),
    sae_lens_loaders=("mwhanna_transcoder",),
)
