"""What a model's folder holds beside or instead of plain weights: refused by name, or said; never overlooked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from autointerp.errors import InputError
from autointerp.pointers import pointer_line
from autointerp.subject.formats.loading import load_dictionary
from autointerp.subject.loading import load_subject
from autointerp.subject.sources import open_source

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def changed(folder: Path, weights: Callable[[dict[str, torch.Tensor]], None] = lambda _: None, **config: Any) -> Path:
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | config))
    held = load_file(folder / "model.safetensors")
    weights(held)
    save_file({name: tensor.contiguous() for name, tensor in held.items()}, folder / "model.safetensors")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_subject(str(folder), None, "raw", "float32", "cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_adapter_beside_the_weights_is_not_left_out(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))
    assert "holds an adapter (adapter_config.json)" in refusal(folder)


def test_layers_that_the_configuration_does_not_have(folder: Path) -> None:
    said = refusal(changed(folder, n_layer=2))
    assert 'has no place for, e.g. "transformer.h.2.' in said
    assert said.endswith("correct the number of layers")


@pytest.mark.parametrize(
    "name", ["mlp.c_fc.weight_scale_inv", "mlp.c_fc.qweight", "mlp.c_fc.weight.absmax", "attn.c_attn.lora_A.weight"]
)
def test_scales_of_a_quantisation_that_nobody_states(name: str, folder: Path) -> None:
    changed(folder, lambda held: held.update({f"transformer.h.0.{name}": torch.ones(2)}))
    assert f'is quantised, and config.json does not say so: "transformer.h.0.{name}"' in refusal(folder)


@pytest.mark.parametrize(
    ("quantisation", "said"),
    [
        ({"quant_method": "nonsense"}, 'in a way that transformers does not know ("nonsense")'),
        ({"bits": 4}, 'in a way that transformers does not know ("None")'),
        ({"quant_method": "gptq", "bits": 4}, "cannot be loaded"),
    ],
)
def test_quantised_models(quantisation: dict[str, Any], said: str, folder: Path) -> None:
    assert said in refusal(changed(folder, quantization_config=quantisation))


def test_what_transformers_unpacks_is_of_the_asked_type(folder: Path) -> None:
    plain = load_subject(str(folder), None, "raw", "float32", "cpu")
    half = {"quant_method": "fp8", "weight_block_size": [16, 16]}
    changed(folder, lambda held: held.update({n: v.half() for n, v in held.items()}), quantization_config=half)
    unpacked = load_subject(str(folder), None, "raw", "float32", "cpu")
    tokens = torch.arange(12)[None]
    hook = "blocks.1.hook_resid_post"
    expected, found = (one.activations(tokens, [hook])[hook] for one in (plain, unpacked))
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_other_weights_without_a_place_are_said(folder: Path) -> None:
    changed(folder, lambda held: held.update({"v_head.summary.weight": torch.ones(1, 4)}))
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    assert subject.differences[0] == (
        "weights: 1 in the files have no place in the model and are left out, e.g. v_head.summary.weight"
    )


@pytest.mark.parametrize("file", ["tekken.json", "tokenizer.model.v3", "qwen.tiktoken"])
def test_the_tokenizer_of_another_program(file: str, folder: Path) -> None:
    (folder / file).write_text("{}" + " " * 2000)
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    advice = f"; its {file} is not read here: put the tokenizer.json of the model's Hugging Face form beside it"
    assert subject.differences[0].endswith(advice)
    with pytest.raises(InputError) as caught:
        subject.encode_texts(["a"])
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_clone_without_its_large_files(file: str, folder: Path) -> None:
    (folder / file).write_bytes(POINTER)
    assert refusal(folder).endswith(f"{file} says only where its content lies: fetch it first (git lfs pull)")


def test_dictionaries_and_texts_of_such_a_clone(write_sae: Callable[..., Path], tmp_path: Path) -> None:
    sae = write_sae(tmp_path / "sae")
    (sae / "sae_weights.safetensors").write_bytes(POINTER)
    (tmp_path / "a.pt").write_bytes(POINTER)
    (tmp_path / "a.jsonl").write_bytes(b"/annex/objects/SHA256E-s1--x.jsonl\n")
    for path in (sae, tmp_path / "a.pt"):
        with pytest.raises(InputError, match=r"says only where its content lies: fetch it first \(git lfs pull\)"):
            load_dictionary(str(path), hook="blocks.1.hook_resid_post")
    for source in (f"jsonl:{tmp_path / 'a.jsonl'}#text", f"text:{tmp_path / 'a.jsonl'}"):
        with pytest.raises(InputError, match=r"fetch it first \(git annex get .\)"):
            list(open_source(source).documents())
    assert pointer_line(tmp_path) is None
    (tmp_path / "long").write_bytes(POINTER + b"text" * 1000)
    assert pointer_line(tmp_path / "long") is None
