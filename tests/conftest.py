"""What every test can ask for: a tiny random subject, dictionaries on disk, token arrays, a complete store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
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

BEGIN_WITH = (
    "show/test_judged_pages.py",
    "pipeline/test_end_to_end.py",
    "pipeline/test_kill.py",
    "show/test_report.py",
    "cli/test_surroundings.py",
    "pipeline/test_changes.py",
    "subject/test_families.py",
    "pipeline/test_merge.py",
    "browse/test_pages_of_a_store.py",
    "pipeline/test_again.py",
    "pipeline/test_llm_run.py",
    "pipeline/test_refine.py",
    "pipeline/test_measured_evidence.py",
    "pipeline/test_imported_labels.py",
    "pipeline/test_bad_input.py",
    "pipeline/test_bad_store.py",
)
"""The files that take longest, the longest first: begun last, one would keep a worker busy when the others have done.
The first makes the store that many others read."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker is given the next file that nobody has begun; workers are given them in this order."""
    place = {Path(__file__).parent / name: number for number, name in enumerate(BEGIN_WITH)}
    assert all(path.is_file() for path in place), "BEGIN_WITH names a file that is not there"
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session", autouse=True)
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Subjects and empty stores are made once in a process (`helpers/made_once.py`)."""
    from made_once import share_empty_stores, share_subjects  # after the hook: it imports what the hook watches

    with pytest.MonkeyPatch.context() as patch:
        share_subjects(patch.setattr)
        share_empty_stores(patch.setattr, tmp_path_factory.mktemp("empty"))
        yield


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
def judged_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a run made, with a judge, failures and two dictionaries (`helpers/judged.py`); no test may change
    it."""
    from judged import make_judged_store, register_own
    from kept_store import copy_of, kept_store, key_of_sources

    register_own()
    kept = kept_store(request.config.cache.mkdir("judged-store"), key_of_sources(), make_judged_store)
    return copy_of(kept, tmp_path_factory.mktemp("judged") / "judged.duckdb")


@pytest.fixture(scope="session")
def small_text() -> Any:
    """Every ninth context of the bundled corpus, for features of the self-test."""
    from dataclasses import replace

    from autointerp.pipeline.selftest import bundled_text

    text = bundled_text()
    some = {name: getattr(text, name)[::9] for name in ("tokens", "scored", "valid", "document", "block")}
    return replace(text, **some)
