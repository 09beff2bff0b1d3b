"""EleutherAI sparsify: `encode` against its definition written out, hook points from folders, and every refusal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary

D, N, K = 8, 16, 4
Change = Callable[[dict[str, Any], dict[str, Any]], None]


def inputs(n: int = 40) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 0.3


def write(folder: Path, change: Change | None = None, **config: Any) -> Path:
    """What `save_to_disk` leaves: all of the config with d_in, and the weights as the module holds them."""
    generator = torch.Generator().manual_seed(5)
    weights = {
        "encoder.weight": 0.3 * torch.randn(N, D, generator=generator),
        "encoder.bias": 0.3 * torch.randn(N, generator=generator),
        "W_dec": torch.randn(N, D, generator=generator),
        "b_dec": 0.5 * torch.randn(D, generator=generator),
    }
    config = {
        "activation": "topk",
        "expansion_factor": 2,
        "normalize_decoder": True,
        "num_latents": 0,
        "k": K,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": D,
        **config,
    }
    if config["skip_connection"]:
        weights["W_skip"] = torch.randn(D, D, generator=generator)
    if change is not None:
        change(config, weights)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config))
    save_file(weights, folder / "sae.safetensors")
    return folder


def slow_encode(folder: Path, x: torch.Tensor) -> np.ndarray:
    """The definition, one token and one feature at a time."""
    from safetensors.torch import load_file

    config = json.loads((folder / "cfg.json").read_text())
    w = {name: value.double().numpy() for name, value in load_file(folder / "sae.safetensors").items()}
    found = np.zeros((len(x), N))
    for row, token in enumerate(x.double().numpy()):
        v = token if config.get("transcode") else token - w["b_dec"]
        acts = [
            max(0.0, sum(v[i] * w["encoder.weight"][f, i] for i in range(D)) + w["encoder.bias"][f]) for f in range(N)
        ]
        if config.get("activation", "topk") == "topk":
            kept = sorted(range(N), key=lambda f: -acts[f])[: config["k"]]
        else:
            size = N // config["k"]
            groups = [range(first, first + size) for first in range(0, N, size)]
            kept = [max(group, key=lambda f: acts[f]) for group in groups]
        found[row, kept] = [acts[f] for f in kept]
    return found


def check(folder: Path, **given: Any) -> SparseAutoencoder:
    expected = slow_encode(folder, inputs())
    assert 0.02 < (expected > 0).mean() < 0.9, "the twin must see both firing and silence"
    sae = load_dictionary(str(folder), **given)
    np.testing.assert_allclose(sae.encode(inputs()).numpy(), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(sae.encode(inputs()).numpy() > 0, expected > 0)
    value, feature = sae.encode_top(inputs()) or (None, None)
    assert value is not None
    assert feature is not None
    torch.testing.assert_close(torch.zeros(len(value), N).scatter_(1, feature, value), sae.encode(inputs()))
    return sae


@pytest.mark.parametrize("activation", ["topk", "groupmax"])
@pytest.mark.parametrize("normalize_decoder", [True, False])
@pytest.mark.parametrize("transcode", [True, False])
def test_encode_is_the_definition(activation: str, normalize_decoder: bool, transcode: bool, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "layers.6", activation=activation, normalize_decoder=normalize_decoder, transcode=transcode
    )
    sae = check(folder)
    assert (sae.d_in, sae.n_features, sae.format) == (D, N, "sparsify")
    assert sae.activation == f"{activation} (k = {K})"
    other = write(tmp_path / "other" / "layers.6", activation=activation, transcode=not transcode)
    assert not np.allclose(slow_encode(folder, inputs()), slow_encode(other, inputs())), "b_dec must matter"


def test_the_decoder_is_not_transposed(tmp_path: Path) -> None:
    sae = check(write(tmp_path / "layers.6"))
    torch.testing.assert_close(sae.directions, sae.W_dec, rtol=0, atol=0)
    assert sae.directions.shape == (N, D)


@pytest.mark.parametrize("groups", [1, 2, 8, 16])
def test_groups_of_every_size(groups: int, tmp_path: Path) -> None:
    folder = write(tmp_path / "layers.6", activation="groupmax", k=groups)
    found = load_dictionary(str(folder)).encode(inputs())
    np.testing.assert_allclose(found.numpy(), slow_encode(folder, inputs()), rtol=0, atol=1e-6)
    assert (found > 0).sum(dim=1).max() <= groups


def test_files_of_the_first_versions(tmp_path: Path) -> None:
    """cfg.json of EleutherAI/sae-pythia-70m-32k and sae-llama-3-8b-32x, but for the sizes."""

    def age(config: dict[str, Any], _weights: dict[str, Any]) -> None:
        config.clear()
        config |= {"expansion_factor": 2, "normalize_decoder": True, "k": K, "signed": False, "d_in": D}

    check(write(tmp_path / "layers.6", age))
    check(write(tmp_path / "layers.7", num_latents=N, expansion_factor=32))


# --- the hook ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "hook"),
    [
        ("layers.6", "blocks.6.hook_resid_post"),
        ("layers_11", "blocks.11.hook_resid_post"),
        ("h.3", "blocks.3.hook_resid_post"),
        ("h.3.mlp", "blocks.3.mlp.hook_out"),
        ("h.3.attn", "blocks.3.attn.hook_out"),
        ("layers.0.mlp", "blocks.0.mlp.hook_out"),
        ("layers.0.attention", "blocks.0.attn.hook_out"),
        ("layers.12.self_attn", "blocks.12.attn.hook_out"),
        ("model.layers.12", "blocks.12.hook_resid_post"),
        ("gpt_neox.layers.12.mlp", "blocks.12.mlp.hook_out"),
        ("transformer.h.5", "blocks.5.hook_resid_post"),
        ("embed_tokens", "hook_embed"),
        ("layers.6/seed1", "blocks.6.hook_resid_post"),
    ],
)
def test_the_hook_is_the_folder_s_name(folder: str, hook: str, tmp_path: Path) -> None:
    sae = check(write(tmp_path / folder))
    assert (sae.hook, sae.hook_out, sae.kind) == (hook, None, "sae")
    assert sae.config["hookpoint"] == folder.partition("/")[0]
    assert load_dictionary(str(tmp_path / folder / "sae.safetensors")).hook == hook
    assert check(tmp_path / folder, hook="blocks.1.hook_mlp_out").hook == "blocks.1.hook_mlp_out"


@pytest.mark.parametrize(
    "folder", ["my_sae", "layers", "layers.x", "layers.3.mlp.act_fn", "layers.3.mlp.up_proj", "h3"]
)
def test_a_folder_that_tells_nothing_needs_a_hook(folder: str, tmp_path: Path) -> None:
    written = write(tmp_path / folder)
    assert f'the folder\'s name ("{folder}") is no hook point' in refusal(written)
    assert check(written, hook="blocks.1.hook_mlp_out").hook == "blocks.1.hook_mlp_out"


@pytest.mark.parametrize(
    "config",
    [{"transcode": True}, {"skip_connection": True}, {"transcode": True, "skip_connection": True}],
)
def test_transcoders_read_the_module_s_input(config: dict[str, Any], tmp_path: Path) -> None:
    """A skip connection makes a transcoder of it; before 2025-02 cfg.json had no `transcode`."""
    sae = check(write(tmp_path / "layers.5.mlp", **config))
    assert (sae.hook, sae.hook_out, sae.kind) == ("blocks.5.mlp.hook_in", "blocks.5.mlp.hook_out", "transcoder")
    assert (sae.W_skip is not None) == config.get("skip_connection", False)


def test_the_run_s_settings_tell_an_old_transcoder(tmp_path: Path) -> None:
    folder = write(tmp_path / "layers.5.mlp")
    assert check(folder).kind == "sae"
    (tmp_path / "config.json").write_text(json.dumps({"sae": {"k": K}, "transcode": True, "batch_size": 8}))
    sae = check(folder)  # and b_dec is subtracted as it was then
    assert (sae.hook, sae.kind) == ("blocks.5.mlp.hook_in", "transcoder")


def test_it_was_trained_on_the_plain_model(tmp_path: Path) -> None:
    sae = check(write(tmp_path / "layers.5"))
    assert (sae.processing, sae.config["processing"]) == ("raw", "raw")


# --- refusals ---------------------------------------------------------------------------------------


def refusal(folder: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(folder), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{folder}"')
    return message


def weight(name: str, value: Any) -> Change:
    def change(_config: dict[str, Any], weights: dict[str, Any]) -> None:
        if value is None:
            del weights[name]
        elif isinstance(value, float):
            weights[name].view(-1)[-1] = value
        else:
            weights[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (None, {"activation": "batchtopk"}, 'activation = "batchtopk" is not read; the nearest is "topk"'),
        (
            None,
            {"signed": True, "activation": "groupmax"},
            'signed = true with activation = "groupmax"; only topk has both',
        ),
        (None, {"d_in": None}, "cfg.json has d_in = None; it must be an integer"),
        (None, {"k": "4"}, "cfg.json has k = '4'; it must be an integer"),
        (None, {"k": 0}, "k = 0 does not fit a TopK of width 16"),
        (None, {"k": 17}, "k = 17 does not fit"),
        (None, {"k": 5, "activation": "groupmax"}, "16 features cannot be cut into k = 5 groups"),
        (None, {"expansion_factor": None}, "cfg.json has expansion_factor = None; it must be an integer"),
        (None, {"num_latents": 15}, '"encoder.weight" has shape (16, 8); the config says 15 x 8'),
        (weight("b_dec", None), {}, 'have no "b_dec"; there are W_dec, encoder.bias, encoder.weight'),
        (weight("W_dec", None), {}, 'have no "W_dec"'),
        (weight("W_dec", torch.ones(D, N)), {}, '"W_dec" has shape (8, 16); the config says 16 x 8'),
        (weight("W_skip", None), {"skip_connection": True}, 'have no "W_skip"'),
        (weight("W_skip", torch.ones(D, D)), {}, 'the weights hold "W_skip", of which this format knows nothing'),
        (weight("encoder.weight", math.nan), {}, '"encoder.weight" holds NaN or infinite weights'),
        (weight("W_dec", math.inf), {}, '"W_dec" holds NaN or infinite weights'),
        (weight("b_dec", torch.ones(D, dtype=torch.int32)), {}, '"b_dec" holds torch.int32'),
    ],
)
def test_what_cannot_be_read_is_named(
    change: Change | None, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert message in refusal(write(tmp_path / "layers.6", change, **config))


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "layers.6")
    whole = (folder / "sae.safetensors").read_bytes()
    for n in (0, 5, len(whole) // 2, len(whole) - 1):
        (folder / "sae.safetensors").write_bytes(whole[:n])
        assert "sae.safetensors is damaged" in refusal(folder)
    (folder / "sae.safetensors").write_bytes(whole)
    for text in ("{", "[1]", "\xff"):
        (folder / "cfg.json").write_bytes(text.encode("latin-1"))
        assert "cfg.json" in refusal(folder)
    (folder / "cfg.json").unlink()
    assert "has no cfg.json: not a dictionary in sparsify's format" in refusal(folder)
    write(tmp_path / "layers.6")
    (tmp_path / "config.json").write_text("{")
    assert "config.json is not JSON" in refusal(folder)
