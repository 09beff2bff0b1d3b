"""Hook points by the names of Hugging Face's modules: what passes the module is what is read at the hook point."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.formats import load_dictionary
from autointerp.subject.hook_names import hook_of_module, hook_of_site
from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject

SHAPE = {
    "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 24, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
GEMMA = {"num_key_value_heads": 2, "head_dim": 16, "pad_token_id": 2, "sliding_window": 8, "query_pre_attn_scalar": 16}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "GPT2": ("GPT2LMHeadModel", {"vocab_size": 61, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 24}),
    "GPTNeoX": ("GPTNeoXForCausalLM", SHAPE | {"rotary_pct": 0.5}),
    "Llama": ("LlamaForCausalLM", SHAPE | {"num_key_value_heads": 2}),
    "Mistral": ("MistralForCausalLM", SHAPE | {"num_key_value_heads": 2, "head_dim": 8}),
    "Qwen3": ("Qwen3ForCausalLM", SHAPE | {"num_key_value_heads": 2, "head_dim": 16}),
    "Gemma2": ("Gemma2ForCausalLM", SHAPE | GEMMA),
    "Gemma3Text": ("Gemma3ForCausalLM", SHAPE | GEMMA),
}
HOOK = "blocks.1.hook_resid_post"
LLAMA = (
    "model.embed_tokens", "model.layers.1", "model.layers.1.self_attn", "model.layers.1.self_attn.o_proj",
    "model.layers.1.mlp", "model.layers.1.mlp.down_proj", "model.layers.1.input_layernorm", "model.norm",
)  # fmt: skip
GEMMA_NORMS = ("model.layers.1.pre_feedforward_layernorm", "model.layers.1.post_feedforward_layernorm")
MODULES = {
    "GPT2": (
        "transformer.wte", "transformer.h.1", "transformer.h.1.attn", "transformer.h.1.attn.c_proj",
        "transformer.h.1.mlp", "transformer.h.1.mlp.c_proj", "transformer.h.1.mlp.act", "transformer.h.1.ln_1",
        "transformer.h.1.ln_2", "transformer.ln_f",
    ),
    "GPTNeoX": (
        "gpt_neox.embed_in", "gpt_neox.layers.1", "gpt_neox.layers.1.attention", "gpt_neox.layers.1.attention.dense",
        "gpt_neox.layers.1.mlp", "gpt_neox.layers.1.mlp.dense_4h_to_h", "gpt_neox.layers.1.mlp.act",
        "gpt_neox.layers.1.input_layernorm", "gpt_neox.final_layer_norm",
    ),
    "Llama": LLAMA,
    "Mistral": LLAMA,
    "Qwen3": LLAMA,
    "Gemma2": (*LLAMA, *GEMMA_NORMS),
    "Gemma3Text": (*LLAMA, *GEMMA_NORMS),
}  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(family, tmp_path_factory.mktemp(family))


def random_model(family: str, path: Path) -> Path:
    """A model in which every norm does something, so that before and behind it differ."""
    import transformers

    torch.manual_seed(0)
    name, shape = FAMILIES[family]
    model = getattr(transformers, name)(getattr(transformers, f"{family}Config")(**shape))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8)
            else:
                weight.add_(torch.randn_like(weight) * 0.3)
    model.save_pretrained(path)
    return path


def test_what_passes_a_module_is_read_at_its_hook_point(family: str, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    seen: dict[tuple[str, str], torch.Tensor] = {}

    def watch(name: str) -> None:
        def keep(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            seen[name, "in"] = args[0] if args else kwargs["hidden_states"]
            seen[name, "out"] = out[0] if isinstance(out, tuple) else out

        plain.get_submodule(name).register_forward_hook(keep, with_kwargs=True)

    for name in MODULES[family]:
        watch(name)
    ids = torch.randint(2, 61, (3, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain(ids)
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    compared = 0
    for (name, side), expected in seen.items():
        hook = hook_of_module(name, side)
        if hook is None:
            assert (name.endswith(("wte", "embed_tokens", "embed_in")), side) == (True, "in")
            continue
        found = subject.activations(ids, [hook])[hook]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, msg=partial("{} {}: {}".format, name, side))
        compared += 1
    assert compared == 2 * len(MODULES[family]) - 1


def test_before_and_behind_the_norm_of_the_mlp_differ(tmp_path: Path) -> None:
    """The input of a Gemma Scope transcoder is before the norm's gain, that of Gemma Scope 2 behind it."""
    subject = load_subject(str(random_model("Gemma3Text", tmp_path)), None, "raw", "float32", "cpu")
    ids = torch.arange(2, 22)[None]
    names = ["blocks.1.ln2.hook_normalized", "blocks.1.mlp.hook_in", "blocks.1.hook_resid_mid"]
    before, behind, residual = (subject.activations(ids, names)[name] for name in names)
    gain = 1 + subject.bridge.blocks[1].ln2.weight.detach()
    torch.testing.assert_close(behind, before * gain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, behind, atol=0.1)
    assert not torch.allclose(residual, behind, atol=0.1)


