"""The libraries write their files, and our readers must give what the libraries' `encode` gives.

Run by `make test-interop`, in an environment of its own: sae-lens holds TransformerLens below 4, and the
others bring theirs. A library that is not installed there has its tests skipped, and said so.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary

pytestmark = pytest.mark.interop
Agree = Callable[[str, torch.Tensor, torch.Tensor], None]
D, N, K = 32, 96, 8
HOOK = "blocks.1.hook_resid_post"


def inputs(n: int = 300, width: int = D) -> torch.Tensor:
    return 2 * torch.randn(n, width, generator=torch.Generator().manual_seed(11)) + 0.5


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported here: {str(error).splitlines()[0]}")


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    """Every weight away from its start: zeros would hide what they are multiplied with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(module.named_parameters()):
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
            if "threshold" in name:
                weight.abs_()


@torch.no_grad()
def ours(folder: Path, x: torch.Tensor, **given: Any) -> tuple[SparseAutoencoder, torch.Tensor]:
    sae = load_dictionary(str(folder), **given)
    return sae, sae.encode(x.clone())


# --- SAELens ----------------------------------------------------------------------------------------

NORMALIZATIONS = ("none", "layer_norm", "constant_norm_rescale", "expected_average_only_in")
TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")


def saelens_sae(architecture: str, training: bool = False, **config: Any) -> Any:
    registry = library("sae_lens.registry")
    find = registry.get_sae_training_class if training else registry.get_sae_class
    sae_class, config_class = find(architecture)
    metadata = library("sae_lens.saes.sae").SAEMetadata(hook_name=HOOK, model_name="tiny", prepend_bos=True)
    sae = sae_class(config_class(**{"d_in": D, "d_sae": N, "metadata": metadata, **config}))
    randomise(sae)
    return sae


@torch.no_grad()
def saelens_encode(folder: Path, x: torch.Tensor) -> torch.Tensor:
    return library("sae_lens").SAE.load_from_disk(str(folder)).encode(x).to_dense()  # type: ignore[no-any-return]


@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "jumprelu"])
@pytest.mark.parametrize("normalize", NORMALIZATIONS)
@pytest.mark.parametrize("subtract", [True, False])
def test_saelens(architecture: str, normalize: str, subtract: bool, agree: Agree, tmp_path: Path) -> None:
    config: dict[str, Any] = {"apply_b_dec_to_input": subtract, "normalize_activations": normalize}
    if architecture == "topk":
        config |= {"k": K, "rescale_acts_by_decoder_norm": subtract}
    saelens_sae(architecture, **config).save_model(tmp_path)
    sae, found = ours(tmp_path, inputs())
    agree(f"SAELens {architecture}", found, saelens_encode(tmp_path, inputs()))
    assert (sae.hook, sae.format) == (HOOK, "saelens")


@pytest.mark.parametrize("architecture", TRANSCODERS)
def test_saelens_transcoders(architecture: str, agree: Agree, tmp_path: Path) -> None:
    transcoder = saelens_sae(architecture, d_out=20, apply_b_dec_to_input=False)
    transcoder.save_model(tmp_path)
    sae, found = ours(tmp_path, inputs())
    agree(f"SAELens {architecture}", found, saelens_encode(tmp_path, inputs()))
    assert (sae.kind, tuple(sae.directions.shape)) == ("transcoder", (N, 20))
    with torch.no_grad():
        rebuilt = found @ sae.directions + sae.b_dec
        if sae.W_skip is not None:
            rebuilt += inputs() @ sae.W_skip.T
        torch.testing.assert_close(rebuilt, transcoder(inputs()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk", "topk", "jumprelu", "standard", "gated"])
def test_saelens_as_training_saves_them(architecture: str, agree: Agree, tmp_path: Path) -> None:
    config: dict[str, Any] = {}
    if "topk" in architecture:
        config = {"k": K}
    if architecture == "matryoshka_batchtopk":
        config["matryoshka_widths"] = [16, N]
    sae = saelens_sae(architecture, training=True, **config)
    if "batchtopk" in architecture:
        sae.topk_threshold.fill_(0.7)
    sae.save_inference_model(tmp_path)
    _, found = ours(tmp_path, inputs())
    agree(f"SAELens {architecture} (trained)", found, saelens_encode(tmp_path, inputs()))


@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "jumprelu"])
def test_saelens_before_version_6(architecture: str, agree: Agree, tmp_path: Path) -> None:
    """cfg.json as versions 3 to 5 wrote it; today's SAELens still reads it."""
    config: dict[str, Any] = {"k": K} if architecture == "topk" else {}
    saelens_sae(architecture, **config).save_model(tmp_path)
    old = {
        "architecture": "standard" if architecture == "topk" else architecture,
        "d_in": D,
        "d_sae": N,
        "activation_fn_str": "topk" if architecture == "topk" else "relu",
        "apply_b_dec_to_input": True,
        "activation_fn_kwargs": {"k": K} if architecture == "topk" else {},
        "finetuning_scaling_factor": False,
        "model_name": "gpt2-small",
        "hook_name": HOOK,
        "hook_layer": 1,
        "hook_head_index": None,
        "prepend_bos": True,
        "context_size": 128,
        "dataset_path": "",
        "normalize_activations": "layer_norm",
        "dtype": "float32",
        "device": "cpu",
        "sae_lens_training_version": "3.20.0",
    }
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    sae, found = ours(tmp_path, inputs())
    agree("SAELens before 6.0", found, saelens_encode(tmp_path, inputs()))
    assert sae.hook == HOOK


