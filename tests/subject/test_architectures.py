"""Models beyond GPT-2, tiny and random: activations, logits, special ids and logit effects are Hugging Face's own.

Pythia (parallel attention, partial rotary), Llama and Qwen 2 (RMS norm, grouped heads, biases), Gemma (embeddings
scaled, norm weights stored minus 1) and Gemma 2 (norms after each half of a block, soft caps, sliding windows).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.extract.effects import TOP, logit_effects
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


def body(plain: Any) -> Any:
    return plain.gpt_neox if hasattr(plain, "gpt_neox") else plain.model


def attention(block: Any) -> tuple[Any, Any]:
    """The attention and its output projection."""
    return (
        (block.attention, block.attention.dense)
        if hasattr(block, "attention")
        else (
            block.self_attn,
            block.self_attn.o_proj,
        )
    )


def down(block: Any) -> Any:
    return block.mlp.dense_4h_to_h if hasattr(block.mlp, "dense_4h_to_h") else block.mlp.down_proj


@pytest.fixture(scope="module")
def reference(family: str, plain: Any, ids: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """What forward hooks on Hugging Face's model see at each of our hook points; and its logits."""
    found: dict[str, torch.Tensor] = {}
    handles = []

    def keep(module: Any, name: str, side: str) -> None:
        def hook(_module: Any, inputs: Any, out: Any) -> None:
            found[name] = inputs[0] if side == "in" else out[0] if isinstance(out, tuple) else out

        handles.append(module.register_forward_hook(hook))

    for layer, block in enumerate(body(plain).layers):
        name = f"blocks.{layer}"
        whole, projection = attention(block)
        keep(block, f"{name}.hook_resid_pre", "in")
        keep(block, f"{name}.hook_resid_post", "out")
        keep(projection, f"{name}.attn.hook_z", "in")
        keep(down(block), f"{name}.mlp.hook_post", "in")
        if family == "Gemma2":  # what is added to the residual stream: after the norms behind each half
            keep(block.post_attention_layernorm, f"{name}.hook_attn_out", "out")
            keep(block.post_feedforward_layernorm, f"{name}.hook_mlp_out", "out")
            keep(block.pre_feedforward_layernorm, f"{name}.hook_resid_mid", "in")
            continue
        keep(whole, f"{name}.hook_attn_out", "out")
        keep(block.mlp, f"{name}.hook_mlp_out", "out")
        if family != "GPTNeoX":  # its attention and MLP read the same: there is nothing in between
            keep(block.post_attention_layernorm, f"{name}.hook_resid_mid", "in")
    with torch.no_grad():
        logits = plain(ids).logits
    for handle in handles:
        handle.remove()
    return found, logits


def about(name: str) -> Callable[[str], str]:
    """Puts a name before what a failed comparison says."""
    return lambda text: f"{name}: {text}"


def test_activations_and_logits_are_those_of_hugging_face(
    family: str, subject: Subject, ids: torch.Tensor, reference: tuple[dict[str, torch.Tensor], torch.Tensor]
) -> None:
    expected, logits = reference
    assert len(expected) == 2 * (6 if family == "GPTNeoX" else 7)
    for name, value in expected.items():
        [(_, found)] = subject.activations(ids, [name]).items()
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-4, msg=about(name))
        assert subject.width(name) == value.shape[-1]
    assert subject.width("blocks.0.attn.hook_z") == Z[family]  # the heads side by side
    with torch.no_grad():
        torch.testing.assert_close(subject.bridge(ids), logits, rtol=1e-4, atol=1e-4)
    if family == "GPTNeoX":
        with pytest.raises(InputError, match=r'no hook point "blocks\.0\.hook_resid_mid"; the nearest is'):
            subject.check_hook("blocks.0.hook_resid_mid")


def test_special_ids_and_shape(family: str, subject: Subject) -> None:
    assert subject.architecture == f"{family}ForCausalLM"
    assert (subject.n_layers, subject.d_model, subject.d_vocab, subject.n_ctx) == (2, 32, 61, 24)
    assert subject.bos == 0
    assert subject.special == ((0, 1, 2) if family.startswith("Gemma") else (0, 1))


def without_division(norm: Any, written: torch.Tensor) -> torch.Tensor:
    """A norm's own forward, its division undone and its bias taken off."""
    with torch.no_grad():
        bias = getattr(norm, "bias", None)
        out: torch.Tensor = norm(written) - (0 if bias is None else bias)
        if isinstance(norm, torch.nn.LayerNorm):
            return out * torch.sqrt(written.var(dim=-1, keepdim=True, correction=0) + norm.eps)
        eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0))
        return out * torch.sqrt(written.square().mean(dim=-1, keepdim=True) + eps)


@pytest.mark.parametrize("hook", ["hook_resid_pre", "hook_attn_out", "hook_mlp_out", "mlp.hook_post", "attn.hook_z"])
def test_logit_effects_go_through_the_models_own_modules(hook: str, family: str, subject: Subject, plain: Any) -> None:
    name = f"blocks.0.{hook}"
    d = subject.width(name)
    direction = torch.from_numpy(np.random.default_rng(1).standard_normal((6, d)).astype(np.float32))
    units = Units(
        "random_isotropic",
        name,
        d,
        torch.arange(6),
        direction,
        torch.tensor([1, -1, 1, -1, 1, 1.0]),
        torch.zeros(6),
        torch.zeros(6),
    )
    usable = np.ones(61, dtype=bool)
    usable[:3] = False
    found = logit_effects(subject, units, np.arange(6), usable)
    assert found is not None
    block = body(plain).layers[0]
    written = units.directions
    projection = {"mlp.hook_post": down(block), "attn.hook_z": attention(block)[1]}.get(hook)
    with torch.no_grad():
        if projection is not None:
            written = projection(written) - projection(torch.zeros_like(written))
        if family == "Gemma2" and projection is not None:
            after = block.post_feedforward_layernorm if "mlp" in hook else block.post_attention_layernorm
            written = without_division(after, written)
        final = body(plain).final_layer_norm if family == "GPTNeoX" else body(plain).norm
        effect = plain.get_output_embeddings()(without_division(final, written))[:, 3:]
    effect = effect - effect.median(dim=1, keepdim=True).values
    for promoted, sign in (("promoted", 1), ("suppressed", -1)):
        kept = found.token[promoted].shape[1]
        assert kept == min(TOP[promoted], 58)
        best = (sign * effect).topk(kept, dim=1)
        np.testing.assert_array_equal(found.token[promoted], best.indices.numpy() + 3)
        np.testing.assert_allclose(found.effect[promoted], sign * best.values.numpy(), rtol=1e-3, atol=1e-3)
        squares = np.sort((sign * effect).clamp(min=0).square().numpy(), axis=1)[:, ::-1]
        for row, n_half in zip(squares, found.n_half[promoted].tolist(), strict=True):
            assert row[:n_half].sum() >= 0.4999 * row.sum(), "the fewest tokens that hold half"
            assert row[: n_half - 1].sum() <= 0.5001 * row.sum()


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
