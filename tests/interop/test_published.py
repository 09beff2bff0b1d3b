"""Published dictionaries: files of their layout with random weights, read by the libraries that read such files.

What SAELens would fetch from the hub is taken from a folder.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary

pytestmark = pytest.mark.interop
Agree = Callable[[str, torch.Tensor, torch.Tensor], None]
D, N, K = 32, 96, 8
CPU = torch.device("cpu")


def inputs(n: int = 300) -> torch.Tensor:
    return 2 * torch.randn(n, D, generator=torch.Generator().manual_seed(11)) + 0.5


def normal(seed: int, *shape: int) -> torch.Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported here: {str(error).splitlines()[0]}")


@pytest.fixture
def loaders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """SAELens's loaders, with `tmp_path` in place of the hub."""
    module = library("sae_lens.loading.pretrained_sae_loaders")
    missing = importlib.import_module("huggingface_hub.errors").EntryNotFoundError

    def fetched(repo_id: str, filename: str, subfolder: str | None = None, **_: Any) -> str:
        file = tmp_path / repo_id / (subfolder or "") / filename
        if not file.is_file():
            raise missing(str(file))
        return str(file)

    def shapes(repo_id: str, filename: str) -> dict[str, list[int]]:
        held = importlib.import_module("safetensors.torch").load_file(tmp_path / repo_id / filename)
        return {name: list(value.shape) for name, value in held.items()}

    monkeypatch.setattr(module, "hf_hub_download", fetched)
    monkeypatch.setattr(module, "get_safetensors_tensor_shapes", shapes)
    return module


def theirs(loaders: Any, loader: str, repository: str, name: str, **overrides: Any) -> Any:
    """The dictionary that SAELens makes of these files."""
    load = loaders.NAMED_PRETRAINED_SAE_LOADERS[loader]
    config, state, _ = load(repository, name, "cpu", False, {"dtype": "float32", **overrides})
    made = library("sae_lens").SAE.from_dict(loaders.handle_config_defaulting(config))
    made.load_state_dict({key: value.float() for key, value in state.items()})
    return made


@torch.no_grad()
def compare(what: str, sae: SparseAutoencoder, made: Any, agree: Agree) -> torch.Tensor:
    found = sae.encode(inputs())
    encoded: torch.Tensor = made.encode(inputs())
    agree(what, found, encoded.to_dense() if encoded.is_sparse else encoded)
    return found


# --- Gemma Scope 2 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("with_config", [False, True])
@pytest.mark.parametrize(
    ("site", "module", "theirs_at"),
    [
        ("resid_post", "model.layers.5.output", "hook_resid_post"),
        ("attn_out", "model.layers.5.self_attn.o_proj.input", "attn.hook_z"),
        ("mlp_out", "model.layers.5.post_feedforward_layernorm.output", "hook_mlp_out"),
        ("transcoder", "model.layers.5.pre_feedforward_layernorm.output", "hook_mlp_in"),
    ],
)
@pytest.mark.parametrize("affine", [False, True])
def test_gemma_scope_2(
    site: str, module: str, theirs_at: str, affine: bool, with_config: bool, loaders: Any, agree: Agree, tmp_path: Path
) -> None:
    if affine and site != "transcoder":
        return
    repository = "google/gemma-scope-2-1b-pt"
    name = f"{site}_all/layer_5_width_16k_l0_small" + ("_affine" if affine else "")
    held = {"w_enc": normal(0, D, N), "b_enc": normal(1, N), "w_dec": normal(2, N, D), "b_dec": normal(3, D)}
    held["threshold"] = normal(4, N).abs()
    if affine:
        held["affine_skip_connection"] = normal(5, D, D)
    folder = tmp_path / repository / name
    folder.mkdir(parents=True)
    save_file(held, folder / "params.safetensors")
    if with_config:
        config: dict[str, Any] = {
            "architecture": "jump_relu",
            "model_name": "gemma-v3-1b-pt",
            "hf_hook_point_in": module,
        }
        if site == "transcoder":
            config |= {"hf_hook_point_out": "model.layers.5.post_feedforward_layernorm.output"}
            config |= {"affine_connection": affine}
        (folder / "config.json").write_text(json.dumps(config))
    sae, made = load_dictionary(str(folder)), theirs(loaders, "gemma_3", repository, name)
    found = compare("Gemma Scope 2", sae, made, agree)
    assert made.cfg.metadata.hook_name == f"blocks.5.{theirs_at}"
    # SAELens names a point before the norm; the files were made behind it.
    assert sae.hook == f"blocks.5.{theirs_at.replace('hook_mlp_in', 'mlp.hook_in')}"
    with torch.no_grad():
        rebuilt = found @ sae.directions + sae.b_dec
        if sae.W_skip is not None:
            rebuilt += inputs() @ sae.W_skip.T
        torch.testing.assert_close(rebuilt, made(inputs()), rtol=1e-4, atol=1e-4)


