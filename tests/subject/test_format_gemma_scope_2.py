"""Gemma Scope 2: `encode` against its definition written out, hook points from config.json or names, every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.fit import decode
from autointerp.subject.formats import load_dictionary

D, N, D_OUT = 8, 14, 6


def inputs(n: int = 40) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 0.5


def weights(d_out: int = D, skip: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)

    def normal(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    held = {
        "w_enc": normal(D, N), "b_enc": normal(N), "w_dec": normal(N, d_out), "b_dec": normal(d_out),
        "threshold": normal(N).abs(),
    }  # fmt: skip
    return held | ({"affine_skip_connection": normal(D, d_out)} if skip else {})


def write(folder: Path, held: dict[str, Any], config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value for name, value in held.items() if value is not None}, folder / "params.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps({"architecture": "jump_relu", **config}))
    return folder


def slow_encode(held: dict[str, torch.Tensor]) -> np.ndarray:
    """The definition, one token and one feature at a time."""
    w = {name: value.double().numpy() for name, value in held.items()}
    found = np.zeros((len(inputs()), N))
    for row, token in enumerate(inputs().double().numpy()):
        for f in range(N):
            pre = sum(token[i] * w["w_enc"][i, f] for i in range(D)) + w["b_enc"][f]
            found[row, f] = max(0.0, pre) if pre > w["threshold"][f] else 0.0
    return found


def check(sae: SparseAutoencoder, held: dict[str, torch.Tensor]) -> None:
    expected = slow_encode(held)
    assert 0.02 < (expected > 0).mean() < 0.9, "the twin must see both firing and silence"
    np.testing.assert_allclose(sae.encode(inputs()).numpy(), expected, rtol=0, atol=1e-6)
    assert (sae.format, sae.processing, sae.subtract_b_dec) == ("gemma_scope_2", "raw", False)
    np.testing.assert_array_equal(sae.directions.numpy(), held["w_dec"].numpy())


@pytest.mark.parametrize("all_of_them", ["", "_all"])
@pytest.mark.parametrize(
    ("site", "hook"),
    [
        ("resid_post", "blocks.12.hook_resid_post"),
        ("attn_out", "blocks.12.attn.hook_z"),
        ("mlp_out", "blocks.12.hook_mlp_out"),
        ("transcoder", "blocks.12.mlp.hook_in"),
    ],
)
def test_site_and_layer_are_in_the_names(site: str, hook: str, all_of_them: str, tmp_path: Path) -> None:
    name = "layer_12_width_262k_l0_medium" + ("_seed_1" if site == "resid_post" else "")
    folder = tmp_path / "gemma-scope-2-1b-pt" / f"{site}{all_of_them}" / name
    sae = load_dictionary(str(write(folder, weights())))
    check(sae, weights())
    transcodes = site == "transcoder"
    assert (sae.hook, sae.hook_out) == (hook, "blocks.12.hook_mlp_out" if transcodes else None)
    assert sae.kind == ("transcoder" if transcodes else "sae")


@pytest.mark.parametrize(
    ("module", "out", "hook", "hook_out"),
    [
        ("model.layers.12.output", "model.layers.12.output", "blocks.12.hook_resid_post", None),
        ("model.layers.12.self_attn.o_proj.input", None, "blocks.12.attn.hook_z", None),
        ("model.layers.12.post_feedforward_layernorm.output", None, "blocks.12.hook_mlp_out", None),
        (
            "model.layers.12.pre_feedforward_layernorm.output",
            "model.layers.12.post_feedforward_layernorm.output",
            "blocks.12.mlp.hook_in",
            "blocks.12.hook_mlp_out",
        ),
    ],
)
def test_config_names_a_module_of_hugging_face(
    module: str, out: str | None, hook: str, hook_out: str | None, tmp_path: Path
) -> None:
    config = {"hf_hook_point_in": module, "hf_hook_point_out": out, "width": N, "l0": 7, "type": "sae"}
    sae = load_dictionary(str(write(tmp_path / "any", weights(), config)))
    check(sae, weights())
    assert (sae.hook, sae.hook_out) == (hook, hook_out)


def test_an_affine_transcoder_adds_its_skip_when_it_decodes(tmp_path: Path) -> None:
    held = weights(D_OUT, skip=True)
    folder = tmp_path / "transcoder_all" / "layer_3_width_16k_l0_small_affine"
    sae = load_dictionary(str(write(folder, held)))
    check(sae, held)  # no part of the activations
    assert (sae.hook, sae.hook_out) == ("blocks.3.mlp.hook_in", "blocks.3.hook_mlp_out")
    acts = sae.encode(inputs())
    expected = acts @ held["w_dec"] + held["b_dec"] + inputs() @ held["affine_skip_connection"]
    torch.testing.assert_close(decode(sae, acts, inputs()), expected)


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


@pytest.mark.parametrize(
    ("folder", "config", "message"),
    [
        (
            "layer_3_width_16k",
            None,
            "no folder tells the site (resid_post, attn_out, mlp_out or transcoder); give hook",
        ),
        ("resid_post/width_16k", None, "no folder tells the layer (layer_12_...); give hook"),
        ("resid_post/layer_3", {"architecture": "topk"}, 'architecture = "topk" is not read'),
        ("resid_post/layer_3", {"width": 3}, "config.json has width = 3, but the weights say 14"),
        (
            "resid_post/layer_3",
            {"hf_hook_point_in": "model.layers.4.output"},
            'a module of "blocks.4.hook_resid_post", the folder layer 3; give hook',
        ),
        (
            "resid_post/layer_3",
            {"hf_hook_point_in": "model.vision.layers.3"},
            'hf_hook_point_in = "model.vision.layers.3", a module that has no hook point here',
        ),
        (
            "gemma-scope-2-1b-pt/crosscoder/layer_3",
            None,
            "crosscoders of Gemma Scope 2 are not read: they read several",
        ),
        ("gemma-scope-2-1b-pt/clt/layer_3", None, "cross-layer transcoders of Gemma Scope 2 are not read"),
    ],
)
def test_what_is_not_read(folder: str, config: dict[str, Any] | None, message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path / folder, weights(), config))


def test_weights_that_lack_or_do_not_fit(tmp_path: Path) -> None:
    held = weights()
    for name, value, message in (
        ("threshold", None, 'have no "threshold"'),
        ("w_dec", torch.ones(N, 3, D), '"w_dec" has shape (14, 3, 8); the encoder says 14 x 8'),
        ("affine_skip_connection", torch.ones(D, D), 'the weights hold "affine_skip_connection"'),
    ):
        folder = write(tmp_path / name / "resid_post" / "layer_3", held | {name: value})
        assert message in refusal(folder)
    lacking = write(tmp_path / "transcoder" / "layer_3", held, {"affine_connection": True})
    assert 'have no "affine_skip_connection"' in refusal(lacking)
