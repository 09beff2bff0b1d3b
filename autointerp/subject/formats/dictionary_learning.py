"""dictionary_learning's format: ae.pt, a state dict, and config.json with the trainer's settings.

What its classes compute is in `CLASSES`.

The activations are in the file's own scale. The library's `AutoEncoder.from_pretrained` rescales a decoder
that does not have unit rows; its activations are ours times the row's norm. Training on normalised
activations leaves no trace here: the library folds the factor into the biases before it saves.

A BatchTopK whose threshold is negative was saved before training set one. It would fire as a plain ReLU,
some hundred features a token, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import (
    GIVE_A_HOOK,
    DictionarySource,
    Weights,
    checked_k,
    integer,
    load_torch,
    read_config,
)
from autointerp.subject.formats.row import Format, Refusal, Setting
from autointerp.subject.hook_names import hook_of_module, hook_of_site

FILE = "ae.pt"
Parts = dict[str, Any]
NO_THRESHOLD = Refusal(
    "a BatchTopK whose weights hold no `threshold`",
    "what it fires on depends on the batch",
    'a BatchTopK without "threshold": {reason}, so it is not read',
)
NEGATIVE_THRESHOLD = Refusal(
    "a BatchTopK whose `threshold` is negative",
    "it was saved before training set one, and would fire as a plain ReLU",
    "its threshold is {value:g}: {reason}; not read",
)


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    file = source.named(FILE)
    trainer, buffer = _settings(source)
    weights = Weights(load_torch(file, path), path)
    name = _class_of(trainer, weights, path)
    parts = CLASSES[name].parts(weights, trainer, path)
    weights.finish()
    d_in, n_features = parts["W_enc"].shape
    for key, size in (("activation_dim", d_in), ("dict_size", n_features)):
        if key in trainer and trainer[key] != size:
            raise InputError(f'"{path}": config.json has {key} = {trainer[key]!r}, but the weights say {size}')
    side = str(buffer.get("io", "out"))
    if hook is None:
        hook = _hook(trainer, side, source.place, path)
    processing = "raw" if buffer else None  # the library's buffers run Hugging Face's model as it is
    return SparseAutoencoder(
        hook=hook,
        hook_out=_hook_at(str(trainer.get("submodule_name")), "out", None) if side == "in_and_out" else None,
        kind=kind if kind != "auto" else "transcoder" if side == "in_and_out" else "sae",
        processing=processing,
        format="dictionary_learning",
        source=path,
        config={"dict_class": name, "trainer": trainer, "buffer": buffer, "hook": hook},
        **parts,
    )


def _settings(source: DictionarySource) -> tuple[dict[str, Any], dict[str, Any]]:
    """The trainer's and the buffer's settings. Checkpoints lie in a folder below the config; it can be missing."""
    folders = [source.folder, source.folder.parent] if source.folder.name == "checkpoints" else [source.folder]
    files = [folder / "config.json" for folder in folders if (folder / "config.json").is_file()]
    if not files:
        return {}, {}
    config = read_config(files[0], source.path)
    trainer, buffer = config.get("trainer"), config.get("buffer") or {}
    if not isinstance(trainer, dict) or not isinstance(buffer, dict):
        raise InputError(f'"{source.path}": config.json has no trainer: not a dictionary of dictionary_learning')
    return trainer, buffer


def _class_of(trainer: dict[str, Any], weights: Weights, path: str) -> str:
    """The class that the config names; where it names none, the one that the weights allow."""
    named = trainer.get("dict_class")
    if named is not None:
        FORMAT.architectures.check(str(named), path)
        return str(named)
    for key, name in KEYS_OF_ONE_CLASS.items():
        if key in weights:
            return name
    raise InputError(
        f'"{path}": there is no config.json that names its dict_class, and its weights '
        f"({', '.join(sorted(weights.held))}) fit several; put the config beside {FILE}"
    )


# --- the classes ------------------------------------------------------------------------------------


def _linear(weights: Weights) -> tuple[int, int, Parts]:
    """`encoder` and `decoder` as torch's linear layers hold them, output first."""
    n_features, d_in = weights.shape("encoder.weight")
    weights.says = "the encoder says"
    return (
        d_in,
        n_features,
        {
            "W_enc": weights.take_transposed("encoder.weight", (n_features, d_in)),
            "W_dec": weights.take_transposed("decoder.weight", (d_in, n_features)),
        },
    )


