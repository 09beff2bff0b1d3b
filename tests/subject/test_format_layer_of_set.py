"""A layer of a set of transcoders by its number: local folders, folders on the hub, and sets that list other files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from autointerp.errors import InputError
from autointerp.subject.formats import check_path, load_dictionary, loading

D, N, LAYERS = 8, 14, 3
SET = {
    "model_name": "google/gemma-2-2b",
    "model_kind": "transcoder_set",
    "feature_input_hook": "ln2.hook_normalized",
    "feature_output_hook": "hook_mlp_out",
}


def normal(seed: int, *shape: int) -> torch.Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs() -> torch.Tensor:
    return torch.randn(40, D, generator=torch.Generator().manual_seed(3)) + 0.5


def write_set(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(LAYERS):
        held = {"W_enc": normal(i, N, D), "b_enc": normal(10 + i, N), "W_dec": normal(20 + i, N, D)}
        save_file(held | {"b_dec": normal(30 + i, D)}, folder / f"layer_{i}.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(SET))
    return folder


def write_clt(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for i in range(LAYERS):
        held = {f"W_enc_{i}": normal(i, N, D), f"b_enc_{i}": normal(10 + i, N), f"b_dec_{i}": normal(30 + i, D)}
        save_file(held, folder / f"W_enc_{i}.safetensors")
        save_file({f"W_dec_{i}": normal(20 + i, N, LAYERS - i, D)}, folder / f"W_dec_{i}.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(SET | {"model_kind": "cross_layer_transcoder"}))
    return folder


def write_scope(folder: Path, i: int) -> Path:
    """A file of Gemma Scope's layout, as sets list them."""
    folder.mkdir(parents=True)
    held = {"W_enc": normal(i, N, D).T, "b_enc": normal(10 + i, N), "W_dec": normal(20 + i, N, D)}
    held |= {"b_dec": normal(30 + i, D), "threshold": normal(40 + i, N).abs()}
    np.savez(folder / "params.npz", allow_pickle=False, **{name: value.numpy() for name, value in held.items()})
    return folder / "params.npz"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Addresses to places on this machine, in place of the hub; only these may be fetched."""
    held: dict[str, Path] = {}
    monkeypatch.setattr(loading, "fetch", lambda path: held[path])
    return held


def expected(i: int, threshold: bool) -> np.ndarray:
    pre = inputs().double().numpy() @ normal(i, N, D).double().numpy().T + normal(10 + i, N).double().numpy()
    limit = normal(40 + i, N).abs().double().numpy() if threshold else 0.0
    return np.where(pre > np.maximum(limit, 0.0), pre, 0.0)


@pytest.mark.parametrize("write", [write_set, write_clt])
@pytest.mark.parametrize("end", ["", "/"])
def test_a_layer_of_a_local_folder(write: Callable[[Path], Path], end: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "set")
    for i in range(LAYERS):
        path = f"{folder}{end}#{i}"
        check_path(path)
        sae = load_dictionary(path)
        assert (sae.hook, sae.source) == (f"blocks.{i}.ln2.hook_normalized", path)
        np.testing.assert_allclose(sae.encode(inputs()).numpy(), expected(i, False), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("mark", "revision"), [("", ""), ("@", "0a1b"), ("?revision=", "0a1b")])
def test_a_layer_of_a_folder_on_the_hub(mark: str, revision: str, hub: dict[str, Path], tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    address = f"hf://owner/repository/sub{mark}{revision}"
    hub[address] = folder
    file = "hf://owner/repository/sub/layer_2.safetensors" + (f"@{revision}" if revision else "")
    hub[file] = folder / "layer_2.safetensors"
    check_path(f"{address}#2")
    sae = load_dictionary(f"{address}#2")
    assert (sae.hook, sae.hook_out) == ("blocks.2.ln2.hook_normalized", "blocks.2.hook_mlp_out")
    np.testing.assert_allclose(sae.encode(inputs()).numpy(), expected(2, False), rtol=0, atol=1e-6)


def test_a_set_that_lists_files_of_another_repository(hub: dict[str, Path], tmp_path: Path) -> None:
    scope = "hf://google/gemma-scope-2b-pt-transcoders"
    listed = [f"{scope}/layer_{i}/width_16k/average_l0_76/params.npz?revision=main" for i in range(LAYERS)]
    folder = tmp_path / "gemma-scope-transcoders"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(SET | {"transcoders": listed}))
    hub["hf://owner/gemma-scope-transcoders"] = folder
    for i, address in enumerate(listed):
        hub[address] = write_scope(tmp_path / f"gemma-scope-2b-pt-transcoders/layer_{i}/width_16k/average_l0_76", i)
    for path in (f"{folder}#1", "hf://owner/gemma-scope-transcoders#1"):
        check_path(path)
        sae = load_dictionary(path)
        assert (sae.hook, sae.hook_out) == ("blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out")
        assert (sae.format, sae.source) == ("gemma_scope", path)
        np.testing.assert_allclose(sae.encode(inputs()).numpy(), expected(1, True), rtol=0, atol=1e-6)


def test_a_folder_whose_name_looks_so_means_itself(write_sae: Callable[..., Path], tmp_path: Path) -> None:
    assert load_dictionary(str(write_sae(tmp_path / "run#3"))).format == "saelens"


@pytest.mark.parametrize(
    ("config", "layer", "message"),
    [
        ({"transcoders": ["hf://a/b/c.npz"]}, 1, "config.yaml lists 1 layers, 0 to 0"),
        ({"transcoders": "hf://a/b"}, 0, "transcoders = 'hf://a/b'; it must be a list of addresses"),
        ({"transcoders": ["c.npz"]}, 0, 'lists "c.npz", which is no address on the hub'),
        ({"transcoders": ["hf://a"]}, 0, '"hf://a": a hub path is hf://owner/repository/folder'),
        ({}, LAYERS, "there is no file"),
    ],
)
def test_what_a_set_does_not_have(config: dict[str, Any], layer: int, message: str, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    (folder / "config.yaml").write_text(yaml.safe_dump(SET | config))
    for call in (check_path, load_dictionary):
        with pytest.raises(InputError) as caught:
            call(f"{folder}#{layer}")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is a file; #0 means a layer of a folder"):
        load_dictionary(f"{folder / 'layer_0.safetensors'}#0")
