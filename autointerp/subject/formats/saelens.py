"""SAELens's format: a folder with cfg.json and sae_weights.safetensors.

What its dictionaries compute is in `COMPUTES`. Transcoders compute the same for `hook_name_out`, and b_dec is never
subtracted. Files older than version 6 put the metadata at the top level and TopK into `activation_fn`. A planted
dictionary is this format with a `labels.json`.

SAELens loads its subjects with `from_pretrained_no_processing` and `model_from_pretrained_kwargs` on top:
what these say is the `processing` the dictionary was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
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
    flag,
    integer,
    load_safetensors,
    number,
    read_config,
    read_json,
)
from autointerp.subject.formats.lm_saes import is_lm_saes
from autointerp.subject.formats.row import Format, Refusal, Setting
from autointerp.subject.formats.signed import both_signs
from autointerp.subject.hook_names import hook_of_module
from autointerp.words import PLANTED

FILE = "sae_weights.safetensors"
HUGGING_FACE = "AutoModelForCausalLM"
"""The `model_class_name` of a dictionary that was trained on Hugging Face's own model."""
COMPUTES = {
    "standard": "relu(x W_enc + b_enc)",
    "jumprelu": "relu(x W_enc + b_enc), kept where x W_enc + b_enc is above the feature's threshold; BatchTopK and "
    "Matryoshka dictionaries are saved so",
    "topk": "the k largest of x W_enc + b_enc, then relu",
    "gated": "1[x W_enc + b_gate > 0] relu(x W_enc e^r_mag + b_mag)",
    "abstopk": "the k of x W_enc + b_enc that are largest in magnitude, with their sign: two features a latent. "
    "Feature i is latent i where it is positive, feature i + `d_sae` where it is negative",
}
ARCHITECTURES = {
    "standard": "standard",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "gated": "gated",
    "abstopk": "topk",
    "transcoder": "standard",
    "skip_transcoder": "standard",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
"""Its names of architectures, and ours of what they compute."""
NORMALIZATIONS = {
    "none": "none",
    "expected_average_only_in": "none",  # identity at run time: the factor is folded into the weights
    "covariance_whitening": "none",  # likewise
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm_rescale",
}
SCALER = "activation_scaler.json"
WHITENING = "activation_whitening.safetensors"
NOT_WHITENED = Refusal(
    "`activation_whitening.safetensors` lies beside the weights, or `activation_scaler.json` says so",
    "the weights are of whitened activations, as training leaves them before its end",
    "activation_whitening.safetensors: {reason}; not read",
)
ONE_HEAD = Refusal(
    "`hook_head_index` is set",
    "it was trained on one attention head",
    "{reason} (hook_head_index = {value}); not read",
)


def read(source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
    path = source.path
    config = read_config(source.folder / "cfg.json", path, ": not a dictionary in SAELens's format")
    nested = config.get("metadata") or {}
    if not isinstance(nested, dict):
        raise InputError(f'"{path}": cfg.json does not hold a configuration (a JSON object)')
    config = {**config, **source.overrides}
    metadata = {**config, **nested, **source.overrides}
    declared = str(config.get("architecture") or "standard")
    if "activation_fn_str" in config or "activation_fn" in config:  # before version 6
        declared = _old_architecture(declared, config, path)
    FORMAT.architectures.check(declared, path)
    architecture = ARCHITECTURES[declared]
    normalize = _normalization(config, path)
    hook = hook or _hook(metadata, ("hook_name", "hook_point"), path)
    if hook is None:
        raise InputError(f'"{path}": its config names no hook; {GIVE_A_HOOK}')
    head = metadata.get("hook_head_index", metadata.get("hook_point_head_index"))
    if head is not None:
        raise ONE_HEAD.error(path, head)
    weights = Weights(load_safetensors(source.named(FILE), path), path)
    d_in, d_sae = integer(config, "d_in", path), integer(config, "d_sae", path)
    W_enc = weights.take("W_enc", (d_in, d_sae))
    W_dec = weights.take("W_dec", (d_sae, None))
    d_out = int(W_dec.shape[1])
    is_transcoder = "transcoder" in declared
    if d_out != d_in and not is_transcoder:
        raise InputError(f'"{path}": "W_dec" has shape {tuple(W_dec.shape)}; the config says {d_sae} x {d_in}')
    k = None
    if architecture == "topk":
        k = checked_k(integer({**config, **(config.get("activation_fn_kwargs") or {})}, "k", path), d_sae, path)
    gated = architecture == "gated"
    skips = is_transcoder and ("skip" in declared or "W_skip" in weights)
    b_enc = torch.zeros(d_sae) if gated else weights.take("b_enc", (d_sae,))
    if declared == "abstopk":
        W_enc, b_enc, W_dec = both_signs(W_enc, b_enc, W_dec)
    labels = _read_labels(source.folder, path)
    sae = SparseAutoencoder(
        hook=hook,
        hook_out=_hook(metadata, ("hook_name_out",), path),
        architecture=architecture,
        kind=_kind(kind, metadata, is_transcoder, bool(labels)),
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=weights.take("b_dec", (d_out,)),
        subtract_b_dec=not is_transcoder and flag(config, "apply_b_dec_to_input", path, default=True),
        threshold=weights.take("threshold", (d_sae,)) if architecture == "jumprelu" else None,
        k=k,
        rescale_by_decoder_norm=k is not None and flag(config, "rescale_acts_by_decoder_norm", path),
        b_gate=weights.take("b_gate", (d_sae,)) if gated else None,
        r_mag=weights.take("r_mag", (d_sae,)) if gated else None,
        b_mag=weights.take("b_mag", (d_sae,)) if gated else None,
        W_skip=weights.take("W_skip", (d_out, d_in)) if skips else None,
        normalize=normalize,
        processing=processing_of(metadata, hook),
        format="saelens",
        source=path,
        config=config,
        labels=labels,
    )
    weights.finish()
    factor = _factor_not_folded(source, config)
    return sae if factor is None else _scaled(sae, factor)


def _factor_not_folded(source: DictionarySource, config: dict[str, Any]) -> float | None:
    """What the activations were multiplied by in training, where the weights do not hold it yet."""
    path = source.path
    if (source.folder / WHITENING).is_file():
        raise NOT_WHITENED.error(path)
    file = source.folder / SCALER
    held = read_config(file, path) if file.is_file() else {}
    if held.get("has_whitening"):
        raise NOT_WHITENED.error(path)
    if held.get("scaling_factor") is not None:
        factor = number(held, "scaling_factor", path, SCALER)
        if factor <= 0:
            raise InputError(f'"{path}": {SCALER} has scaling_factor = {factor}; it must be positive')
        return factor
    if config.get("normalize_activations") not in ("expected_average_only_in", True):
        return None
    given = source.defaults.get("norm_scaling_factor")
    return None if given is None else float(given)


def _scaled(sae: SparseAutoencoder, factor: float) -> SparseAutoencoder:
    """The dictionary of activations that were multiplied by a factor, for activations as they are."""
    return replace(
        sae,
        W_enc=sae.W_enc * factor,
        W_dec=sae.W_dec / factor,
        b_dec=sae.b_dec / factor,
        config={**sae.config, "norm_scaling_factor_folded": factor},
    )


def _kind(kind: str, metadata: dict[str, Any], is_transcoder: bool, has_labels: bool) -> str:
    if kind != "auto":
        return kind
    if metadata.get("kind") == PLANTED and has_labels:
        return PLANTED
    return "transcoder" if is_transcoder else "sae"


def _hook(metadata: dict[str, Any], keys: tuple[str, ...], path: str) -> str | None:
    """The hook point that a key names; a dictionary trained on Hugging Face's own model names a module of it."""
    named = next((str(metadata[key]) for key in keys if metadata.get(key)), None)
    if named is None or re.fullmatch(r"(\w+\.)*hook_\w+", named):
        return named
    hook = hook_of_module(named)
    if hook is None and metadata.get("model_class_name") == HUGGING_FACE:
        raise InputError(f'"{path}": {keys[0]} = "{named}" is a module that has no hook point here; {GIVE_A_HOOK}')
    return hook or named


def _old_architecture(declared: str, config: dict[str, Any], path: str) -> str:
    activation = str(config.get("activation_fn_str") or config.get("activation_fn") or "relu")
    if activation == "topk":
        return "topk"
    if declared in ("standard", "gated") or activation not in ("relu", declared):
        ACTIVATION.check(activation, path)
    return declared


def _normalization(config: dict[str, Any], path: str) -> str:
    value = config.get("normalize_activations")
    if isinstance(value, bool):  # the oldest files
        value = "expected_average_only_in" if value else "none"
    normalize = str(value or "none")
    NORMALIZATION.check(normalize, path)
    return NORMALIZATIONS[normalize]


def processing_of(metadata: Mapping[str, Any], hook: str) -> str | None:
    """What the metadata says of the subject: value biases matter at the heads, centring everywhere else."""
    given = metadata.get("model_from_pretrained_kwargs")
    if metadata.get("model_class_name") == HUGGING_FACE:
        return "raw"
    if not isinstance(given, dict):
        return None
    fold = "fold_value_biases" if hook.endswith((".hook_z", ".hook_v")) else "center_writing_weights"
    return "folded" if given.get(fold, False) else "raw"


def _read_labels(folder: Path, path: str) -> dict[int, str]:
    """The known label of each planted feature; none where there is no labels.json."""
    if not (folder / "labels.json").is_file():
        return {}
    try:
        return {int(entry["feature"]): str(entry["label"]) for entry in read_json(folder / "labels.json", path)}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'"{path}": labels.json is not a list of {{"feature": 0, "label": "..."}}') from error


ACTIVATION = Setting(
    "activation_fn", {"relu": "relu; in older files only", "topk": "the k largest; in older files only"}, lists=True
)
NORMALIZATION = Setting(
    "normalize_activations",
    {
        "none": "x is the activation",
        "expected_average_only_in": "x is the activation: the factor is folded into the weights; one that is not yet, "
        "in `activation_scaler.json` or in SAELens's registry, is folded here",
        "covariance_whitening": "x is the activation: the whitening is folded into the weights",
        "layer_norm": "each token's activation is centred and divided by its standard deviation + 1e-5",
        "constant_norm_rescale": "each token's activation is scaled to norm sqrt(d)",
    },
)
FORMAT = Format(
    name="saelens",
    title="SAELens",
    sentence="A folder that SAELens writes, of version 6 or older; the bundled dictionaries are in this format.",
    documented="https://github.com/decoderesearch/SAELens",
    hook="`cfg.json` names it: `hook_name`, or `hook_point` in older files. With `model_class_name` "
    "`AutoModelForCausalLM` it is a module of Hugging Face's model: `transformer.h.0` is `blocks.0.hook_resid_post`.",
    input="the activation at the hook, minus `b_dec` where `apply_b_dec_to_input` says so (transcoders: never)",
    architectures=Setting(
        "architecture",
        {
            name: COMPUTES.get(name, f"as {ours}, from `hook_name` to `hook_name_out`")
            for name, ours in ARCHITECTURES.items()
        },
        {
            "matching_pursuit": "it picks features one after another, from what the earlier ones leave",
            "temporal": "its features depend on the earlier tokens of a text, not on one activation",
            "crosscoder": "it reads several hook points at once",
        },
        '{key} "{value}" is not read',
    ),
    read=read,
    config="cfg.json",
    needs_config=True,
    weights=FILE,
    beside=("labels.json", SCALER),
    tells=lambda folder: (folder / FILE).is_file() and not is_lm_saes(folder),
    passed_over=(
        "sparsity.safetensors",
        "log_feature_sparsity.safetensors",
        "feature_sparsity.pt",
        "runner_cfg.json",
        "activations_store_state.safetensors",
    ),
    settings=(ACTIVATION, NORMALIZATION),
    refusals=(ONE_HEAD, NOT_WHITENED),
    sae_lens_loaders=(None, "sae_lens"),
)
