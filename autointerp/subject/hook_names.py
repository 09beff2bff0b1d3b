"""Names of hook points: from the names that other libraries' files use to those of TransformerLens.

Two kinds of names: modules of Hugging Face's model (`transformer.h.3.mlp`, `model.language_model.layers.3`), and sites
(`resid_post_layer_8`). A name that means different points on different architectures is not translated:
`post_attention_layernorm` stands before the MLP in Llama and behind the attention in Gemma.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Sides(NamedTuple):
    """The hook points of what goes into a module and what comes out of it, inside their block."""

    input: str
    output: str


# A module's own input and output have these names on every architecture. `hook_mlp_out` and `hook_attn_out`
# are what a layer adds to the residual stream: on Gemma 2 that is one norm later.
BLOCK = Sides("hook_resid_pre", "hook_resid_post")
MLP = Sides("mlp.hook_in", "mlp.hook_out")
ATTENTION = Sides("attn.hook_in", "attn.hook_out")
NEURONS = Sides("mlp.hook_post", "mlp.hook_out")
HEADS = Sides("attn.hook_z", "attn.hook_out")
BEFORE_ATTENTION = Sides("hook_resid_pre", "ln1.hook_out")
BEFORE_MLP = Sides("hook_resid_mid", "mlp.hook_in")
"""The norm in front of the MLP; what comes out of it has the norm's gain."""
BEHIND_MLP = Sides("mlp.hook_out", "hook_mlp_out")
IN_A_BLOCK = {
    "mlp": MLP, "feed_forward": MLP, "ffn": MLP,
    "attn": ATTENTION, "self_attn": ATTENTION, "attention": ATTENTION, "self_attention": ATTENTION,
    "mlp.c_proj": NEURONS, "mlp.down_proj": NEURONS, "mlp.dense_4h_to_h": NEURONS,
    "mlp.act": Sides("mlp.hook_pre", "mlp.hook_post"),
    "attn.c_proj": HEADS, "self_attn.o_proj": HEADS, "attention.dense": HEADS,
    "ln_1": BEFORE_ATTENTION, "input_layernorm": BEFORE_ATTENTION,
    "ln_2": BEFORE_MLP, "pre_feedforward_layernorm": BEFORE_MLP,
    "post_feedforward_layernorm": BEHIND_MLP,
}  # fmt: skip
"""Modules of a block, by their names in Hugging Face's GPT-2, GPT-NeoX, Llama, Mistral, Qwen and Gemma."""
EMBEDDINGS = ("embed_tokens", "embed_in", "wte")
FINAL_NORMS = ("norm", "ln_f", "final_layer_norm")
STEM = r"(?:(?:model|language_model|text_model|transformer|gpt_neox|decoder)\.)*"
"""What may stand before the list of blocks; multimodal models put one more name there."""
SITES = {
    "resid_pre": "hook_resid_pre",
    "resid_mid": "hook_resid_mid",
    "resid_post": "hook_resid_post",
    "resid_out": "hook_resid_post",
    "resid": "hook_resid_post",
    "mlp_out": "mlp.hook_out",
    "mlp": "mlp.hook_out",
    "attn_out": "attn.hook_out",
    "attn": "attn.hook_out",
    "attention_out": "attn.hook_out",
    "attention": "attn.hook_out",
}


def hook_of_module(name: str, side: str = "out") -> str | None:
    """The hook point of a Hugging Face module: `layers.6`, `transformer.h.3.mlp`; None: it is no module that we know.

    `side`: "in" or "out", where the name does not say it itself by a last part `input` or `output`.
    """
    plain = re.sub(r"\[(\d+)\]", r".\1", name)
    said = re.fullmatch(r"(.+)\.(in|out)put", plain)
    if said is not None:
        plain, side = said[1], said[2]
    outside, _, last = plain.rpartition(".")
    if last in EMBEDDINGS and re.fullmatch(STEM, f"{outside}." if outside else ""):
        return "hook_embed" if side == "out" else None
    if last in FINAL_NORMS and re.fullmatch(STEM, f"{outside}."):
        return f"ln_final.hook_{side}"
    matched = re.fullmatch(STEM + r"(?:layers|h|blocks)[._](\d+)(?:\.([\w.]+))?", plain)
    sides = BLOCK if matched is not None and matched[2] is None else IN_A_BLOCK.get(matched[2]) if matched else None
    if matched is None or sides is None:
        return None
    return f"blocks.{int(matched[1])}.{sides.input if side == 'in' else sides.output}"


def hook_of_site(name: str, layer: int | None) -> str | None:
    """The hook point of a name such as `resid_post_layer_8` or `mlp_out_layer3`; None where it is not one."""
    matched = re.fullmatch(r"(?:blocks\.(\d+)\.)?([a-z_]+?)(?:_(?:layer_?)?(\d+))?", name)
    if matched is None or matched[2].removeprefix("hook_") not in SITES:
        return None
    number = matched[1] or matched[3] or layer
    return None if number is None else f"blocks.{int(number)}.{SITES[matched[2].removeprefix('hook_')]}"
