"""Models beyond GPT-2, tiny and random: spread over several places, and with their weights drawn again.

That their activations, logits and logit effects are Hugging Face's own is tested in `test_families.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.effects import logit_effects
from autointerp.subject.dictionary import Units
from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject
from autointerp.subject.rerandomise import rerandomise

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
SOFT = {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "GPTNeoX": {"rotary_pct": 0.5},
    "Llama": {"num_key_value_heads": 2},
    "Qwen2": {"num_key_value_heads": 2},
    "Gemma": {"num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 2},
    "Gemma2": {"num_key_value_heads": 2, "head_dim": 16, "pad_token_id": 2, "sliding_window": 8, **SOFT},
}
Z = {"GPTNeoX": 32, "Llama": 32, "Qwen2": 32, "Gemma": 64, "Gemma2": 64}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SHAPE | FAMILIES[family])
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8)
            else:
                weight.add_(torch.randn_like(weight) * 0.3)
    path = tmp_path_factory.mktemp(family)
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def plain(folder: Path) -> Any:
    """Hugging Face's own model, loaded anew."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


@pytest.fixture(scope="module")
def subject(folder: Path) -> Subject:
    return load_subject(str(folder), None, "raw", "float32", "cpu")


@pytest.fixture(scope="module")
def ids() -> torch.Tensor:
    tokens = torch.from_numpy(np.random.default_rng(0).integers(2, 61, (5, 24)))
    tokens[:, 0] = 0
    return tokens


def test_a_model_over_several_places_gives_the_same(
    family: str, folder: Path, subject: Subject, ids: torch.Tensor, tmp_path: Path
) -> None:
    """All on the CPU, and half of it on disk: what a machine without GPUs can show of a device map."""
    hooks = ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.1.attn.hook_z"]
    expected = subject.activations(ids, hooks)
    units = Units(
        "random_isotropic",
        hooks[2],
        Z[family],
        torch.arange(3),
        torch.eye(Z[family])[:3],
        torch.ones(3),
        torch.zeros(3),
        torch.zeros(3),
    )
    effects = logit_effects(subject, units, np.arange(3), np.ones(61, dtype=bool))
    assert effects is not None
    for limits in ({"cpu": "1GB"}, {"cpu": "60KB"}):
        mapped = load_subject(
            str(folder), None, "raw", "float32", "map", max_memory=limits, offload_folder=str(tmp_path)
        )
        assert (mapped.checksum, str(mapped.device)) == (subject.checksum, "cpu")
        places = getattr(mapped.bridge.original_model, "hf_device_map", {})
        on_disk = "disk" in {str(place) for place in places.values()}
        assert on_disk == (limits["cpu"] == "60KB")
        found = mapped.activations(ids, hooks)
        for hook in hooks:
            torch.testing.assert_close(found[hook], expected[hook], rtol=1e-5, atol=1e-5)
        mine = logit_effects(mapped, units, np.arange(3), np.ones(61, dtype=bool))
        assert mine is not None
        np.testing.assert_array_equal(mine.token["promoted"], effects.token["promoted"])
        np.testing.assert_allclose(mine.effect["promoted"], effects.effect["promoted"], rtol=1e-5)


# --- re-randomised ------------------------------------------------------------------------------------


def test_a_rerandomised_model_keeps_the_statistics_of_its_matrices(plain: Any, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    drawn, again, other, kept = (AutoModelForCausalLM.from_pretrained(folder) for _ in range(4))
    n = rerandomise(drawn, 3)
    assert n == sum(weight.ndim > 1 for weight in plain.parameters())
    rerandomise(again, 3)
    rerandomise(other, 4)
    assert rerandomise(kept, 3, embeddings=False) < n
    for (name, before), after, same, others in zip(
        plain.named_parameters(), drawn.parameters(), again.parameters(), other.parameters(), strict=True
    ):
        torch.testing.assert_close(after, same, rtol=0, atol=0)
        if before.ndim < 2:
            torch.testing.assert_close(after, before, rtol=0, atol=0)
            continue
        size, spread = before.numel(), float(before.std())
        assert abs(float(after.mean() - before.mean())) < 5 * spread / size**0.5, name
        assert float(after.std()) == pytest.approx(spread, rel=5 / (2 * size) ** 0.5), name
        correlation = np.corrcoef(before.detach().flatten(), after.detach().flatten())[0, 1]
        assert abs(correlation) < 5 / size**0.5, name
        assert not torch.equal(after, others)
    torch.testing.assert_close(kept.get_output_embeddings().weight, plain.get_output_embeddings().weight)
    torch.testing.assert_close(kept.get_input_embeddings().weight, plain.get_input_embeddings().weight)


def test_a_rerandomised_subject_says_so(folder: Path, subject: Subject, ids: torch.Tensor) -> None:
    drawn = [load_subject(str(folder), None, "raw", "float32", "cpu", rerandomised=seed) for seed in (0, 0, 1)]
    assert [model.rerandomised for model in (subject, *drawn)] == [None, 0, 0, 1]
    assert drawn[0].checksum == drawn[1].checksum
    assert len({model.checksum for model in (subject, *drawn)}) == 3
    hook = "blocks.1.hook_resid_post"
    once, again, other = (model.activations(ids, [hook])[hook] for model in drawn)
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert not torch.allclose(once, other, atol=0.1)
