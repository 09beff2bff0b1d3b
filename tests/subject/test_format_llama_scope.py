"""Llama Scope and Language-Model-SAEs: what the library computes in training, step by step, is what ours give."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.faults import FaultEvidence, find_cause
from autointerp.subject.fit import decode, measure
from autointerp.subject.formats import load_dictionary
from autointerp.subject.formats.common import DictionarySource
from autointerp.subject.formats.lm_saes import read

D, N, D_OUT = 8, 14, 6
HOOK, OUT = "blocks.3.hook_resid_post", "blocks.3.hook_mlp_out"
AVERAGE = {"in": 17.125, "out": 3.390625}


def inputs(n: int = 40) -> torch.Tensor:
    """Of about the average norm, as the activations of the model are."""
    x = torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 0.5
    scaled: torch.Tensor = x * AVERAGE["in"] / x.norm(dim=1).mean()
    return scaled


def weights(d_out: int = D) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)

    def normal(*shape: int) -> torch.Tensor:
        return 0.4 * torch.randn(*shape, generator=generator)

    return {
        "encoder.weight": normal(N, D), "encoder.bias": normal(N),
        "decoder.weight": normal(d_out, N), "decoder.bias": normal(d_out),
    }  # fmt: skip


def settings(**changed: Any) -> dict[str, Any]:
    return {
        "hook_point_in": HOOK,
        "hook_point_out": HOOK,
        "act_fn": "jumprelu",
        "jump_relu_threshold": 0.3,
        "d_model": D,
        "d_sae": N,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": {"in": AVERAGE["in"], "out": AVERAGE["in"]},
        "sparsity_include_decoder_norm": True,
        "apply_decoder_bias_to_pre_encoder": False,
        "use_decoder_bias": True,
        "top_k": 50,
        **changed,
    }


def write(folder: Path, config: dict[str, Any], held: dict[str, torch.Tensor] | None = None) -> Path:
    """Llama Scope's layout."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "hyperparams.json").write_text(json.dumps(config))
    save_file(held or weights(), folder / "checkpoints" / "final.safetensors")
    return folder


def write_r1(folder: Path, config: dict[str, Any], held: dict[str, torch.Tensor]) -> Path:
    """The layout of Language-Model-SAEs, with a threshold for each feature."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"sae_type": "sae", **config}))
    save_file(held, folder / "sae_weights.safetensors")
    return folder


def slow(config: dict[str, Any], held: dict[str, torch.Tensor], threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activations and reconstruction, by the library's steps: normalise, encode, gate, decode, normalise back."""
    w = {name: value.double().numpy() for name, value in held.items()}
    average = config["dataset_average_activation_norm"]
    x = inputs().double().numpy() * math.sqrt(D) / average["in"]
    if config["apply_decoder_bias_to_pre_encoder"]:
        x = x - w["decoder.bias"]
    pre = x @ w["encoder.weight"].T + w["encoder.bias"]
    length = np.linalg.norm(w["decoder.weight"], axis=0)
    gated = pre * length if config["sparsity_include_decoder_norm"] else pre
    acts = np.where(gated > threshold, pre, 0.0)
    d_out = len(w["decoder.bias"])
    return acts, (acts @ w["decoder.weight"].T + w["decoder.bias"]) * average["out"] / math.sqrt(d_out)


@pytest.mark.parametrize("subtracts", [False, True])
@pytest.mark.parametrize("by_norm", [False, True])
def test_llama_scope(subtracts: bool, by_norm: bool, tmp_path: Path) -> None:
    config = settings(apply_decoder_bias_to_pre_encoder=subtracts, sparsity_include_decoder_norm=by_norm)
    folder = write(tmp_path / "Llama3_1-8B-Base-L3R-8x", config)
    acts, rebuilt = slow(config, weights(), np.full(N, 0.3))
    assert 0.1 < (acts > 0).mean() < 0.9, "the twin must see both firing and silence"
    for path in (folder, folder / "checkpoints" / "final.safetensors", folder / "hyperparams.json"):
        sae = load_dictionary(str(path))
        found = sae.encode(inputs())
        np.testing.assert_allclose(found.numpy(), acts, rtol=0, atol=1e-5)
        np.testing.assert_allclose(decode(sae, found, inputs()).numpy(), rebuilt, rtol=1e-4, atol=1e-4)
        assert (sae.hook, sae.hook_out, sae.kind, sae.format) == (HOOK, None, "sae", "llama_scope")


