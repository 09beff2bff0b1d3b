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
  conversion_func: qwen_scope
  model: qwen
  repo_id: Qwen/SAE
  saes:
  - { id: layer0, path: layer0.sae.pt }
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
    ("path", "message"),
    [
        ("sae-lens:tiny-res-bj/a/b", 'no release "tiny-res-bj"; the nearest is "tiny-res-jb"'),
        ("sae-lens:tiny-scaled/onee", 'the release "tiny-scaled" has no "onee"; the nearest is "one"'),
        (
            "sae-lens:other/layer0",
            'SAELens\'s loader "qwen_scope", which is not read; dictionary_learning, gemma_scope',
        ),
        ("sae-lens:tiny-scaled", "is sae-lens:RELEASE/ID"),
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
