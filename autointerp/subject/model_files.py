"""A model's folder against what transformers makes of it: what it would overlook without a word is refused, or said.

transformers leaves out weights that the configuration has no place for, adapters whose library is not installed,
quantisations that it does not know, and tokenizers of other programs; the model that remains is another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autointerp.errors import InputError
from autointerp.pointers import pointer_line

WEIGHTS = "weights: "
"""How a line begins that is about weights without a place."""
OTHER_TOKENIZERS = ("tekken.json", "tokenizer.model.v*", "*.tiktoken", "vocab.bpe", "rwkv_vocab*.txt", "*.spm")
"""Files of tokenizers that are read by other libraries than transformers alone."""
_SCALES = re.compile(
    r"(scale|scale_inv|scales|zero_point|qweight|qzeros|g_idx|weight_packed|weight_shape|absmax|quant_map|SCB|input_max)$"
    r"|quant_state|lora_[AB]"
)
_BLOCK = re.compile(r"\.\d+\.")


def check_folder(model: str, folder: Path) -> None:
    """Raises InputError, before anything is loaded, of what transformers would read as something else."""
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".safetensors", ".bin", ".model", ".txt") and (why := pointer_line(file)):
            raise InputError(f'subject.model: "{model}": {file.name} {why}')
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f'subject.model: "{model}" holds an adapter (adapter_config.json) beside the weights, and only the base '
            "model would be read: save the merged model (peft: merge_and_unload), or move the adapter away"
        )


def check_loaded(model: str, hf_model: nn.Module, unexpected: Iterable[str]) -> list[str]:
    """Lines about weights that have no place in the model. Raises InputError where it is another model without them."""
    left = sorted(unexpected)
    known = {_BLOCK.sub(".N.", name) for name in hf_model.state_dict()}
    blocks = [name for name in left if _BLOCK.sub(".N.", name) in known]
    scales = [name for name in left if _SCALES.search(name)]
    if blocks:
        raise InputError(
            f'subject.model: "{model}" holds {len(blocks)} weights that its config.json has no place for, e.g. '
            f'"{blocks[0]}": it says fewer layers than there are; correct the number of layers'
        )
    if scales:
        raise InputError(
            f'subject.model: "{model}" is quantised, and config.json does not say so: "{scales[0]}" would be left out; '
            "give the model in bfloat16 or float32"
        )
    odd = {weight.dtype for weight in hf_model.parameters()} - {torch.float32, torch.bfloat16, torch.float16}
    if odd or getattr(hf_model, "is_quantized", False):
        kinds = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in odd))
        raise InputError(
            f'subject.model: "{model}" is quantised{f" ({kinds})" if kinds else ""}, and its hooks could not be read '
            "as those of the model; give the model in bfloat16 or float32"
        )
    if not left:
        return []
    return [f"{WEIGHTS}{len(left)} in the files have no place in the model and are left out, e.g. {left[0]}"]


def check_quantisation(model: str, config: Any) -> None:
    """Raises InputError of a quantisation that transformers does not know: it reads the weights as plain ones."""
    said = getattr(config, "quantization_config", None)
    if said is None:
        return
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    method = said.get("quant_method") if isinstance(said, dict) else getattr(said, "quant_method", None)
    method = getattr(method, "value", method)
    by_bits = isinstance(said, dict) and (said.get("load_in_8bit") or said.get("load_in_4bit"))
    if not by_bits and method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        raise InputError(
            f'subject.model: "{model}" is quantised in a way that transformers does not know ("{method}"); give the '
            "model in bfloat16 or float32"
        )


def other_tokenizer(name: str) -> str:
    """What to do about a tokenizer that is not read here, in the folder of this name; "" where there is none."""
    folder = Path(name).expanduser()
    there = folder.is_dir()
    others = sorted(file.name for pattern in OTHER_TOKENIZERS for file in folder.glob(pattern)) if there else []
    if not others:
        return ""
    return f"; its {others[0]} is not read here: put the tokenizer.json of the model's Hugging Face form beside it"