def test_the_threshold_is_not_multiplied_with_the_factor(tmp_path: Path) -> None:
    """SAELens multiplies it too: then other features fire, in other numbers."""
    config = settings(sparsity_include_decoder_norm=False)
    sae = load_dictionary(str(write(tmp_path, config)))
    factor = math.sqrt(D) / AVERAGE["in"]
    theirs = (inputs() @ (weights()["encoder.weight"].T * factor) + weights()["encoder.bias"]).double()
    ours = sae.encode(inputs()) > 0
    assert torch.equal(ours, theirs > 0.3)
    assert int(ours.sum()) != int((theirs > 0.3 * factor).sum())


def test_a_transcoder_has_a_factor_for_each_side(tmp_path: Path) -> None:
    config = settings(hook_point_in="blocks.3.ln2.hook_normalized", hook_point_out=OUT)
    config["dataset_average_activation_norm"] = AVERAGE
    held = weights(D_OUT)
    sae = load_dictionary(str(write(tmp_path, config, held)))
    acts, rebuilt = slow(config, held, np.full(N, 0.3))
    found = sae.encode(inputs())
    np.testing.assert_allclose(found.numpy(), acts, rtol=0, atol=1e-5)
    np.testing.assert_allclose(decode(sae, found, inputs()).numpy(), rebuilt, rtol=1e-4, atol=1e-4)
    assert (sae.hook, sae.hook_out, sae.kind) == ("blocks.3.ln2.hook_normalized", OUT, "transcoder")


# --- Language-Model-SAEs ----------------------------------------------------------------------------

RENAMED = {"encoder.weight": "W_E", "encoder.bias": "b_E", "decoder.weight": "W_D", "decoder.bias": "b_D"}


@pytest.mark.parametrize("version", ["2025", "2026"])
def test_language_model_saes(version: str, tmp_path: Path) -> None:
    config = settings(expansion_factor=N / D)
    logarithm = 0.5 * torch.randn(N, generator=torch.Generator().manual_seed(6)) - 1
    held = weights()
    acts, rebuilt = slow(config, held, logarithm.double().exp().numpy())
    norm = {f"dataset_average_activation_norm.{HOOK}": torch.tensor(AVERAGE["in"])}
    if version == "2025":
        stored = held | {"log_jumprelu_threshold": logarithm} | norm
    else:
        stored = {RENAMED[name]: (value.T if value.ndim == 2 else value).contiguous() for name, value in held.items()}
        stored |= {"activation_function.log_jumprelu_threshold": logarithm} | norm
    del config["dataset_average_activation_norm"]
    sae = load_dictionary(str(write_r1(tmp_path / "L3R", config, stored)))
    found = sae.encode(inputs())
    np.testing.assert_allclose(found.numpy(), acts, rtol=0, atol=1e-5)
    np.testing.assert_allclose(decode(sae, found, inputs()).numpy(), rebuilt, rtol=1e-4, atol=1e-4)
    assert (sae.hook, sae.format, sae.processing) == (HOOK, "lm_saes", "raw")


def test_the_registry_s_factor_where_the_file_has_no_norm(tmp_path: Path) -> None:
    config = settings(act_fn="relu")
    del config["dataset_average_activation_norm"]
    folder = write_r1(tmp_path, config, weights())
    assert "nothing says what the activations were multiplied by; not read" in refusal(folder)
    source = DictionarySource(str(folder), folder, None, (), defaults={"norm_scaling_factor": 0.25})
    found = read(source, None, "auto").encode(inputs())
    expected = (0.25 * inputs() @ weights()["encoder.weight"].T + weights()["encoder.bias"]).relu()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["inference", "token-wise"])
def test_other_normalisations(norm: str, tmp_path: Path) -> None:
    folder = write_r1(tmp_path, settings(act_fn="relu", norm_activation=norm), weights())
    x = inputs()
    if norm == "token-wise":
        x = x * math.sqrt(D) / x.norm(dim=1, keepdim=True)
    expected = (x @ weights()["encoder.weight"].T + weights()["encoder.bias"]).relu()
    torch.testing.assert_close(load_dictionary(str(folder)).encode(inputs()), expected, rtol=1e-5, atol=1e-5)


