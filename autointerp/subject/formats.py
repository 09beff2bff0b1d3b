"""Reading dictionaries from disk: SAELens's format, a folder with cfg.json and sae_weights.safetensors.

    standard    relu(x W_enc + b_enc)                            x minus b_dec where the config says so
    jumprelu    the same, kept where it is above `threshold`     (BatchTopK and Matryoshka are saved so)
    topk        the k largest of x W_enc + b_enc, then relu
    gated       1[x W_enc + b_gate > 0] relu(x W_enc e^r_mag + b_mag)
    transcoders the same with hook_out, and b_dec never subtracted

Files older than version 6 put the metadata at the top level and TopK into `activation_fn`. A planted
dictionary is this format with a `labels.json`. Weights are cast to float32, nothing else is done to
them; NaN, infinite, missing or misshapen weights are refused. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autointerp.errors import InputError, nearest
from autointerp.resources import BUNDLED
from autointerp.subject.dictionary import SparseAutoencoder

ARCHITECTURES = {
    "standard": "standard",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "gated": "gated",
    "transcoder": "standard",
    "skip_transcoder": "standard",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
NORMALIZATIONS = {
    "none": "none",
    "expected_average_only_in": "none",  # identity at run time: the factor is folded into the weights
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm_rescale",
}


def resolve_dictionary(path: str) -> Path:
    """`bundled:NAME` or a local folder."""
    if path.startswith("bundled:"):
        name = path.removeprefix("bundled:")
        known = sorted(folder.name for folder in (BUNDLED / "dictionaries").iterdir() if folder.is_dir())
        if name not in known:
            raise InputError(f'there is no bundled dictionary "{name}"{nearest(name, known)}')
        return BUNDLED / "dictionaries" / name
    if path.startswith("hf://"):
        raise InputError(f'"{path}": hub dictionaries are not in this version; download the folder and give its path')
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f'there is no folder "{path}" to read a dictionary from')
    return folder


def load_dictionary(path: str, *, hook: str | None = None, kind: str = "auto") -> SparseAutoencoder:
    """Reads a dictionary in SAELens's format. `hook` is needed where the files do not name one."""
    folder = resolve_dictionary(path)
    config = _read_json(folder / "cfg.json", path)
    nested = config.get("metadata") or {} if isinstance(config, dict) else None
    if not isinstance(nested, dict):
        raise InputError(f'"{path}": cfg.json does not hold a configuration (a JSON object)')
    metadata = {**config, **nested}
    declared = str(config.get("architecture") or "standard")
    if "activation_fn_str" in config or "activation_fn" in config:  # before version 6
        declared = _old_architecture(declared, config, path)
    if declared not in ARCHITECTURES:
        raise InputError(f'"{path}": architecture "{declared}" is not read{nearest(declared, ARCHITECTURES)}')
    architecture = ARCHITECTURES[declared]
    normalize = str(config.get("normalize_activations") or "none")
    if normalize not in NORMALIZATIONS:
        near = nearest(normalize, NORMALIZATIONS)
        raise InputError(f'"{path}": normalize_activations = "{normalize}" is not read{near}')
    named = metadata.get("hook_name") or metadata.get("hook_point")
    if hook is None and named is None:
        raise InputError(f'"{path}": its config names no hook; give hook = "blocks...." in the run file')
    weights = _read_weights(folder, path)
    d_in, d_sae = _integer(config, "d_in", path), _integer(config, "d_sae", path)
    W_enc = _take(weights, "W_enc", (d_in, d_sae), path)
    W_dec = _take(weights, "W_dec", (d_sae, None), path)
    is_transcoder = "transcoder" in declared
    k = None
    if architecture == "topk":
        k = _integer({**config, **(config.get("activation_fn_kwargs") or {})}, "k", path)
        if not 0 < k <= d_sae:
            raise InputError(f'"{path}": k = {k} does not fit a TopK of width {d_sae}')
    gated = architecture == "gated"
    labels = _read_labels(folder, path)
    return SparseAutoencoder(
        hook=hook or str(named),
        hook_out=str(metadata["hook_name_out"]) if metadata.get("hook_name_out") else None,
        architecture=architecture,
        kind=_kind(kind, metadata, is_transcoder, bool(labels)),
        W_enc=W_enc,
        b_enc=torch.zeros(d_sae) if gated else _take(weights, "b_enc", (d_sae,), path),
        W_dec=W_dec,
        b_dec=_take(weights, "b_dec", (int(W_dec.shape[1]),), path),
        subtract_b_dec=not is_transcoder and bool(config.get("apply_b_dec_to_input", True)),
        threshold=_take(weights, "threshold", (d_sae,), path) if architecture == "jumprelu" else None,
        k=k,
        rescale_by_decoder_norm=k is not None and bool(config.get("rescale_acts_by_decoder_norm", False)),
        b_gate=_take(weights, "b_gate", (d_sae,), path) if gated else None,
        r_mag=_take(weights, "r_mag", (d_sae,), path) if gated else None,
        b_mag=_take(weights, "b_mag", (d_sae,), path) if gated else None,
        normalize=NORMALIZATIONS[normalize],
        source=path,
        config=config,
        labels=labels,
    )


def _kind(kind: str, metadata: dict[str, Any], is_transcoder: bool, has_labels: bool) -> str:
    if kind != "auto":
        return kind
    if metadata.get("kind") == "planted" and has_labels:
        return "planted"
    return "transcoder" if is_transcoder else "sae"


def _old_architecture(declared: str, config: dict[str, Any], path: str) -> str:
    activation = str(config.get("activation_fn_str") or config.get("activation_fn") or "relu")
    if activation == "topk":
        return "topk"
    if activation != "relu" and declared in ("standard", "gated"):
        raise InputError(f'"{path}": activation_fn = "{activation}" is not read; relu and topk are')
    return declared


def _read_json(file: Path, path: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f'"{path}" has no {file.name}: not a dictionary in SAELens\'s format') from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'"{path}": {file.name} is not JSON: {error}') from error


def _integer(config: dict[str, Any], key: str, path: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f'"{path}": cfg.json has {key} = {value!r}; it must be an integer')
    return value


def _read_labels(folder: Path, path: str) -> dict[int, str]:
    """The known label of each planted feature; none where there is no labels.json."""
    if not (folder / "labels.json").is_file():
        return {}
    try:
        return {int(entry["feature"]): str(entry["label"]) for entry in _read_json(folder / "labels.json", path)}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'"{path}": labels.json is not a list of {{"feature": 0, "label": "..."}}') from error


def _read_weights(folder: Path, path: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / "sae_weights.safetensors"
    if not file.is_file():
        raise InputError(f'"{path}" has no sae_weights.safetensors')
    try:
        return dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise InputError(f'"{path}": sae_weights.safetensors is damaged: {error}') from error


def _take(weights: dict[str, Tensor], name: str, shape: tuple[int | None, ...], path: str) -> Tensor:
    if name not in weights:
        raise InputError(f'"{path}": the weights have no "{name}"; there are {", ".join(sorted(weights))}')
    weight = weights[name].to(torch.float32)
    fits = len(weight.shape) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, weight.shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f'"{path}": "{name}" has shape {tuple(weight.shape)}; the config says {wanted}')
    if not torch.isfinite(weight).all():
        raise InputError(f'"{path}": "{name}" holds NaN or infinite weights')
    return weight.contiguous()
