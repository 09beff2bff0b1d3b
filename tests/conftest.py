"""What every test can ask for: a tiny random subject, dictionaries on disk, token arrays, a complete store."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import built_store
import numpy as np
import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Shapes in annotations are checked while testing.
install_import_hook(["autointerp.subject", "autointerp.extract"], "beartype.beartype")

VOCABULARY, WIDTH, LAYERS, CONTEXT = 61, 32, 3, 24


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random three-layer GPT-2 on disk, without a tokenizer; ids 0 (BOS) and 1 are special."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("tiny-model")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=4,
        n_positions=CONTEXT,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_subject(tiny_model: Path) -> Any:
    from autointerp.subject.loading import load_subject

    return load_subject(str(tiny_model), None, "raw", "float32", "cpu")


@pytest.fixture(scope="session")
def plain_model(tiny_model: Path) -> Any:
    """The same model as Hugging Face loads it: a bridge's own copy remembers the size of the last batch."""
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(tiny_model).eval()


@pytest.fixture(scope="session")
def token_array() -> np.ndarray:
    """[90, CONTEXT] ids with a skewed frequency, BOS first, the special id 1 strewn in."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, VOCABULARY - 1)
    array = rng.choice(np.arange(2, VOCABULARY), size=(90, CONTEXT), p=frequency / frequency.sum())
    array[:, 0] = 0
    array[rng.random(array.shape) < 0.01] = 1
    array[:, 0] = 0
    return array.astype(np.int32)


@pytest.fixture(scope="session")
def tokens_npy(token_array: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.npy"
    np.save(path, token_array)
    return path


@pytest.fixture(scope="session")
def write_sae() -> Callable[..., Path]:
    """Writes a random dictionary in SAELens's format; `change` may edit config and weights before."""
    import torch
    from safetensors.torch import save_file

    def write(
        folder: Path,
        architecture: str = "standard",
        d_in: int = WIDTH,
        d_sae: int = 48,
        hook: str = "blocks.1.hook_resid_post",
        seed: int = 0,
        change: Callable[[dict[str, Any], dict[str, Any]], None] | None = None,
        **config: Any,
    ) -> Path:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Any:
            return torch.randn(*shape, generator=generator)

        weights = {"W_enc": normal(d_in, d_sae) / d_in**0.5, "W_dec": normal(d_sae, d_in), "b_dec": 0.1 * normal(d_in)}
        scale = 1.5
        if architecture == "gated":
            weights |= {"b_gate": normal(d_sae) - scale, "r_mag": 0.1 * normal(d_sae), "b_mag": 0.1 * normal(d_sae)}
        else:
            weights["b_enc"] = normal(d_sae) - scale
        if "jumprelu" in architecture:
            weights["threshold"] = 0.5 * normal(d_sae).abs()
        if architecture == "topk":
            config = {"k": 5, **config}
            weights["b_enc"] = normal(d_sae)
        written: dict[str, Any] = {
            "architecture": architecture,
            "d_in": d_in,
            "d_sae": d_sae,
            "dtype": "float32",
            "apply_b_dec_to_input": "transcoder" not in architecture,
            "normalize_activations": "none",
            "metadata": {"sae_lens_version": "6.54.12", "hook_name": hook},
            **config,
        }
        if change is not None:
            change(written, weights)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cfg.json").write_text(json.dumps(written))
        save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "sae_weights.safetensors")
        return folder

    return write


@pytest.fixture(scope="session")
def builder() -> SimpleNamespace:
    """The names of tests/helpers/built_store."""
    return SimpleNamespace(**vars(built_store))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    """The path of a complete store that no test may change, and the world it was written from."""
    path = tmp_path_factory.mktemp("store") / "demo.duckdb"
    return path, built_store.build_store(path)


@pytest.fixture
def store(built: tuple[Path, object], tmp_path: Path) -> Path:
    """A copy of the complete store."""
    return Path(shutil.copy(built[0], tmp_path / "demo.duckdb"))


@pytest.fixture(scope="session")
def judged_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a run made, with a judge, failures and two dictionaries (`helpers/judged.py`); no test may change
    it."""
    from judged import make_judged_store, register_own

    register_own()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        path = tmp_path_factory.mktemp("judged") / "judged.duckdb"
        make_judged_store(path)
        return path
    folder = tmp_path_factory.getbasetemp().parent / "judged"  # of all workers: the first makes it, the others wait
    folder.mkdir(exist_ok=True)
    path = folder / "judged.duckdb"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            make_judged_store(path)
            (folder / "whole").touch()
    return path


@pytest.fixture(scope="session")
def small_text() -> Any:
    """Every ninth context of the bundled corpus, for features of the self-test."""
    from dataclasses import replace

    from autointerp.pipeline.selftest import bundled_text

    text = bundled_text()
    some = {name: getattr(text, name)[::9] for name in ("tokens", "scored", "valid", "document", "block")}
    return replace(text, **some)