def test_topk_with_decoders_of_norm_1(tmp_path: Path) -> None:
    held = weights()
    config = settings(act_fn="topk", top_k=3, norm_activation="inference")
    assert "which features fire depends on the norms" in refusal(write_r1(tmp_path / "a", config, held))
    held["decoder.weight"] = held["decoder.weight"] / held["decoder.weight"].norm(dim=0)
    found = load_dictionary(str(write_r1(tmp_path / "b", config, held))).encode(inputs())
    pre = (inputs() @ held["encoder.weight"].T + held["encoder.bias"]).relu()
    kept = pre.topk(3, dim=1)
    torch.testing.assert_close(found, torch.zeros_like(pre).scatter_(1, kept.indices, kept.values))


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_dictionary(str(path))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f'"{path}"')
    return message


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("lorsa", "its features depend on the earlier tokens of a text"),
        ("molt", "its features are transforms of the activation"),
        ("crosscoder", "it reads several hook points at once"),
        ("clt", "its layers stand in one file"),
    ],
)
def test_other_dictionaries_of_the_library(kind: str, reason: str, tmp_path: Path) -> None:
    folder = write_r1(tmp_path, settings(sae_type=kind), weights())
    assert f'sae_type = "{kind}" is not read: {reason}' in refusal(folder)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"act_fn": "topk"}, 'act_fn = "topk" is not read'),
        ({"norm_activation": "batch-wise"}, "what a feature does depends on the other tokens of the batch"),
        ({"use_glu_encoder": True}, "its encoder has a gate of its own; not read"),
        ({"d_sae": 3}, "hyperparams.json has d_sae = 3, but the weights say 14"),
        ({"jump_relu_threshold": None}, "jump_relu_threshold = None; it must be a number"),
        ({"dataset_average_activation_norm": {"in": 0.0, "out": 1.0}}, "is missing, or not positive"),
        ({"dataset_average_activation_norm": {"in": "x"}}, "hyperparams.json has in = 'x'; it must be a number"),
        ({"dataset_average_activation_norm": 3}, "it must hold in and out"),
        ({"hook_point_in": None}, "names no hook_point_in; give hook ="),
    ],
)
def test_what_is_not_read(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path, settings(**changed)))


def test_pruned_weights_beside_the_final_ones(tmp_path: Path) -> None:
    folder = write(tmp_path, settings())
    save_file(weights(), folder / "checkpoints" / "pruned.safetensors")
    assert "checkpoints/pruned.safetensors: the library takes it in place of final.safetensors" in refusal(folder)


# --- L0 ---------------------------------------------------------------------------------------------

WIDE_D, WIDE_N, DECLARED = 64, 1024, 50


@pytest.mark.parametrize("by_norm", [False, True])
def test_a_dictionary_trained_to_an_l0_of_50_is_read_at_50(by_norm: bool, tmp_path: Path) -> None:
    """The threshold is where 50 features a token fire in the scale of training. With the threshold in another scale, as
    where the factor is multiplied into it, that is no longer so, and `check` names it."""
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(400, WIDE_D, generator=generator)
    average = 5.5
    x = x * average / x.norm(dim=1).mean()
    w_enc = torch.randn(WIDE_N, WIDE_D, generator=generator) / math.sqrt(WIDE_D)
    held = {"encoder.weight": w_enc, "encoder.bias": 0.1 * torch.randn(WIDE_N, generator=generator)}
    held |= {"decoder.weight": w_enc.T.contiguous() * (0.5 + torch.rand(WIDE_N, generator=generator))}
    held |= {"decoder.bias": torch.zeros(WIDE_D)}
    scaled = x.double() * math.sqrt(WIDE_D) / average
    pre = scaled @ w_enc.double().T + held["encoder.bias"].double()
    gated = pre * held["decoder.weight"].double().norm(dim=0) if by_norm else pre
    threshold = float(torch.quantile(gated.flatten(), 1 - DECLARED / WIDE_N))
    config = settings(
        d_model=WIDE_D, d_sae=WIDE_N, jump_relu_threshold=threshold, sparsity_include_decoder_norm=by_norm,
        dataset_average_activation_norm={"in": average, "out": average},
    )  # fmt: skip
    sae = load_dictionary(str(write(tmp_path, config, held)))
    assert measure(sae, x).l0 == pytest.approx(DECLARED, abs=0.2)
    assert sae.config["l0_declared"] == DECLARED
    assert cause(sae, x) is None or "features fire at once" not in str(cause(sae, x))
    assert sae.threshold is not None
    wrong = replace(sae, threshold=sae.threshold * math.sqrt(WIDE_D) / average)
    assert measure(wrong, x).l0 < DECLARED / 3
    assert f"features fire at once where its files say {DECLARED}" in str(cause(wrong, x))


def cause(sae: SparseAutoencoder, x: torch.Tensor) -> str | None:
    fit = measure(sae, x)
    return find_cause(sae, FaultEvidence(replace(fit, variance_explained=0.6), 0.0, x, None, 0.99, {}, None))