# --- circuit-tracer ---------------------------------------------------------------------------------


def write_set(folder: Path, layers: int = 2, threshold: bool = False, skip: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for layer in range(layers):
        seed = 10 * layer
        held = {"W_enc": normal(seed, N, D), "b_enc": normal(seed + 1, N)}
        held |= {"W_dec": normal(seed + 2, N, D), "b_dec": normal(seed + 3, D)}
        if threshold:
            held["activation_function.threshold"] = normal(seed + 4, N).abs()
        if skip:
            held["W_skip"] = normal(seed + 5, D, D)
        save_file(held, folder / f"layer_{layer}.safetensors")
    config = {"model_name": "m", "model_kind": "transcoder_set", "feature_input_hook": "mlp.hook_in"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"feature_output_hook": "hook_mlp_out"}))
    return folder


@pytest.mark.parametrize("threshold", [False, True])
@pytest.mark.parametrize("skip", [False, True])
def test_a_set_of_transcoders(threshold: bool, skip: bool, agree: Agree, tmp_path: Path) -> None:
    module = library("circuit_tracer.transcoder.single_layer_transcoder")
    folder = write_set(tmp_path, threshold=threshold, skip=skip)
    for layer in range(2):
        file = folder / f"layer_{layer}.safetensors"
        made = module.load_relu_transcoder(
            str(file), layer, torch.device("cpu"), lazy_encoder=False, lazy_decoder=False
        )
        sae = load_dictionary(str(file))
        found = compare("circuit-tracer transcoder", sae, made, agree)
        with torch.no_grad():
            rebuilt = found @ sae.directions + sae.b_dec
            if sae.W_skip is not None:
                rebuilt += inputs() @ sae.W_skip.T
            torch.testing.assert_close(rebuilt, made(inputs()), rtol=1e-4, atol=1e-4)


def test_topk_of_a_set_keeps_raw_values(agree: Agree, tmp_path: Path) -> None:
    """No relu follows in the library. It shows only where fewer than k values are above zero."""
    module = library("circuit_tracer.transcoder.single_layer_transcoder")
    functions = library("circuit_tracer.transcoder.activation_functions")
    folder = write_set(tmp_path)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    file = folder / "layer_1.safetensors"
    made = module.load_relu_transcoder(str(file), 1, CPU, lazy_encoder=False, lazy_decoder=False)
    for k, negative in ((K, False), (N - 5, True)):
        (folder / "config.yaml").write_text(yaml.safe_dump(config | {"activation": "topk", "k": k}))
        made.activation_function = functions.TopK(k)
        with torch.no_grad():
            encoded = made.encode(inputs())
        assert bool((encoded < 0).any()) == negative
        agree("circuit-tracer TopK, above zero", load_dictionary(str(file)).encode(inputs()), encoded.clamp(min=0))