@pytest.mark.parametrize(
    ("name", "hook"),
    [
        ("layers.6", "blocks.6.hook_resid_post"),
        ("h.3.mlp", "blocks.3.mlp.hook_out"),
        ("model.layers[3]", "blocks.3.hook_resid_post"),
        ("model.language_model.layers.17", "blocks.17.hook_resid_post"),
        ("language_model.model.layers.17.self_attn", "blocks.17.attn.hook_out"),
        ("model.language_model.layers.4.mlp", "blocks.4.mlp.hook_out"),
        ("model.text_model.layers.4", "blocks.4.hook_resid_post"),
        ("model.layers.17.output", "blocks.17.hook_resid_post"),
        ("model.layers.17.self_attn.o_proj.input", "blocks.17.attn.hook_z"),
        ("model.layers.17.pre_feedforward_layernorm.output", "blocks.17.mlp.hook_in"),
        ("model.layers.17.post_feedforward_layernorm.output", "blocks.17.hook_mlp_out"),
        ("vision_model.layers.3", None),
        ("visual.blocks.3", None),
        ("encoder.layers.3", None),
        ("layers.3.norm", None),
        ("layers", None),
        ("norm", None),
        ("blocks.3.hook_resid_post", None),
        ("model.layers.3.post_attention_layernorm", None),  # before the MLP in Llama, behind the attention in Gemma
        ("model.layers.3.mlp.act_fn", None),  # a gate is multiplied with before the neurons are there
    ],
)
def test_names_of_modules(name: str, hook: str | None) -> None:
    assert hook_of_module(name) == hook


@pytest.mark.parametrize(
    ("name", "layer", "hook"),
    [
        ("resid_post_layer_8", None, "blocks.8.hook_resid_post"),
        ("mlp_out_layer3", None, "blocks.3.mlp.hook_out"),
        ("blocks.2.hook_resid_mid", None, "blocks.2.hook_resid_mid"),
        ("attn_out", 4, "blocks.4.attn.hook_out"),
        ("attn_out", None, None),
        ("resid_post_layer_x", 4, None),
    ],
)
def test_names_of_sites(name: str, layer: int | None, hook: str | None) -> None:
    assert hook_of_site(name, layer) == hook


# --- in the files of SAELens ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "hook"),
    [
        ("transformer.h.1", HOOK),
        ("model.layers.1", HOOK),
        ("model.language_model.layers.1", HOOK),
        ("gpt_neox.layers.1", HOOK),
        ("model.layers.1.mlp", "blocks.1.mlp.hook_out"),
        ("model.layers.1.self_attn", "blocks.1.attn.hook_out"),
    ],
)
@pytest.mark.parametrize("said", [True, False])
def test_saelens_names_a_module(
    named: str, hook: str, said: bool, write_sae: Callable[..., Path], tmp_path: Path
) -> None:
    def change(config: dict[str, Any], _weights: dict[str, Any]) -> None:
        config["metadata"] |= {"hook_name": named} | ({"model_class_name": "AutoModelForCausalLM"} if said else {})

    sae = load_dictionary(str(write_sae(tmp_path / "sae", change=change)))
    assert (sae.hook, sae.processing) == (hook, "raw" if said else None)


def test_a_module_without_a_hook_point(write_sae: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae")
    config = json.loads((folder / "cfg.json").read_text())
    config["metadata"] |= {"hook_name": "model.layers.1.mlp.act_fn", "model_class_name": "AutoModelForCausalLM"}
    (folder / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r'hook_name = "model\.layers\.1\.mlp\.act_fn" is a module that has no hook'):
        load_dictionary(str(folder))
    assert load_dictionary(str(folder), hook="blocks.1.hook_mlp_out").hook == "blocks.1.hook_mlp_out"


def test_a_run_file_that_names_a_module_is_told_the_hook_point(tiny_subject: Subject) -> None:
    with pytest.raises(InputError) as caught:
        tiny_subject.check_hook("transformer.h.0")
    assert str(caught.value).endswith(
        'has no hook point "transformer.h.0": that is a module of Hugging Face\'s model, whose output is '
        '"blocks.0.hook_resid_post" and whose input is "blocks.0.hook_resid_pre"'
    )
    with pytest.raises(InputError, match=r'the nearest is "blocks\.0\.hook_resid_post"'):
        tiny_subject.check_hook("blocks.0.hook_resid_pots")
