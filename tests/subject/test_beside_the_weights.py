"""Files beside the weights: applied, known, or refused by name; and weights whose file is cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from autointerp.errors import InputError
from autointerp.subject.fit import decode
from autointerp.subject.formats import hub, load_dictionary
from autointerp.subject.formats.safetensors_file import SafetensorsFile

WriteSae = Callable[..., Path]


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


# --- activation_scaler.json -------------------------------------------------------------------------


@pytest.mark.parametrize("as_file", [False, True])
def test_the_scaler_of_a_checkpoint_is_folded(as_file: bool, write_sae: WriteSae, tmp_path: Path) -> None:
    plain = load_dictionary(str(write_sae(tmp_path / "plain")))
    folder = write_sae(tmp_path / "sae", normalize_activations="expected_average_only_in")
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 0.25, "has_whitening": False}))
    sae = load_dictionary(str(folder / "sae_weights.safetensors" if as_file else folder))
    x = 4 * torch.randn(30, sae.d_in, generator=torch.Generator().manual_seed(0))
    expected = plain.encode(0.25 * x)  # training multiplies the activation, and divides what is decoded
    assert (expected > 0).any()
    torch.testing.assert_close(sae.encode(x.clone()), expected, rtol=1e-4, atol=1e-5)
    rebuilt = decode(plain, expected, 0.25 * x) / 0.25
    torch.testing.assert_close(decode(sae, expected, x), rebuilt, rtol=1e-4, atol=1e-4)
    assert sae.config["norm_scaling_factor_folded"] == 0.25


def test_a_scaler_that_is_folded_already_changes_nothing(write_sae: WriteSae, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae", normalize_activations="expected_average_only_in")
    before = load_dictionary(str(folder))
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": None, "has_whitening": False}))
    torch.testing.assert_close(load_dictionary(str(folder)).W_enc, before.W_enc, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("activation_scaler.json", {"scaling_factor": None, "has_whitening": True}, "the weights are of whitened"),
        ("activation_scaler.json", {"scaling_factor": "x"}, "scaling_factor = 'x'; it must be a number"),
        ("activation_scaler.json", {"scaling_factor": -1}, "scaling_factor = -1.0; it must be positive"),
        ("activation_scaler.json", [1], "does not hold a configuration"),
        ("activation_whitening.safetensors", {}, "the weights are of whitened activations, as training leaves them"),
    ],
)
def test_a_scaler_that_cannot_be_applied(
    name: str, content: Any, message: str, write_sae: WriteSae, tmp_path: Path
) -> None:
    folder = write_sae(tmp_path / "sae")
    (folder / name).write_text(json.dumps(content))
    assert message in refusal(folder)
    assert message in refusal(folder / "sae_weights.safetensors")


# --- files that nobody knows ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mean.npy", "scale.json", "norms.safetensors", "extra.yaml", "whitening.pt"])
def test_an_unknown_file_is_refused_by_its_name(name: str, write_sae: WriteSae, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae")
    (folder / name).write_bytes(b"{}")
    assert refusal(folder) == (
        f'"{folder}": beside the weights lies "{name}", of which the format saelens knows nothing: it may change what '
        "they mean; to read the weights without it, let path name their file"
    )
    assert load_dictionary(str(folder / "sae_weights.safetensors")).format == "saelens"


@pytest.mark.parametrize(
    "name",
    [
        "README.md", ".gitattributes", ".cache.json", "LICENSE", "loss.png", "log.txt", "optimizer_0.pt",
        "optimizer_state.safetensors", "lr_scheduler.pt", "trainer_state.pt", "rng_state.pth", "training_args.bin",
        "eval_results.json", "core_results.json", "metrics.json", "wandb-config.yaml", "sparsity.safetensors",
        "runner_cfg.json", "activations_store_state.safetensors", "config.json", "params.npz",
    ],
)  # fmt: skip
def test_files_that_change_nothing_are_passed_over(name: str, write_sae: WriteSae, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae")
    before = load_dictionary(str(folder)).W_enc
    (folder / name).write_bytes(b"{}")
    (folder / "folder.json").mkdir()
    assert torch.equal(load_dictionary(str(folder), format="saelens").W_enc, before)


def test_a_folder_of_checkpoints_names_them(write_sae: WriteSae, tmp_path: Path) -> None:
    for step in range(6):
        write_sae(tmp_path / "runs" / f"{step}000")
    (tmp_path / "runs" / "logs").mkdir()
    said = refusal(tmp_path / "runs")
    assert said.endswith(
        'holds "0000", "1000", "2000", "3000" and 2 more, and is no dictionary itself; let path name one of them'
    )


def test_an_activation_that_the_architecture_does_not_say(write_sae: WriteSae, tmp_path: Path) -> None:
    """Its values would be others than those of the library that wrote it."""
    folder = write_sae(tmp_path / "sae")
    config = json.loads((folder / "cfg.json").read_text())
    for architecture in ("jumprelu", "topk", "standard"):
        config |= {"architecture": architecture, "activation_fn": "abstopk", "k": 3}
        (folder / "cfg.json").write_text(json.dumps(config))
        assert "activation_fn" in refusal(folder)


def test_settings_of_the_same_name_as_a_file(write_sae: WriteSae, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae")
    (folder / "sae_weights_scale.json").write_text("{}")
    assert 'beside the weights lies "sae_weights_scale.json"' in refusal(folder / "sae_weights.safetensors")


def test_the_settings_of_another_program_beside_a_pt(tmp_path: Path) -> None:
    held = {"encoder.weight": torch.ones(4, 3), "encoder.bias": torch.ones(4)}
    held |= {"decoder.weight": torch.ones(3, 4), "decoder.bias": torch.ones(3)}
    torch.save(held, tmp_path / "gpt2-small_L0.pt")
    (tmp_path / "gpt2-small_L0_scale.json").write_text("{}")
    said = refusal(tmp_path / "gpt2-small_L0.pt", hook="blocks.0.attn.hook_z", activation="relu")
    assert 'beside the weights lies "gpt2-small_L0_scale.json", of which the format state_dict knows nothing' in said


def test_temporal_saes_are_known_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "conf.yaml").write_text("sae: {}")
    save_file({"D": torch.ones(3, 3)}, tmp_path / "latest_ckpt.safetensors")
    said = refusal(tmp_path)
    assert said.endswith(
        "temporal SAEs are not read: their features depend on the earlier tokens of a text, not on one activation"
    )


def test_a_file_on_the_hub_that_is_not_fetched(
    write_sae: WriteSae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    from autointerp.subject.formats import loading

    folder = write_sae(tmp_path / "sae")
    names = ["sae/cfg.json", "sae/sae_weights.safetensors", "sae/README.md", "other/scale.json", "scale.json"]
    held = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_info", lambda _repository, _revision: held)
    monkeypatch.setattr(loading, "fetch", lambda _path: folder)
    assert load_dictionary("hf://owner/repository/sae").format == "saelens"
    held.siblings.append(SimpleNamespace(rfilename="sae/scale.npy"))
    with pytest.raises(InputError, match=r'beside the weights lies "scale\.npy"'):
        load_dictionary("hf://owner/repository/sae")


# --- a file of weights that is cut ------------------------------------------------------------------


def test_a_cut_file_is_said_before_it_is_read(write_sae: WriteSae, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae")
    file = folder / "sae_weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    assert refusal(folder).endswith("sae_weights.safetensors is damaged: it is cut short by 7 bytes")
    for damaged in (b"", whole[:5], whole[:40], whole + b"more", b"\xff" * 64, b"\x02" + bytes(7) + b"[]"):
        file.write_bytes(damaged)
        assert "sae_weights.safetensors is damaged: " in refusal(folder)


def test_weights_outlive_their_file(write_sae: WriteSae, tmp_path: Path) -> None:
    """A mapped file that is cut would end the process with SIGBUS when its weights are next looked at."""
    folder = write_sae(tmp_path / "sae", d_sae=4096)
    sae = load_dictionary(str(folder))
    before = sae.W_enc.clone()
    with (folder / "sae_weights.safetensors").open("r+b") as file:
        file.truncate(0)
    assert torch.equal(sae.W_enc, before)


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(100), "b": torch.ones(100)}, file)
    opened = SafetensorsFile(file, "p")
    with file.open("r+b") as content:
        content.truncate(600)
    with pytest.raises(InputError, match=r'^"p": a\.safetensors was cut short while it was read$'):
        opened.read("b")


@pytest.mark.parametrize("block", [1, 40, 1 << 20])
def test_blocks_are_the_tensor(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = {
        "matrix": torch.randn(7, 5), "half": torch.randn(4, 3, 2).half(), "brain": torch.randn(3).bfloat16(),
        "one": torch.tensor(2.0), "none": torch.zeros(0, 4), "whole": torch.arange(5),
    }  # fmt: skip
    save_file(held, tmp_path / "a.safetensors")
    monkeypatch.setattr("autointerp.subject.formats.safetensors_file.BLOCK_BYTES", block)
    file = SafetensorsFile(tmp_path / "a.safetensors", "p")
    assert file.names == sorted(held)
    for name, value in held.items():
        assert file.shape(name) == tuple(value.shape)
        assert torch.equal(file.read(name), value)
        if value.ndim:
            assert torch.equal(torch.cat(list(file.blocks(name))), value)
