"""A dictionary in SAELens's on-disk format (6.54.12), `cfg.json` and `sae_weights.safetensors`; and its arithmetic.

pre    = (x - b_dec) W_enc + b_enc
acts   = relu(pre) | relu(pre) * (pre > threshold) | relu of the k largest      standard | jumprelu | topk
x_hat  = acts W_dec + b_dec
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from autointerp.train.subject import CONTEXT


@dataclass(frozen=True)
class DictionaryOnDisk:
    architecture: str
    """`standard`, `jumprelu` or `topk`"""
    hook: str
    w_enc: Tensor
    """[d_in, d_sae]"""
    b_enc: Tensor
    w_dec: Tensor
    """[d_sae, d_in], rows of unit norm"""
    b_dec: Tensor
    threshold: Tensor | None = None
    """[d_sae], jumprelu only"""
    k: int | None = None
    """topk only"""
    b_dec_in_encoder: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)

    def encode(self, x: Tensor) -> Tensor:
        pre = (x - self.b_dec * self.b_dec_in_encoder) @ self.w_enc + self.b_enc
        acts = pre.relu()
        if self.threshold is not None:
            return acts * (pre > self.threshold)
        if self.k is not None:
            top = acts.topk(self.k, dim=-1)
            return torch.zeros_like(acts).scatter(-1, top.indices, top.values)
        return acts

    def decode(self, acts: Tensor) -> Tensor:
        return acts @ self.w_dec + self.b_dec


def save(dictionary: DictionaryOnDisk, folder: Path, dtype: torch.dtype) -> None:
    """Weights stored in `dtype`; computed in float32 once loaded, as cfg.json says."""
    d_in, d_sae = dictionary.w_enc.shape
    weights = {
        "W_enc": dictionary.w_enc,
        "b_enc": dictionary.b_enc,
        "W_dec": dictionary.w_dec,
        "b_dec": dictionary.b_dec,
    }
    config: dict[str, Any] = {
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.b_dec_in_encoder,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "bundled:subject",
            "hook_name": dictionary.hook,
            "context_size": CONTEXT,
            "prepend_bos": True,
            **dictionary.metadata,
        },
        "architecture": dictionary.architecture,
    }
    if dictionary.threshold is not None:
        weights["threshold"] = dictionary.threshold
    if dictionary.k is not None:
        config |= {"k": dictionary.k, "rescale_acts_by_decoder_norm": False}
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: weight.detach().to(dtype).contiguous() for name, weight in weights.items()}
    save_file(stored, folder / "sae_weights.safetensors")
    (folder / "sae_weights.safetensors").chmod(0o644)
    (folder / "cfg.json").write_text(json.dumps(config, indent=2) + "\n")


def load(folder: Path) -> DictionaryOnDisk:
    config = json.loads((folder / "cfg.json").read_text())
    weights = {name: w.float() for name, w in load_file(folder / "sae_weights.safetensors").items()}
    return DictionaryOnDisk(
        architecture=config["architecture"],
        hook=config["metadata"]["hook_name"],
        w_enc=weights["W_enc"],
        b_enc=weights["b_enc"],
        w_dec=weights["W_dec"],
        b_dec=weights["b_dec"],
        threshold=weights.get("threshold"),
        k=config.get("k"),
        b_dec_in_encoder=config["apply_b_dec_to_input"],
        metadata=config["metadata"],
    )