def test_saelens_heads_side_by_side(agree: Agree, tmp_path: Path) -> None:
    metadata = library("sae_lens.saes.sae").SAEMetadata(hook_name="blocks.1.attn.hook_z")
    saelens_sae("standard", reshape_activations="hook_z", metadata=metadata).save_model(tmp_path)
    _, found = ours(tmp_path, inputs())
    agree("SAELens hook_z", found, saelens_encode(tmp_path, inputs().reshape(-1, 4, D // 4)))


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("matching_pursuit", {}),
        ("temporal", {"n_heads": 1, "bottleneck_factor": 8, "kval_topk": K}),
    ],
)
def test_saelens_architectures_that_are_not_read(architecture: str, config: dict[str, Any], tmp_path: Path) -> None:
    saelens_sae(architecture, **config).save_model(tmp_path)
    with pytest.raises(InputError, match=f'architecture "{architecture}" is not read'):
        load_dictionary(str(tmp_path))


@pytest.mark.parametrize("rescale", [False, True])
def test_saelens_signed_latents(rescale: bool, agree: Agree, tmp_path: Path) -> None:
    saelens_sae("abstopk", k=K, rescale_acts_by_decoder_norm=rescale).save_model(tmp_path)
    sae, found = ours(tmp_path, inputs())
    latents = saelens_encode(tmp_path, inputs())
    assert (latents < 0).any()
    agree("SAELens abstopk", found, torch.cat([latents.clamp(min=0), (-latents).clamp(min=0)], dim=1))
    assert sae.n_features == 2 * N


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu"])
def test_saelens_scaler_beside_the_weights(architecture: str, agree: Agree, tmp_path: Path) -> None:
    """A checkpoint before the end of training: SAELens folds the factor when training ends, we when we read."""
    config: dict[str, Any] = {"k": K} if architecture == "topk" else {}
    made = saelens_sae(architecture, normalize_activations="expected_average_only_in", **config)
    made.save_model(tmp_path)
    scaler = library("sae_lens.training.activation_scaler").ActivationScaler(scaling_factor=0.4)
    scaler.save(str(tmp_path / "activation_scaler.json"))
    _, found = ours(tmp_path, inputs())
    made.fold_activation_norm_scaling_factor(0.4)
    with torch.no_grad():
        encoded = made.encode(inputs())
    agree("SAELens activation_scaler.json", found, encoded.to_dense() if encoded.is_sparse else encoded)


# --- Gemma Scope, by SAELens's reader ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "hook"), [("res", "hook_resid_post"), ("mlp", "hook_mlp_out"), ("att", "attn.hook_z")]
)
def test_gemma_scope(site: str, hook: str, agree: Agree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository, name = f"google/gemma-scope-2b-pt-{site}", "layer_12/width_16k/average_l0_22"
    folder = tmp_path / repository / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    shapes = {"W_enc": (D, N), "b_enc": (N,), "W_dec": (N, D), "b_dec": (D,), "threshold": (N,)}
    arrays = {key: (0.3 * rng.standard_normal(shape)).astype(np.float32) for key, shape in shapes.items()}
    arrays["threshold"] = np.abs(arrays["threshold"])
    np.savez(folder / "params.npz", allow_pickle=False, **arrays)
    loaders = library("sae_lens.loading.pretrained_sae_loaders")
    monkeypatch.setattr(loaders, "hf_hub_download", lambda *_, **__: str(folder / "params.npz"))
    config, state, _ = loaders.gemma_2_sae_huggingface_loader(
        repository, name, "cpu", cfg_overrides={"d_in": D, "d_sae": N, "reshape_activations": "none"}
    )
    theirs = library("sae_lens").SAE.from_dict(loaders.handle_config_defaulting(config))
    theirs.load_state_dict(state)
    sae, found = ours(folder, inputs())
    with torch.no_grad():
        agree("Gemma Scope", found, theirs.encode(inputs()))
    assert sae.hook == f"blocks.12.{hook}" == theirs.cfg.metadata.hook_name


# --- dictionary_learning ----------------------------------------------------------------------------

ANNEALED = {"sparsity_function": "Lp^p", "initial_sparsity_penalty": 0.01, "anneal_start": 1}
TRAINERS: dict[str, dict[str, Any]] = {
    "standard.StandardTrainer": {"l1_penalty": 0.01},
    "p_anneal.PAnnealTrainer": ANNEALED,
    "gdm.GatedSAETrainer": {"l1_penalty": 0.01},
    "gated_anneal.GatedAnnealTrainer": ANNEALED,
    "jumprelu.JumpReluTrainer": {"target_l0": 8.0},
    "top_k.TopKTrainer": {"k": K, "threshold_start_step": 0},
    "batch_top_k.BatchTopKTrainer": {"k": K, "threshold_start_step": 0},
    "matryoshka_batch_top_k.MatryoshkaBatchTopKTrainer": {
        "k": K,
        "threshold_start_step": 0,
        "group_fractions": [0.25, 0.75],
    },
}


class Activations:
    """A buffer: batches of activations, and the settings that the library saves."""

    config: dict[str, Any] = {"d_submodule": D, "io": "out", "n_ctxs": 30, "ctx_len": 128, "device": "cpu"}  # noqa: RUF012

    def __iter__(self) -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(3)
        while True:
            yield 2 * torch.randn(64, D, generator=generator) + 0.5


def train(name: str, folder: Path, normalize: bool = False, **changed: Any) -> Path:
    """Some steps of the library's own training, and what it saves."""
    module, trainer = name.split(".")
    settings = {
        "trainer": getattr(library(f"dictionary_learning.trainers.{module}"), trainer),
        "steps": 40,
        "activation_dim": D,
        "dict_size": N,
        "layer": 1,
        "lm_name": "EleutherAI/pythia-70m",
        "warmup_steps": 1,
        "device": "cpu",
        "lr": 1e-2,
        **TRAINERS.get(name, {}),
        **changed,
    }
    if "TopK" not in trainer:
        settings |= {"sparsity_warmup_steps": 1}
    if trainer not in ("GatedSAETrainer", "GatedAnnealTrainer"):
        settings |= {"submodule_name": "resid_post_layer_1"}
    library("dictionary_learning.training").trainSAE(
        Activations(), [settings], 40, save_dir=str(folder), device="cpu", normalize_activations=normalize
    )
    return folder / "trainer_0"


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("normalize", [False, True])
def test_dictionary_learning(name: str, normalize: bool, agree: Agree, tmp_path: Path) -> None:
    library("dictionary_learning")
    folder = train(name, tmp_path, normalize)
    theirs, config = library("dictionary_learning.utils").load_dictionary(str(folder), "cpu")
    given = {} if config["trainer"].get("submodule_name") else {"hook": HOOK}
    sae, found = ours(folder, inputs(), **given)
    with torch.no_grad():
        agree(f"dictionary_learning {type(theirs).__name__}", found, theirs.encode(inputs()))
        offset = torch.zeros(D) if not hasattr(theirs, "decode") else theirs.decode(torch.zeros(1, N))[0]
        torch.testing.assert_close(found @ sae.directions + offset, theirs.decode(found), rtol=1e-4, atol=1e-4)
    assert (sae.hook, sae.processing) == (HOOK, "raw")


def test_dictionary_learning_without_unit_rows(agree: Agree, tmp_path: Path) -> None:
    """The library rescales such a file when it loads it; we keep the file's scale. The row's norm is between them."""
    library("dictionary_learning")
    folder = train("standard.StandardTrainerAprilUpdate", tmp_path, l1_penalty=0.01)
    theirs, _ = library("dictionary_learning.utils").load_dictionary(str(folder), "cpu")
    sae, found = ours(folder, inputs())
    norm = sae.directions.norm(dim=1)
    assert not torch.allclose(norm, torch.ones(N), atol=0.01)
    with torch.no_grad():
        agree("dictionary_learning AutoEncoder", found * norm, theirs.encode(inputs()))
        plain = library("dictionary_learning.dictionary").AutoEncoder.from_pretrained(
            str(folder / "ae.pt"), normalize_decoder=False
        )
        agree("dictionary_learning AutoEncoder", found, plain.encode(inputs()))


@pytest.mark.parametrize(
    "name",
    [
        "AutoEncoder",
        "AutoEncoderNew",
        "GatedAutoEncoder",
        "JumpReluAutoEncoder",
        "AutoEncoderTopK",
        "BatchTopKSAE",
        "MatryoshkaBatchTopKSAE",
    ],
)
def test_dictionary_learning_classes_with_random_weights(name: str, agree: Agree, tmp_path: Path) -> None:
    library("dictionary_learning")
    modules = {
        "AutoEncoderTopK": "top_k",
        "BatchTopKSAE": "batch_top_k",
        "MatryoshkaBatchTopKSAE": "matryoshka_batch_top_k",
    }
    where = f"trainers.{modules[name]}" if name in modules else "dictionary"
    more: list[Any] = [K] if name in modules else []
    if name == "MatryoshkaBatchTopKSAE":
        more.append([16, N - 16])
    theirs = getattr(library(f"dictionary_learning.{where}"), name)(D, N, *more)
    randomise(theirs)
    if name in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        theirs.threshold.fill_(0.7)
    config = {"trainer": {"dict_class": name, "submodule_name": "gpt_neox.layers.1", "layer": 1}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(theirs.state_dict(), tmp_path / "ae.pt")
    sae, found = ours(tmp_path, inputs())
    with torch.no_grad():
        agree(f"dictionary_learning {name}", found, theirs.encode(inputs()))
    assert sae.hook == HOOK


def test_dictionary_learning_refuses_a_threshold_that_was_never_set(tmp_path: Path) -> None:
    library("dictionary_learning")
    folder = train("batch_top_k.BatchTopKTrainer", tmp_path, threshold_start_step=1000)
    with pytest.raises(InputError, match="saved before training set one"):
        load_dictionary(str(folder))


# --- sparsify ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["topk", "groupmax"])
@pytest.mark.parametrize("transcode", [False, True])
@pytest.mark.parametrize("skip_connection", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sparsify(
    activation: str, transcode: bool, skip_connection: bool, dtype: torch.dtype, agree: Agree, tmp_path: Path
) -> None:
    sparsify = library("sparsify")
    config = sparsify.SparseCoderConfig(
        activation=activation, expansion_factor=N // D, k=K, transcode=transcode, skip_connection=skip_connection
    )
    coder = sparsify.SparseCoder(D, config)
    randomise(coder)
    if not transcode:
        coder.set_decoder_norm_to_unit_norm()
    folder = tmp_path / "layers.1"
    coder.to(dtype).save_to_disk(folder)
    theirs = sparsify.SparseCoder.load_from_disk(folder).float()
    sae, found = ours(folder, inputs())
    with torch.no_grad():
        top = theirs.encode(inputs())
        dense = torch.zeros(len(found), N).scatter_(1, top.top_indices, top.top_acts)
        agree(f"sparsify {activation}", found, dense)
        rebuilt = found @ sae.directions + sae.b_dec
        if sae.W_skip is not None:
            rebuilt += inputs() @ sae.W_skip.T
        torch.testing.assert_close(rebuilt, theirs(inputs()).sae_out.float(), rtol=1e-4, atol=1e-4)
    reads_input = transcode or skip_connection
    assert sae.hook == ("blocks.1.hook_resid_pre" if reads_input else HOOK)
