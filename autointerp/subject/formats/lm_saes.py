"""The format of Language-Model-SAEs (llamascopium): config.json and sae_weights.safetensors.

What they compute is in `FORMAT`. With `norm_activation` `dataset-wise` the activations are multiplied by
sqrt(d) / their average norm before they are encoded, and what is decoded is divided by the same of the output. Here the
factors are folded into W_enc, W_dec and b_dec; thresholds and activations stay in the scale of training. With
`sparsity_include_decoder_norm` a value is compared with the threshold times the norm of its decoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import (
    DictionarySource,
    Weights,
    checked_k,
    flag,
    integer,
    load_safetensors,
    number,
    read_config,
)
from autointerp.subject.formats.row import Format, Refusal, Setting

FILE = "sae_weights.safetensors"
NORM = "dataset_average_activation_norm"
GLU = Refusal(
    "`use_glu_encoder` is true", "its encoder has a gate of its own", "use_glu_encoder = true: {reason}; not read"
)
NO_NORM = Refusal(
    "neither the files nor SAELens's registry say the average norm of the activations",
    "nothing says what the activations were multiplied by",
    "{value}: {reason}; not read",
)
SCALED_TOPK = Refusal(
    "a TopK with `sparsity_include_decoder_norm` whose decoder rows are not of norm 1",
    "which features fire depends on the norms, which their activations do not hold",
    "its decoder rows have norms up to {value:.3g}: {reason}; not read",
)


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    config = read_config(source.folder / "config.json", path)
    TYPE.check(config.get("sae_type", "sae"), path)
    held = load_safetensors(source.named(FILE), path)
    norms = {name.removeprefix(NORM + "."): held.pop(name) for name in sorted(held) if name.startswith(NORM + ".")}
    weights = Weights(held, path)
    threshold = _threshold(weights) if config.get("act_fn") == "jumprelu" else None
    sides = {"in": str(config.get("hook_point_in")), "out": str(config.get("hook_point_out"))}
    average = {side: float(norms[at]) for side, at in sides.items() if at in norms}
    average |= {side: float(norms[side]) for side in sides if side in norms}
    sae = folded(source, config, "config.json", weights, threshold, average or None, hook, kind)
    weights.finish()
    return sae


def folded(
    source: DictionarySource,
    config: dict[str, Any],
    file: str,
    weights: Weights,
    threshold: Tensor | None,
    average: Mapping[str, float] | None,
    hook: str | None,
    kind: str,
) -> SparseAutoencoder:
    """The dictionary of these weights. `average`: the average norms of the activations at its two hook points."""
    path = source.path
    act_fn = str(config.get("act_fn", "relu"))
    FORMAT.architectures.check(act_fn, path)
    norm_activation = str(config.get("norm_activation", "dataset-wise"))
    NORMALIZATION.check(norm_activation, path)
    if config.get("use_glu_encoder"):
        raise GLU.error(path)
    named = {side: str(config.get(f"hook_point_{side}") or "") for side in ("in", "out")}
    if not named["in"] and hook is None:
        raise InputError(f'"{path}": {file} names no hook_point_in; give hook = "blocks...." in the run file')
    transcodes = bool(named["out"]) and named["out"] != named["in"]
    W_enc, b_enc, W_dec = _matrices(weights)
    d_in, n_features = W_enc.shape
    b_dec = (
        _decoder_bias(weights, int(W_dec.shape[1]))
        if flag(config, "use_decoder_bias", path, default=True, file=file)
        else None
    )
    b_dec = torch.zeros(int(W_dec.shape[1])) if b_dec is None else b_dec
    subtracts = flag(config, "apply_decoder_bias_to_pre_encoder", path, file=file)
    if subtracts and transcodes:
        raise InputError(f'"{path}": a transcoder cannot subtract the bias of its output from its input; not read')
    scale_in, scale_out = _factors(source, norm_activation, average, d_in, int(W_dec.shape[1]), transcodes)
    length = W_dec.norm(dim=1)
    if config.get("sparsity_include_decoder_norm", True):
        if threshold is not None:
            threshold = threshold / length.clamp(min=1e-30)
        if act_fn == "topk" and float((length - 1).abs().max()) > 1e-3:
            raise SCALED_TOPK.error(path, float(length.max()))
    if threshold is None and act_fn == "jumprelu":
        raise InputError(f'"{path}": act_fn is jumprelu, and there is no threshold')
    k = checked_k(integer(config, "top_k", path, file), n_features, path) if act_fn == "topk" else None
    return SparseAutoencoder(
        hook=hook or named["in"],
        hook_out=named["out"] if transcodes else None,
        architecture={"relu": "standard"}.get(act_fn, act_fn),
        kind=kind if kind != "auto" else "transcoder" if transcodes else "sae",
        W_enc=W_enc * scale_in,
        b_enc=b_enc,
        W_dec=W_dec / scale_out,
        b_dec=b_dec / scale_out,
        subtract_b_dec=subtracts,
        threshold=threshold,
        k=k,
        normalize="constant_norm_rescale" if norm_activation == "token-wise" else "none",
        processing="raw",
        format="lm_saes",
        source=path,
        config={**config, "norm_scaling_factor_folded": scale_in},
    )


def _matrices(weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Encoder, its bias and decoder, by the names of either version; of any output width."""
    if "encoder.weight" in weights:  # before 2026, as torch's linear layers hold them
        n_features, d_in = weights.shape("encoder.weight")
        weights.says = "the encoder says"
        W_enc = weights.take_transposed("encoder.weight", (n_features, d_in))
        W_dec = weights.take_transposed("decoder.weight", (None, n_features))
        return W_enc, weights.take("encoder.bias", (n_features,)), W_dec
    d_in, n_features = weights.shape("W_E")
    weights.says = "the encoder says"
    return (
        weights.take("W_E", (d_in, n_features)),
        weights.take("b_E", (n_features,)),
        weights.take("W_D", (n_features, None)),
    )


