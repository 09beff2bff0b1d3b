"""circuit-tracer's sets and cross-layer transcoders: `encode` against the definition, hook points, every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from autointerp.errors import InputError
from autointerp.subject.fit import decode
from autointerp.subject.formats import load_dictionary, safetensors_file

D, N, K = 8, 14, 4
SET = {
    "model_name": "Qwen/Qwen3-0.6B",
    "model_kind": "transcoder_set",
    "feature_input_hook": "mlp.hook_in",
    "feature_output_hook": "hook_mlp_out",
}
CLT = SET | {"model_kind": "cross_layer_transcoder", "feature_input_hook": "hook_resid_mid"}


def inputs(n: int = 40) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 0.5


def normal(seed: int, *shape: int) -> torch.Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(number: int, threshold: bool = False, skip: bool = False) -> dict[str, torch.Tensor]:
    held = {"W_enc": normal(number, N, D), "b_enc": normal(100 + number, N)}
    held |= {"W_dec": normal(200 + number, N, D), "b_dec": normal(300 + number, D)}
    if threshold:
        held["activation_function.threshold"] = normal(400 + number, N).abs()
    return held | ({"W_skip": normal(500 + number, D, D)} if skip else {})


def write_set(folder: Path, config: dict[str, Any] | None = SET, layers: int = 3, **held: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(layers):
        save_file(layer(number, **held), folder / f"layer_{number}.safetensors")
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def write_clt(folder: Path, layers: int = 3, threshold: bool = False, config: dict[str, Any] = CLT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(layers):
        encoder = {f"W_enc_{i}": normal(i, N, D), f"b_enc_{i}": normal(100 + i, N), f"b_dec_{i}": normal(300 + i, D)}
        if threshold:
            encoder[f"threshold_{i}"] = normal(400 + i, N).abs()
        save_file(encoder, folder / f"W_enc_{i}.safetensors")
        save_file({f"W_dec_{i}": normal(200 + i, N, layers - i, D)}, folder / f"W_dec_{i}.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def slow_encode(number: int, kind: str) -> np.ndarray:
    """The definition, one token and one feature at a time."""
    w_enc, b_enc = normal(number, N, D).double().numpy(), normal(100 + number, N).double().numpy()
    threshold = normal(400 + number, N).abs().double().numpy()
    found = np.zeros((len(inputs()), N))
    for row, token in enumerate(inputs().double().numpy()):
        pre = [sum(token[i] * w_enc[f, i] for i in range(D)) + b_enc[f] for f in range(N)]
        largest = sorted(range(N), key=lambda f, pre=pre: -pre[f])[:K]  # type: ignore[misc]
        for f in range(N):
            kept = {"relu": True, "jumprelu": pre[f] > threshold[f], "topk": f in largest}[kind]
            found[row, f] = max(0.0, pre[f]) if kept else 0.0
    return found


def check(found: torch.Tensor, number: int, kind: str) -> None:
    expected = slow_encode(number, kind)
    assert 0.02 < (expected > 0).mean() < 0.9, "the twin must see both firing and silence"
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


# --- sets of transcoders ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["relu", "jumprelu", "topk"])
@pytest.mark.parametrize("number", [0, 2])
def test_one_layer_of_a_set(kind: str, number: int, tmp_path: Path) -> None:
    config = SET | ({"activation": "topk", "k": K} if kind == "topk" else {})
    folder = write_set(tmp_path, config, threshold=kind == "jumprelu", skip=True)
    sae = load_dictionary(str(folder / f"layer_{number}.safetensors"))
    check(sae.encode(inputs()), number, kind)
    assert (sae.hook, sae.hook_out) == (f"blocks.{number}.mlp.hook_in", f"blocks.{number}.hook_mlp_out")
    assert (sae.kind, sae.format, sae.processing) == ("transcoder", "circuit_tracer", "raw")
    held, acts = layer(number, skip=True), sae.encode(inputs())
    expected = acts @ held["W_dec"] + held["b_dec"] + inputs() @ held["W_skip"].T
    torch.testing.assert_close(decode(sae, acts, inputs()), expected)


def test_a_value_below_zero_among_the_k_largest_does_not_fire(tmp_path: Path) -> None:
    """The library keeps it; here no activation is negative."""
    folder = write_set(tmp_path, SET | {"activation": "topk", "k": N})
    sae = load_dictionary(str(folder / "layer_1.safetensors"))
    check(sae.encode(inputs()), 1, "relu")


def test_the_k_of_the_set_whose_config_has_none(tmp_path: Path) -> None:
    config = SET | {"activation": "topk"}
    unknown = write_set(tmp_path / "mine", config)
    assert "config.yaml says topk and no k; give k = ... in the run file" in refusal(unknown / "layer_0.safetensors")
    assert load_dictionary(str(unknown / "layer_0.safetensors"), k=3).k == 3
    known = write_set(tmp_path / "facebook" / "crv-8b-instruct-transcoders", config)
    assert "k = 128 does not fit a TopK of width 14" in refusal(known / "layer_0.safetensors")


def test_a_set_is_no_dictionary_but_a_set_of_one_is(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "three")
    assert refusal(folder) == (
        f'"{folder}" holds 3 transcoders, one for each layer, and a dictionary is one of them: '
        f'give path = "{folder}/layer_0.safetensors"'
    )
    assert load_dictionary(str(write_set(tmp_path / "one", layers=1))).hook == "blocks.0.mlp.hook_in"


def test_without_a_config_the_hook_must_be_given(tmp_path: Path) -> None:
    file = write_set(tmp_path, None) / "layer_2.safetensors"
    assert "there is no config.yaml that names feature_input_hook; give hook" in refusal(file)
    sae = load_dictionary(str(file), hook="blocks.2.mlp.hook_in")
    assert (sae.hook, sae.hook_out) == ("blocks.2.mlp.hook_in", "blocks.2.hook_mlp_out")


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path), **given)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_kind": "cross_layer_transcoder"}, "is not read: its encoders lie in W_enc_N.safetensors"),
        ({"model_kind": "molt"}, 'model_kind = "molt" is not read'),
        ({"activation": "gelu"}, 'activation = "gelu" is not read'),
        ({"activation": "topk", "k": "8"}, "config.yaml has k = '8'; it must be an integer"),
        ({"activation": "jumprelu"}, 'have no "activation_function.threshold"'),
        ({"feature_input_hook": "a b"}, "feature_input_hook = 'a b'; it must be the name of a hook point"),
    ],
)
def test_what_is_not_read(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(write_set(tmp_path, SET | config) / "layer_1.safetensors")


def test_a_threshold_that_the_config_knows_nothing_of(tmp_path: Path) -> None:
    folder = write_set(tmp_path, SET | {"activation": "relu"}, threshold=True)
    assert 'the weights hold "activation_function.threshold"' in refusal(folder / "layer_0.safetensors")


def test_a_set_that_lists_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SET | {"transcoders": ["hf://google/a/layer_0/params.npz"]}))
    assert refusal(tmp_path) == (
        f'"{tmp_path}": its config.yaml lists its files, for layer 0 "hf://google/a/layer_0/params.npz": '
        "a layer is read by its number behind the path, `#5`: the file that is listed, at the hook point of the set; "
        "put the number of a layer behind the path: #0"
    )


@pytest.mark.parametrize("text", ["- a list", "{", "a: [1"])
def test_a_config_that_is_none(text: str, tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    (folder / "config.yaml").write_text(text)
    assert "config.yaml" in refusal(folder / "layer_0.safetensors")


# --- cross-layer transcoders ------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [False, True])
@pytest.mark.parametrize("number", [0, 2])
def test_one_layer_of_a_cross_layer_transcoder(
    threshold: bool, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_file, "BLOCK_BYTES", 200)  # the decoders are read by ranges of features
    sae = load_dictionary(str(write_clt(tmp_path, threshold=threshold) / f"W_enc_{number}.safetensors"))
    check(sae.encode(inputs()), number, "jumprelu" if threshold else "relu")
    assert (sae.hook, sae.hook_out) == (f"blocks.{number}.hook_resid_mid", f"blocks.{number}.hook_mlp_out")
    assert (sae.kind, sae.format) == ("transcoder", "cross_layer")
    torch.testing.assert_close(sae.directions, normal(200 + number, N, 3 - number, D).sum(dim=1))
    assert sae.incomplete == "the features of earlier layers write there too"


def test_cross_layer_refusals(tmp_path: Path) -> None:
    folder = write_clt(tmp_path / "a")
    assert "holds 3 encoders of a cross-layer transcoder, one for each layer" in refusal(folder)
    (folder / "W_dec_1.safetensors").unlink()
    assert "has no W_dec_1.safetensors" in refusal(folder / "W_enc_1.safetensors")
    save_file({"W_dec_1": torch.ones(N, D)}, folder / "W_dec_1.safetensors")
    assert '"W_dec_1" has shape (14, 8); the encoder says 14 x any x 8' in refusal(folder / "W_enc_1.safetensors")
    save_file({"W_dec_1": torch.full((N, 2, D), torch.nan)}, folder / "W_dec_1.safetensors")
    assert '"W_dec_1" holds NaN' in refusal(folder / "W_enc_1.safetensors")
    other = write_clt(tmp_path / "b", config=SET)
    assert "its transcoders lie in layer_N.safetensors" in refusal(other / "W_enc_0.safetensors")