@pytest.mark.parametrize("threshold", [False, True])
def test_a_cross_layer_transcoder(threshold: bool, agree: Agree, tmp_path: Path) -> None:
    module = library("circuit_tracer.transcoder.cross_layer_transcoder")
    layers = 3
    for i in range(layers):
        seed = 10 * i
        encoder = {
            f"W_enc_{i}": normal(seed, N, D),
            f"b_enc_{i}": normal(seed + 1, N),
            f"b_dec_{i}": normal(seed + 2, D),
        }
        if threshold:
            encoder[f"threshold_{i}"] = normal(seed + 3, N).abs()
        save_file(encoder, tmp_path / f"W_enc_{i}.safetensors")
        save_file({f"W_dec_{i}": normal(seed + 4, N, layers - i, D)}, tmp_path / f"W_dec_{i}.safetensors")
    config = {"model_kind": "cross_layer_transcoder", "feature_input_hook": "hook_resid_mid"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"feature_output_hook": "hook_mlp_out"}))
    made = module.load_clt(str(tmp_path), device=CPU, dtype=torch.float32, lazy_decoder=False)
    for i in range(layers):
        sae = load_dictionary(str(tmp_path / f"W_enc_{i}.safetensors"))
        with torch.no_grad():
            agree("circuit-tracer cross-layer", sae.encode(inputs()), made.encode_layer(inputs(), i))
        torch.testing.assert_close(sae.directions, made.W_dec[i].detach().sum(dim=1), rtol=1e-5, atol=1e-5)
        assert sae.hook == f"blocks.{i}.hook_resid_mid"


def test_transcoders_by_saelens(loaders: Any, agree: Agree, tmp_path: Path) -> None:
    repository = "mwhanna/qwen3-4b-transcoders"
    folder = write_set(tmp_path / repository)
    sizes = {"d_model": {"value": D}, "d_feature": {"value": N}, "batch_size": {"value": 1}}
    (folder / "wandb-config.yaml").write_text(yaml.safe_dump(sizes))
    sae = load_dictionary(str(folder / "layer_1.safetensors"))
    made = theirs(loaders, "mwhanna_transcoder", repository, "layer_1.safetensors")
    compare("transcoders by SAELens", sae, made, agree)
    assert (sae.hook, sae.hook_out) == (made.cfg.metadata.hook_name, made.cfg.metadata.hook_name_out)


# --- Llama Scope ------------------------------------------------------------------------------------

AVERAGE = 17.125


def llama_weights() -> dict[str, torch.Tensor]:
    decoder = normal(2, D, N)
    return {
        "encoder.weight": normal(0, N, D),
        "encoder.bias": normal(1, N),
        "decoder.weight": decoder / decoder.norm(dim=0),
        "decoder.bias": normal(3, D),
    }