def _matrices(weights: Weights) -> tuple[int, int, Parts]:
    d_in, n_features = weights.shape("W_enc")
    weights.says = "the encoder says"
    return (
        d_in,
        n_features,
        {
            "W_enc": weights.take("W_enc", (d_in, n_features)),
            "b_enc": weights.take("b_enc", (n_features,)),
            "W_dec": weights.take("W_dec", (n_features, d_in)),
            "b_dec": weights.take("b_dec", (d_in,)),
        },
    )


def _auto_encoder(weights: Weights, _trainer: dict[str, Any], _path: str) -> Parts:
    d_in, n_features, parts = _linear(weights)
    b_enc, b_dec = weights.take("encoder.bias", (n_features,)), weights.take("bias", (d_in,))
    return parts | {"architecture": "standard", "b_enc": b_enc, "b_dec": b_dec}


def _auto_encoder_new(weights: Weights, _trainer: dict[str, Any], _path: str) -> Parts:
    d_in, n_features, parts = _linear(weights)
    b_enc, b_dec = weights.take("encoder.bias", (n_features,)), weights.take("decoder.bias", (d_in,))
    return parts | {"architecture": "standard", "b_enc": b_enc, "b_dec": b_dec, "subtract_b_dec": False}


def _gated(weights: Weights, _trainer: dict[str, Any], _path: str) -> Parts:
    d_in, n_features, parts = _linear(weights)
    return parts | {
        "architecture": "gated",
        "b_enc": torch.zeros(n_features),
        "b_dec": weights.take("decoder_bias", (d_in,)),
        "b_gate": weights.take("gate_bias", (n_features,)),
        "r_mag": weights.take("r_mag", (n_features,)),
        "b_mag": weights.take("mag_bias", (n_features,)),
    }


def _top_k(weights: Weights, trainer: dict[str, Any], path: str) -> Parts:
    d_in, n_features, parts = _linear(weights)
    b_enc, b_dec = weights.take("encoder.bias", (n_features,)), weights.take("b_dec", (d_in,))
    k = _k(weights, trainer, path)
    weights.ignore("threshold")
    if k is None:
        raise InputError(f'"{path}": neither the weights nor config.json say how many features fire (k)')
    k = checked_k(k, n_features, path)
    return parts | {"architecture": "topk", "b_enc": b_enc, "b_dec": b_dec, "k": k}


def _batch_top_k(weights: Weights, trainer: dict[str, Any], path: str) -> Parts:
    d_in, n_features, parts = _linear(weights)
    b_enc, b_dec = weights.take("encoder.bias", (n_features,)), weights.take("b_dec", (d_in,))
    threshold = _one_threshold(weights, trainer, n_features, path)
    return parts | {"architecture": "jumprelu", "b_enc": b_enc, "b_dec": b_dec, "threshold": threshold}


def _matryoshka(weights: Weights, trainer: dict[str, Any], path: str) -> Parts:
    _, n_features, parts = _matrices(weights)
    sizes = weights.held.get("group_sizes")
    if isinstance(sizes, torch.Tensor) and int(sizes.sum()) != n_features:
        raise InputError(f'"{path}": "group_sizes" sum to {int(sizes.sum())}; the encoder says {n_features}')
    weights.ignore("group_sizes")
    threshold = _one_threshold(weights, trainer, n_features, path)
    return parts | {"architecture": "jumprelu", "threshold": threshold}


def _jump_relu(weights: Weights, _trainer: dict[str, Any], _path: str) -> Parts:
    _, n_features, parts = _matrices(weights)
    threshold = weights.take("threshold", (n_features,))
    return parts | {"architecture": "jumprelu", "threshold": threshold, "subtract_b_dec": False}


@dataclass(frozen=True)
class DictClass:
    """A class of the library."""

    computes: str
    parts: Callable[[Weights, dict[str, Any], str], Parts]
    """Takes its weights; also given the trainer's settings and the path that messages name."""