def _decoder_bias(weights: Weights, d_out: int) -> Tensor:
    return weights.take("decoder.bias" if "encoder.weight" in weights else "b_D", (d_out,))


def _threshold(weights: Weights) -> Tensor:
    names = ("log_jumprelu_threshold", "activation_function.log_jumprelu_threshold")
    name = next((name for name in names if name in weights), names[0])
    return weights.take(name, (None,)).exp()


def _factors(
    source: DictionarySource,
    norm_activation: str,
    average: Mapping[str, float] | None,
    d_in: int,
    d_out: int,
    transcodes: bool,
) -> tuple[float, float]:
    """What the input was multiplied by in training, and the output: 1 where nothing was."""
    if norm_activation != "dataset-wise":
        return 1.0, 1.0
    given = source.defaults.get("norm_scaling_factor")
    if average is None and given is not None:
        if transcodes:
            raise NO_NORM.error(source.path, "the registry's factor is of the input only")
        return float(given), float(given)
    sides = ("in", "out") if transcodes else ("in",)
    if average is None or not all(0 < average.get(side, 0) < math.inf for side in sides):
        raise NO_NORM.error(source.path, f"{NORM} is missing, or not positive")
    scale_in = math.sqrt(d_in) / average["in"]
    return scale_in, math.sqrt(d_out) / average["out"] if transcodes else scale_in


def is_lm_saes(folder: Path) -> bool:
    """SAELens's weights have the same name; its settings lie in cfg.json."""
    return (folder / FILE).is_file() and (folder / "config.json").is_file() and not (folder / "cfg.json").is_file()


def norms_in(config: Mapping[str, Any], path: str, file: str) -> dict[str, float] | None:
    """The average norms that a configuration holds."""
    held = config.get(NORM)
    if held is None:
        return None
    if not isinstance(held, dict):
        raise InputError(f'"{path}": {file} has {NORM} = {held!r}; it must hold in and out')
    return {side: number(held, side, path, file) for side in ("in", "out") if side in held}


TYPE = Setting(
    "sae_type",
    {"sae": "one hook point to itself or, as a transcoder, to another"},
    {
        "crosscoder": "it reads several hook points at once",
        "clt": "its layers stand in one file; those in circuit-tracer's format are read",
        "lorsa": "its features depend on the earlier tokens of a text, by heads of attention of their own",
        "molt": "its features are transforms of the activation, with no direction that one writes",
    },
)
NORMALIZATION = Setting(
    "norm_activation",
    {
        "dataset-wise": "x is the activation times sqrt(d) / its average norm, which is folded into the weights",
        "inference": "x is the activation: the factor is in the weights already",
        "token-wise": "each token's activation is scaled to norm sqrt(d)",
    },
    {"batch-wise": "what a feature does depends on the other tokens of the batch"},
)
FORMAT = Format(
    name="lm_saes",
    title="Language-Model-SAEs",
    sentence="A folder that Language-Model-SAEs (llamascopium) writes, such as those of Llama Scope R1-Distill.",
    documented="https://github.com/OpenMOSS/Language-Model-SAEs",
    hook="`hook_point_in` of `config.json`; where `hook_point_out` is another, it is a transcoder.",
    input="the activation in the scale of training, minus `b_dec` where `apply_decoder_bias_to_pre_encoder` says so",
    architectures=Setting(
        "act_fn",
        {
            "relu": "relu(x W_enc + b_enc)",
            "jumprelu": "relu(x W_enc + b_enc), kept where it is above the feature's threshold, over the norm of its "
            "decoder where `sparsity_include_decoder_norm` is true; the file holds the threshold's logarithm",
            "topk": "the `top_k` largest of relu(x W_enc + b_enc)",
        },
        {
            "batchtopk": "what it fires on depends on the batch",
            "layertopk": "it chooses among the features of several layers",
            "batchlayertopk": "it chooses among the features of several layers, and over a batch",
        },
    ),
    read=read,
    config="config.json",
    weights=FILE,
    tells=is_lm_saes,
    passed_over=("lm_config.json", "hyperparams.json"),
    settings=(TYPE, NORMALIZATION),
    refusals=(GLU, NO_NORM, SCALED_TOPK),
    sae_lens_loaders=("llama_scope_r1_distill",),
)