def test_llama_scope_by_saelens(loaders: Any, agree: Agree, tmp_path: Path) -> None:
    """The same weights; SAELens's threshold is ours times the factor, so above both the activations are the same."""
    repository, name = "fnlp/Llama3_1-8B-Base-LXR-8x", "Llama3_1-8B-Base-L5R-8x"
    folder = tmp_path / repository / name
    (folder / "checkpoints").mkdir(parents=True)
    save_file(llama_weights(), folder / "checkpoints" / "final.safetensors")
    hook = "blocks.5.hook_resid_post"
    config = {"hook_point_in": hook, "hook_point_out": hook, "act_fn": "jumprelu", "jump_relu_threshold": 0.4}
    config |= {"d_model": D, "d_sae": N, "dataset_average_activation_norm": {"in": AVERAGE, "out": AVERAGE}}
    (folder / "hyperparams.json").write_text(json.dumps(config))
    sae, made = load_dictionary(str(folder)), theirs(loaders, "llama_scope", repository, name)
    factor = math.sqrt(D) / AVERAGE
    made.fold_activation_norm_scaling_factor(factor)
    torch.testing.assert_close(sae.W_enc, made.W_enc.data)
    torch.testing.assert_close(sae.W_dec, made.W_dec.data)
    torch.testing.assert_close(sae.b_dec, made.b_dec.data)
    assert sae.threshold is not None
    torch.testing.assert_close(sae.threshold * factor, made.threshold.data, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        found, encoded = sae.encode(inputs()), made.encode(inputs())
    assert (found > 0).sum() < (encoded > 0).sum(), "a factor below 1 lowers SAELens's threshold"
    agree("Llama Scope, above both thresholds", found, encoded * (encoded > 0.4))
    assert sae.hook == made.cfg.metadata.hook_name


@pytest.mark.parametrize("norm", [AVERAGE, 0.9])
def test_llama_scope_by_its_own_library(norm: float, agree: Agree, tmp_path: Path) -> None:
    module = library("llamascopium.models.sae")
    hook = "blocks.5.hook_resid_post"
    config = module.SAEConfig(
        d_model=D, expansion_factor=N / D, act_fn="jumprelu", hook_point_in=hook, hook_point_out=hook, device="cpu",
        dtype=torch.float32, norm_activation="dataset-wise", sparsity_include_decoder_norm=True,
    )  # fmt: skip
    made = module.SparseAutoEncoder(config)
    with torch.no_grad():
        for seed, weight in enumerate((made.W_E, made.b_E, made.W_D, made.b_D)):
            weight.copy_(normal(seed, *weight.shape))
        made.activation_function.log_jumprelu_threshold.copy_(normal(9, N) - 1)
    made.set_dataset_average_activation_norm({hook: norm})
    made.save_pretrained(tmp_path)
    made.cfg.save_hyperparameters(tmp_path)
    sae = load_dictionary(str(tmp_path))
    with torch.no_grad():
        normalised = made.normalize_activations({hook: inputs()})[hook]
        agree("Language-Model-SAEs", sae.encode(inputs()), made.encode(normalised))


# --- Qwen-Scope and bare state dicts ----------------------------------------------------------------


def test_qwen_scope(loaders: Any, agree: Agree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = f"Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_{K}"
    monkeypatch.setitem(loaders.QWEN_SCOPE_MODEL_INFO, "Qwen3-1.7B-Base", ("Qwen/Qwen3-1.7B-Base", D))
    folder = tmp_path / repository
    folder.mkdir(parents=True)
    held = {"W_enc": normal(0, N, D), "b_enc": normal(1, N), "W_dec": normal(2, D, N), "b_dec": normal(3, D)}
    torch.save(held, folder / "layer7.sae.pt")
    made = theirs(loaders, "qwen_scope", repository, "layer7.sae.pt", d_sae=N)
    sae = load_dictionary(str(folder / "layer7.sae.pt"))
    compare("Qwen-Scope", sae, made, agree)
    assert sae.hook == made.cfg.metadata.hook_name


@pytest.mark.parametrize(
    ("loader", "repository", "file", "names"),
    [
        (
            "goodfire",
            "Goodfire/Llama-3.1-8B-Instruct-SAE-l19",
            "Llama-3.1-8B-Instruct-SAE-l19.pth",
            ("encoder_linear", "decoder_linear"),
        ),
        (
            "deepseek_r1",
            "qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19",
            "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt",
            ("encoder", "decoder"),
        ),
    ],
)
def test_bare_state_dicts(
    loader: str, repository: str, file: str, names: tuple[str, str], loaders: Any, agree: Agree, tmp_path: Path
) -> None:
    folder = tmp_path / repository
    folder.mkdir(parents=True)
    encoder, decoder = names
    held = {f"{encoder}.weight": normal(0, N, D), f"{encoder}.bias": normal(1, N)}
    torch.save(held | {f"{decoder}.weight": normal(2, D, N), f"{decoder}.bias": normal(3, D)}, folder / file)
    made = theirs(loaders, loader, repository, file, d_in=D, d_sae=N)
    sae = load_dictionary(str(folder / file), hook="blocks.19.hook_resid_post", activation="relu")
    compare("bare state dicts", sae, made, agree)
    assert sae.hook == made.cfg.metadata.hook_name


# --- Kissane and others -----------------------------------------------------------------------------


def test_saes_of_all_heads(loaders: Any, agree: Agree, tmp_path: Path) -> None:
    repository, name = "ckkissane/attn-saes-gpt2-small-all-layers", "gpt2-small_L5_Hcat_z_v9.pt"
    folder = tmp_path / repository
    folder.mkdir(parents=True)
    held = {"W_enc": normal(0, D, N), "b_enc": normal(1, N), "W_dec": normal(2, N, D), "b_dec": normal(3, D)}
    torch.save(held, folder / name)
    settings = {"act_name": "blocks.5.attn.hook_z", "act_size": D, "dict_size": N, "layer": 5, "head": "cat"}
    (folder / name.replace(".pt", "_cfg.json")).write_text(json.dumps(settings))
    sae, made = load_dictionary(str(folder / name)), theirs(loaders, "connor_rob_hook_z", repository, name)
    heads = inputs().reshape(-1, 4, D // 4)
    with torch.no_grad():
        agree("SAEs of all heads", sae.encode(heads.flatten(1)), made.encode(heads))
    assert sae.hook == made.cfg.metadata.hook_name
