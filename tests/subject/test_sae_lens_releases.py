"""Release names of SAELens's registry: its file is read, its package is not imported, and our readers do the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.formats import check_path, load_dictionary
from autointerp.subject.formats import loading as formats
from autointerp.subject.formats.sae_lens_releases import look_up

HOOK = "blocks.1.hook_resid_post"
REGISTRY = """
tiny-res-jb:
  config_overrides: { model_from_pretrained_kwargs: { center_writing_weights: true }, normalize_activations: none }
  conversion_func: null
  model: tiny
  repo_id: owner/saes
  saes:
  - { id: blocks.1.hook_resid_post, path: layer_1, l0: 12 }
  - { id: a/b, path: 2, norm_scaling_factor: 0.25 }
tiny-scaled:
  conversion_func: null
  model: tiny
  repo_id: owner/saes
  saes:
  - { id: one, path: layer_1, norm_scaling_factor: 0.25 }
  - { id: two, path: layer_2 }
scope:
  conversion_func: gemma_2
  model: gemma
  repo_id: google/gemma-scope-2b-pt-res
  saes:
  - { id: layer_1/width_16k/average_l0_9, path: layer_1/width_16k/average_l0_9 }
other:
  conversion_func: of_next_year
  model: qwen
  repo_id: owner/new
  saes:
  - { id: layer0, path: layer0.new }
temporal:
  conversion_func: temporal
  model: gemma
  repo_id: owner/temporal
  saes:
  - { id: one, path: layer_12/temporal }
gemma-3:
  conversion_func: gemma_3
  model: gemma
  repo_id: google/gemma-scope-2-1b-pt
  saes:
  - { id: layer_13_width_16k_l0_small, path: resid_post/layer_13_width_16k_l0_small }
transcoders:
  conversion_func: mwhanna_transcoder
  model: qwen
  repo_id: owner/transcoders
  saes:
  - { id: layer_3, path: layer_3.safetensors }
clt:
  conversion_func: mntss_clt_layer_transcoder
  model: gemma
  repo_id: owner/clt
  saes:
  - { id: layer_3, path: 3 }
qwen:
  conversion_func: qwen_scope
  model: qwen
  repo_id: Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_50
  saes:
  - { id: layer0, path: layer0.sae.pt }
goodfire:
  conversion_func: goodfire
  model: llama
  repo_id: Goodfire/Llama-3.1-8B-Instruct-SAE-l19
  saes:
  - { id: layer_19, path: Llama-3.1-8B-Instruct-SAE-l19.pth }
llama:
  conversion_func: llama_scope
  model: llama
  repo_id: fnlp/Llama3_1-8B-Base-LXR-8x
  saes:
  - { id: l0r_8x, path: Llama3_1-8B-Base-L0R-8x, norm_scaling_factor: 2.5 }
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package sae_lens that dies when it is imported, as the real one does beside TransformerLens 4."""
    package = tmp_path / "site" / "sae_lens"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('HookedTransformer')\n")
    (package / "pretrained_saes.yaml").write_text(REGISTRY)
    monkeypatch.syspath_prepend(str(package.parent))
    return package


@pytest.fixture
def hub(tmp_path: Path, write_sae: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Hub paths to local folders, in place of the hub."""

    def scaled(config: dict[str, Any], _weights: dict[str, Any]) -> None:
        config["normalize_activations"] = "expected_average_only_in"

    held = {
        "hf://owner/saes/layer_1": write_sae(tmp_path / "one", change=scaled),
        "hf://owner/saes/layer_2": write_sae(tmp_path / "two"),
    }
    monkeypatch.setattr(formats, "fetch", lambda path: held[path])
    return held