_BY_THRESHOLD = "relu((x - b_dec) W_enc + b_enc), kept where it is above one learned threshold"
CLASSES = {
    "AutoEncoder": DictClass("relu((x - bias) W_enc + b_enc)", _auto_encoder),
    "AutoEncoderNew": DictClass("relu(x W_enc + b_enc)", _auto_encoder_new),
    "GatedAutoEncoder": DictClass(
        "1[z + gate_bias > 0] relu(z e^r_mag + mag_bias), where z = (x - decoder_bias) W_enc", _gated
    ),
    "AutoEncoderTopK": DictClass(
        "the k largest of relu((x - b_dec) W_enc + b_enc); its `threshold` is not used", _top_k
    ),
    "BatchTopKSAE": DictClass(_BY_THRESHOLD, _batch_top_k),
    "MatryoshkaBatchTopKSAE": DictClass(_BY_THRESHOLD, _matryoshka),
    "JumpReluAutoEncoder": DictClass(
        "relu(x W_enc + b_enc), kept where x W_enc + b_enc is above the feature's threshold", _jump_relu
    ),
}
KEYS_OF_ONE_CLASS = {
    "gate_bias": "GatedAutoEncoder",
    "group_sizes": "MatryoshkaBatchTopKSAE",
    "decoder.bias": "AutoEncoderNew",
    "bias": "AutoEncoder",
}


def _k(weights: Weights, trainer: dict[str, Any], path: str) -> int | None:
    held = weights.take_integer("k") if "k" in weights else None
    given = integer(trainer, "k", path, "config.json") if trainer.get("k") is not None else None
    if held is not None and given is not None and held != given:
        raise InputError(f'"{path}": config.json has k = {given}, but the weights say {held}')
    return given if held is None else held


def _one_threshold(weights: Weights, trainer: dict[str, Any], n_features: int, path: str) -> torch.Tensor:
    _k(weights, trainer, path)
    if "threshold" not in weights:
        raise NO_THRESHOLD.error(path)
    threshold = weights.take("threshold", ())
    if threshold < 0:
        raise NEGATIVE_THRESHOLD.error(path, float(threshold))
    return threshold.expand(n_features).contiguous()


# --- the hook ---------------------------------------------------------------------------------------


def _hook(trainer: dict[str, Any], side: str, place: tuple[str, ...], path: str) -> str:
    """From `submodule_name` and `layer`; where the config names no submodule, from a folder such as mlp_out_layer3."""
    name, layer = trainer.get("submodule_name"), trainer.get("layer")
    side = "in" if side == "in_and_out" else side
    layer = layer if isinstance(layer, int) and not isinstance(layer, bool) else None
    if name:
        hook = _hook_at(str(name), side, layer)
        if hook is None:
            raise InputError(f'"{path}": submodule_name = "{name}" ({side}) is no hook point we know; {GIVE_A_HOOK}')
    else:
        hook = next((found for folder in reversed(place) if (found := _hook_at(folder, side, None))), None)
        if hook is None:
            raise InputError(f'"{path}": its config names no submodule; {GIVE_A_HOOK}')
    number = re.match(r"blocks\.(\d+)\.", hook)
    if number and layer is not None and int(number[1]) != layer:
        what = f'submodule_name = "{name}"' if name else "the folder's name"
        raise InputError(f'"{path}": {what} and layer = {layer} do not agree; {GIVE_A_HOOK}')
    return hook


def _hook_at(name: str, side: str, layer: int | None) -> str | None:
    hook = hook_of_module(name, side)
    if hook is None and side == "out":
        hook = hook_of_site(name, layer)
    return hook


def _is_likely(file: Path) -> bool:
    """Whether a file is named as the library's checkpoints are, or has a config beside it."""
    return bool(re.fullmatch(r"ae(_\w+)?\.pt", file.name)) or (file.parent / "config.json").is_file()


FORMAT = Format(
    name="dictionary_learning",
    title="dictionary_learning",
    sentence="A folder that the library dictionary_learning writes: a state dict and the trainer's settings. "
    "The settings may be missing where the weights fit one class only.",
    documented="https://github.com/saprmarks/dictionary_learning",
    hook="`submodule_name` and `layer` of `config.json`; without them, a folder's name such as `mlp_out_layer3`.",
    input="the activation, in the file's own scale",
    architectures=Setting(
        "dict_class",
        {name: item.computes for name, item in CLASSES.items()},
        {"CrossCoder": "it reads several hook points at once"},
        '{key} "{value}" is not read',
    ),
    read=read,
    config="config.json",
    weights=FILE,
    suffixes=(".pt", ".pth"),
    likely=_is_likely,
    passed_over=("ae_*.pt",),
    refusals=(NO_THRESHOLD, NEGATIVE_THRESHOLD),
    sae_lens_loaders=("dictionary_learning_1",),
)