@pytest.mark.usefixtures("installed")
def test_a_name_says_where_the_files_are_and_who_reads_them() -> None:
    found = look_up("sae-lens:tiny-res-jb/a/b")
    assert (found.hub, found.format, found.scaling_factor) == ("hf://owner/saes/2", "saelens", 0.25)
    scope = look_up("sae-lens:scope/layer_1/width_16k/average_l0_9")
    assert scope.hub == "hf://google/gemma-scope-2b-pt-res/layer_1/width_16k/average_l0_9"
    assert scope.format == "gemma_scope"
    check_path("sae-lens:tiny-res-jb/blocks.1.hook_resid_post")
    assert "sae_lens" not in sys.modules


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("path", "hub", "format"),
    [
        (
            "gemma-3/layer_13_width_16k_l0_small",
            "hf://google/gemma-scope-2-1b-pt/resid_post/layer_13_width_16k_l0_small",
            "gemma_scope_2",
        ),
        ("transcoders/layer_3", "hf://owner/transcoders/layer_3.safetensors", "circuit_tracer"),
        ("clt/layer_3", "hf://owner/clt/W_enc_3.safetensors", "cross_layer"),
        ("qwen/layer0", "hf://Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_50/layer0.sae.pt", "qwen_scope"),
        (
            "goodfire/layer_19",
            "hf://Goodfire/Llama-3.1-8B-Instruct-SAE-l19/Llama-3.1-8B-Instruct-SAE-l19.pth",
            "state_dict",
        ),
        ("llama/l0r_8x", "hf://fnlp/Llama3_1-8B-Base-LXR-8x/Llama3_1-8B-Base-L0R-8x", "llama_scope"),
    ],
)
def test_families_lead_to_a_file_and_a_reader(path: str, hub: str, format: str) -> None:
    found = look_up(f"sae-lens:{path}")
    assert (found.hub, found.format) == (hub, format)
    check_path(f"sae-lens:{path}")


@pytest.mark.usefixtures("installed")
def test_what_a_loader_holds_in_its_code_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {
        "encoder_linear.weight": torch.randn(12, 8, generator=generator),
        "encoder_linear.bias": torch.randn(12, generator=generator),
        "decoder_linear.weight": torch.randn(8, 12, generator=generator),
        "decoder_linear.bias": torch.randn(8, generator=generator),
    }
    file = tmp_path / "Llama-3.1-8B-Instruct-SAE-l19.pth"
    torch.save(weights, file)
    monkeypatch.setattr(formats, "fetch", lambda _path: file)
    sae = load_dictionary("sae-lens:goodfire/layer_19")
    assert (sae.hook, sae.activation, sae.subtract_b_dec) == ("blocks.19.hook_resid_post", "relu", False)
    x = torch.randn(9, 8, generator=generator)
    expected = (x @ weights["encoder_linear.weight"].T + weights["encoder_linear.bias"]).relu()
    torch.testing.assert_close(sae.encode(x), expected)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sae-lens:tiny-res-bj/a/b", 'no release "tiny-res-bj"; the nearest is "tiny-res-jb"'),
        ("sae-lens:tiny-scaled/onee", 'the release "tiny-scaled" has no "onee"; the nearest is "one"'),
        (
            "sae-lens:other/layer0",
            'SAELens\'s loader "of_next_year", which is not read; circuit_tracer, cross_layer',
        ),
        ("sae-lens:tiny-scaled", "is sae-lens:RELEASE/ID"),
        ("sae-lens:temporal/one", "temporal SAEs are not read: their features depend on the earlier tokens"),
    ],
)
def test_what_is_not_there_or_not_read_is_said(path: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_path(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_registry_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InputError, match="not installed; pip install --no-deps sae-lens"):
        look_up("sae-lens:tiny-scaled/one")


@pytest.mark.usefixtures("installed")
def test_the_registry_overrides_the_files(hub: dict[str, Path]) -> None:
    sae = load_dictionary("sae-lens:tiny-res-jb/blocks.1.hook_resid_post")
    plain = load_dictionary(str(hub["hf://owner/saes/layer_1"]))
    assert (plain.processing, sae.processing) == (None, "folded")
    assert sae.config["normalize_activations"] == "none"
    assert sae.source == "sae-lens:tiny-res-jb/blocks.1.hook_resid_post"
    assert sae.hook == HOOK


@pytest.mark.usefixtures("installed")
def test_the_scaling_factor_is_folded_and_recorded(hub: dict[str, Path]) -> None:
    """As in SAELens: the dictionary of scaled activations, run on activations as they are."""
    plain = load_dictionary(str(hub["hf://owner/saes/layer_1"]))
    sae = load_dictionary("sae-lens:tiny-scaled/one")
    assert sae.config["norm_scaling_factor_folded"] == 0.25
    x = torch.randn(50, sae.d_in, generator=torch.Generator().manual_seed(0))
    # SAELens scales x before b_dec is subtracted, and b_dec with it
    unshifted = (x - sae.b_dec) * 0.25 @ plain.W_enc + plain.b_enc
    torch.testing.assert_close(sae.encode(x.clone()), unshifted.relu())
    torch.testing.assert_close(sae.encode(4 * x), plain.encode(x.clone()), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sae.directions, plain.directions * 4)
    two = load_dictionary("sae-lens:tiny-scaled/two")
    assert "norm_scaling_factor_folded" not in two.config
