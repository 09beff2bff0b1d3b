"""Every family of `subject/tested.py`, tiny and random: hook points, logits and logit effects are Hugging Face's own.

What is expected comes from forward hooks on a model that transformers loads anew, and from its own modules; of what is
added to the residual stream, from the stream itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.extract.effects import TOP, logit_effects
from autointerp.subject.dictionary import Units
from autointerp.subject.hidden_tokens import hidden_tokens
from autointerp.subject.hook_places import hook_places
from autointerp.subject.hook_truth import check_truth
from autointerp.subject.loading import load_subject
from autointerp.subject.model import Subject
from autointerp.subject.patching import SuffixPasses, WholePasses, patched_passes
from autointerp.subject.steering import WholeSteering, steered_passes
from autointerp.subject.tested import FAMILIES, TestedFamily

SHAPE = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
ATTENTION = ("self_attn", "self_attention", "attention", "attn")
PROJECTION = ("o_proj", "dense", "c_proj")
DOWN = ("down_proj", "dense_4h_to_h", "c_proj")


def name_of(row: TestedFamily) -> str:
    return row.models


def tiny(row: TestedFamily) -> Any:
    """A random model, all of whose weights count."""
    import transformers

    torch.manual_seed(0)
    model_class = getattr(transformers, row.architecture)
    if row.architecture == "Gemma3ForConditionalGeneration":
        inner = transformers.Gemma3TextConfig(**SHAPE, **row.config)
        config: Any = transformers.Gemma3Config(
            text_config=inner,
            vision_config=VISION,
            mm_tokens_per_image=4,
            boi_token_index=3,
            eoi_token_index=4,
            image_token_index=5,
        )
    else:
        config = model_class.config_class(**SHAPE, **row.config)
    model = model_class(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8)
            else:
                weight.add_(torch.randn_like(weight) * 0.3)
    return model


class Loaded:
    """A family's subject, the plain model beside it, and what passes through its modules."""

    def __init__(self, row: TestedFamily, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        self.row = row
        tiny(row).save_pretrained(folder)
        self.plain: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
        self.subject: Subject = load_subject(str(folder), None, "raw", "float32", "cpu")
        tokens = torch.from_numpy(np.random.default_rng(0).integers(6, 61, (3, 20)))
        tokens[:, 0] = 0
        self.ids = tokens
        self.sides: dict[tuple[int, str, str], torch.Tensor] = {}
        self.logits: torch.Tensor = torch.zeros(0)
        self._run()

    @property
    def blocks(self) -> Any:
        inner = self.plain.base_model
        inner = getattr(inner, "language_model", inner)
        return inner.layers if hasattr(inner, "layers") else inner.h

    @property
    def final_norm(self) -> Any:
        inner = getattr(self.plain.base_model, "language_model", self.plain.base_model)
        return next(getattr(inner, name) for name in ("norm", "final_layer_norm", "ln_f") if hasattr(inner, name))

    def part(self, module: Any, names: tuple[str, ...]) -> Any:
        return next(getattr(module, name) for name in names if hasattr(module, name))

    def _run(self) -> None:
        handles = []

        def keep(module: Any, layer: int, name: str) -> None:
            def hook(_module: Any, inputs: Any, named: Any, out: Any) -> None:
                before = inputs[0] if inputs else named["hidden_states"]
                self.sides[layer, name, "in"] = before.detach()
                after = (out[0] if isinstance(out, tuple) else out).detach()
                self.sides[layer, name, "out"] = after.reshape(*self.ids.shape, -1)

            handles.append(module.register_forward_hook(hook, with_kwargs=True))

        for layer, block in enumerate(self.blocks):
            attention = self.part(block, ATTENTION)
            keep(block, layer, "block")
            keep(attention, layer, "attention")
            keep(self.part(attention, PROJECTION), layer, "projection")
            keep(block.mlp, layer, "mlp")
            if self.row.neurons:
                keep(self.part(block.mlp, DOWN), layer, "down")
        with torch.no_grad():
            self.logits = self.plain(self.ids).logits
        for handle in handles:
            handle.remove()

    def expected(self) -> dict[str, torch.Tensor]:
        """What each hook point must hold, from modules alone."""
        values = {}
        for layer in range(2):
            name = f"blocks.{layer}"
            values[f"{name}.hook_resid_pre"] = self.sides[layer, "block", "in"]
            values[f"{name}.hook_resid_post"] = self.sides[layer, "block", "out"]
            values[f"{name}.attn.hook_in"] = self.sides[layer, "attention", "in"]
            values[f"{name}.attn.hook_out"] = self.sides[layer, "attention", "out"]
            values[f"{name}.attn.hook_z"] = self.sides[layer, "projection", "in"]
            values[f"{name}.mlp.hook_in"] = self.sides[layer, "mlp", "in"]
            values[f"{name}.mlp.hook_out"] = self.sides[layer, "mlp", "out"]
            if self.row.neurons:
                values[f"{name}.mlp.hook_post"] = self.sides[layer, "down", "in"]
        return values


@pytest.fixture(scope="module", params=FAMILIES, ids=name_of)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return Loaded(request.param, tmp_path_factory.mktemp("family"))


def about(name: str) -> Callable[[str], str]:
    return lambda text: f"{name}: {text}"


def close(found: torch.Tensor, expected: torch.Tensor, name: str) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, msg=about(name))


def test_every_hook_point_is_what_it_says(family: Loaded) -> None:
    subject, expected = family.subject, family.expected()
    assert subject.architecture == family.row.architecture
    assert (subject.n_layers, subject.d_model, subject.d_vocab, subject.n_ctx) == (2, 32, 61, 24)
    assert (subject.bos, subject.special) == (0, (0, 1, 2))
    for name, value in expected.items():
        alone = subject.activations(family.ids, [name])[name]
        close(alone, value.reshape(*family.ids.shape, -1), name)
        assert subject.width(name) == alone.shape[-1]
    with torch.no_grad():
        close(subject.bridge(family.ids), family.logits, "logits")


def test_halves_of_a_block_are_what_they_add(family: Loaded) -> None:
    """Each by itself: what the attention adds is not its output where a norm or a multiplier stands behind it."""
    for layer in range(2):
        names = [f"blocks.{layer}.{kind}" for kind in ("hook_attn_out", "hook_mlp_out")]
        attention, mlp = (family.subject.activations(family.ids, [name])[name] for name in names)
        before, after = family.sides[layer, "block", "in"], family.sides[layer, "block", "out"]
        close(before + attention + mlp, after, names[1])
        middle = f"blocks.{layer}.hook_resid_mid"
        assert (middle in family.subject.bridge.hook_dict) == family.row.residual_halves
        if not family.row.residual_halves:
            with pytest.raises(InputError, match=rf'no hook point "{middle}"; the nearest is'):
                family.subject.check_hook(middle)
        else:
            close(family.subject.activations(family.ids, [middle])[middle], before + attention, middle)


KINDS = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "attn.hook_z")


def test_the_names_are_true_and_their_places_told(family: Loaded) -> None:
    subject = family.subject
    hooks = [f"blocks.1.{kind}" for kind in KINDS if f"blocks.1.{kind}" in subject.bridge.hook_dict]
    check_truth(subject, hooks)
    places = hook_places(subject, hooks)
    blocks = {
        "GPT2LMHeadModel": "transformer.h",
        "BloomForCausalLM": "transformer.h",
        "GPTNeoXForCausalLM": "gpt_neox.layers",
        "Gemma3ForConditionalGeneration": "model.language_model.layers",
    }.get(subject.architecture, "model.layers")
    assert places["blocks.1.hook_resid_post"].text.startswith(f"output of {blocks}.1")
    assert places["blocks.1.attn.hook_z"].text.startswith(f"input of {blocks}.1.")
    assert all(place.module is not None for place in places.values()), places


def test_experts_have_no_neurons_at_one_place(family: Loaded) -> None:
    for kind in ("mlp.hook_pre", "mlp.hook_post"):
        hook = f"blocks.0.{kind}"
        if family.row.neurons:
            check_truth(family.subject, [hook])
            continue
        with pytest.raises(InputError, match=r"block 0 has a mixture of experts: take \"blocks\.0\.hook_mlp_out\""):
            check_truth(family.subject, [hook])


# --- vectors that are added ---------------------------------------------------------------------------


PATCHED = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "mlp.hook_post")


@torch.no_grad()
def patched_by_hand(family: Loaded, kind: str, position: int | slice, added: torch.Tensor) -> torch.Tensor:
    """[L, V] logits of the first row, a vector added inside the model: to the stream, where that is meant."""
    block = family.blocks[0]
    module, side, factor = block, "out", 1.0
    if kind == "hook_resid_pre":
        side = "in"
    elif kind == "mlp.hook_post":
        module, side = family.part(block.mlp, DOWN), "in"
    elif kind in ("hook_attn_out", "hook_resid_mid") and family.row.residual_halves:
        behind = hasattr(block, "post_feedforward_layernorm")
        module = block.post_attention_layernorm if behind else family.part(block, ATTENTION)
        factor = 1.0 if behind else 1.0 / getattr(block, "residual_multiplier", 1.0)

    def plus(value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        value[0, position] += added * factor
        return value

    def at_input(_module: Any, inputs: Any, named: Any) -> Any:
        if inputs:
            return (plus(inputs[0]), *inputs[1:]), named
        return inputs, {**named, "hidden_states": plus(named["hidden_states"])}

    def at_output(_module: Any, _inputs: Any, out: Any) -> Any:
        return (plus(out[0]), *out[1:]) if isinstance(out, tuple) else plus(out)

    if side == "in":
        handle = module.register_forward_pre_hook(at_input, with_kwargs=True)
    else:
        handle = module.register_forward_hook(at_output)
    try:
        logits: torch.Tensor = family.plain(family.ids[:1]).logits[0]
    finally:
        handle.remove()
    return logits


@pytest.mark.parametrize("kind", PATCHED)
def test_what_is_added_counts_where_it_is_meant(kind: str, family: Loaded) -> None:
    """Both ways to run the model equal Hugging Face's with a vector added by hand, wherever the vector stands."""
    hook = f"blocks.0.{kind}"
    if hook not in family.subject.bridge.hook_dict or (kind == "mlp.hook_post" and not family.row.neurons):
        return  # refused, as above
    ids, after = family.ids[0], 5
    passes = patched_passes(family.subject, hook, after, ids)
    positions = torch.tensor([3, 17, 9])
    added = torch.randn(3, family.subject.width(hook), generator=torch.Generator().manual_seed(1)) * 3
    for way in (passes, WholePasses(family.subject, hook, after)):
        found = way.open(ids).logits(positions, added)
        assert found.shape == (3, after + 1, 61)
        for row, position in enumerate(positions.tolist()):
            n = min(after + 1, len(ids) - position)
            expected = patched_by_hand(family, kind, position, added[row])[position : position + n]
            close(found[row, :n], expected, f"{type(way).__name__} at {hook}")


def test_only_what_follows_is_run_where_what_stands_before_is_kept(family: Loaded) -> None:
    """Not where a window slides within the context, nor where BLOOM counts its distances by a mask; both run it all."""
    passes = patched_passes(family.subject, "blocks.0.hook_resid_post", 5, family.ids[0])
    if not {"sliding_window", "layer_types"} & set(family.row.config) and family.row.models != "BLOOM":
        assert isinstance(passes, SuffixPasses)


@pytest.mark.parametrize("kind", ["hook_resid_mid", "hook_mlp_out", "mlp.hook_post"])
def test_a_steered_text_equals_the_model_with_a_vector_at_every_token(kind: str, family: Loaded) -> None:
    """All but its first token; the last three are written one by one."""
    hook = f"blocks.0.{kind}"
    if hook not in family.subject.bridge.hook_dict or (kind == "mlp.hook_post" and not family.row.neurons):
        return
    ids = family.ids[0]
    added = torch.randn(2, family.subject.width(hook), generator=torch.Generator().manual_seed(1)) * 2
    for way in (steered_passes(family.subject, hook, ids, 1), WholeSteering(family.subject, hook)):
        text = way.open(ids[:-3], added, 1)
        for token in ids[-3:]:
            text.write(token.expand(2))
        for row in range(2):
            expected = patched_by_hand(family, kind, slice(1, None), added[row])[-1]
            close(text.logits[row], expected, f"{type(way).__name__} at {hook}")


def test_a_hidden_token_is_seen_by_no_other(family: Loaded) -> None:
    """As with a mask of rows and columns, which these models take too; never in BLOOM, whose distances would shift."""
    ids, hole = family.ids[0], 6
    hiding = hidden_tokens(family.subject, "blocks.1.hook_resid_post", ids)
    if family.row.models == "BLOOM":
        assert hiding is None
        return
    assert hiding is not None
    hidden = (torch.arange(len(ids)) == hole)[None]
    found = hiding.activations(ids[None], hidden)[0]
    if not {"sliding_window", "layer_types"} & set(family.row.config):
        mask = torch.full((len(ids), len(ids)), torch.finfo(torch.float32).min).triu(1)
        mask[hole + 1 :, hole] = torch.finfo(torch.float32).min
        kept: list[torch.Tensor] = []
        handle = family.blocks[1].register_forward_hook(
            lambda _m, _i, out: kept.append(out[0] if isinstance(out, tuple) else out)
        )
        with torch.no_grad():
            family.plain(ids[None], attention_mask=mask[None, None])
        handle.remove()
        others = torch.arange(len(ids)) != hole
        close(found[others], kept[0].reshape(len(ids), -1)[others], "hidden")


# --- direct logit effects -------------------------------------------------------------------------


def units_at(hook: str, width: int) -> Units:
    direction = torch.from_numpy(np.random.default_rng(1).standard_normal((5, width)).astype(np.float32))
    sign = torch.tensor([1, -1, 1, -1, 1.0])
    return Units("random_isotropic", hook, width, torch.arange(5), direction, sign, torch.zeros(5), torch.zeros(5))


def undivided(norm: Any, written: torch.Tensor) -> torch.Tensor:
    """A norm's own forward, its division undone and its bias taken off."""
    bias = getattr(norm, "bias", None)
    out: torch.Tensor = norm(written) - (0 if bias is None else bias)
    if isinstance(norm, torch.nn.LayerNorm):
        return out * torch.sqrt(written.var(dim=-1, keepdim=True, correction=0) + norm.eps)
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0))
    return out * torch.sqrt(written.square().mean(dim=-1, keepdim=True) + eps)


def linear(module: Any, written: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = module(written) - module(torch.zeros_like(written))
    return out


@torch.no_grad()
def effects_by_hand(family: Loaded, hook: str, written: torch.Tensor) -> torch.Tensor:
    """[F, V] through the plain model's own modules, with no word of ours on what each family does."""
    block = family.blocks[0]
    kind = hook.removeprefix("blocks.0.")
    half = "attention" if kind.startswith("attn.") else "mlp"
    if kind == "attn.hook_z":
        written = linear(family.part(family.part(block, ATTENTION), PROJECTION), written)
    elif kind == "mlp.hook_post":
        written = linear(family.part(block.mlp, DOWN), written)
    if kind.startswith(("attn.", "mlp.")):
        has_norm_behind = hasattr(block, "post_feedforward_layernorm")
        if has_norm_behind:
            behind = block.post_attention_layernorm if half == "attention" else block.post_feedforward_layernorm
            written = undivided(behind, written)
        written = written * getattr(block, "residual_multiplier", 1.0)
    logits: torch.Tensor = family.plain.get_output_embeddings()(undivided(family.final_norm, written))
    return logits / getattr(family.plain.config, "logits_scaling", 1.0)


@pytest.mark.parametrize("kind", ["hook_resid_pre", "hook_mlp_out", "attn.hook_out", "mlp.hook_post", "attn.hook_z"])
def test_direct_logit_effects_are_exact(kind: str, family: Loaded) -> None:
    if kind == "mlp.hook_post" and not family.row.neurons:
        return  # refused, as above
    hook = f"blocks.0.{kind}"
    units = units_at(hook, family.subject.width(hook))
    usable = np.arange(61) >= 3
    found = logit_effects(family.subject, units, np.arange(5), usable)
    assert found is not None
    effect = effects_by_hand(family, hook, units.directions)[:, 3:]
    effect = effect - effect.median(dim=1, keepdim=True).values
    for name, sign in (("promoted", 1), ("suppressed", -1)):
        best = (sign * effect).topk(min(TOP[name], 58), dim=1)
        np.testing.assert_array_equal(found.token[name], best.indices.numpy() + 3)
        np.testing.assert_allclose(found.effect[name], sign * best.values.numpy(), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found.skew, moment_of(effect, 3), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found.excess_kurtosis, moment_of(effect, 4) - 3, rtol=1e-3, atol=1e-3)
        spread = effect.std(dim=1)
        for row, counts in enumerate(found.counts[name].tolist()):
            z = [float(of) for of in effect[row] / spread[row]]
            edges = [0.5 * i for i in range(17)]
            mine = [abs(of) for of in z if sign * of > 0 or (of == 0 and sign == 1)]
            by_hand = [sum(low <= of < low + 0.5 for of in mine) for low in edges[:-1]]
            assert counts == [*by_hand, sum(of >= 8 for of in mine)]
        squares = np.sort((sign * effect).clamp(min=0).square().numpy(), axis=1)[:, ::-1]
        for row, n_half in zip(squares, found.n_half[name].tolist(), strict=True):
            assert row[:n_half].sum() >= 0.4999 * row.sum(), "the fewest tokens that hold half"
            assert row[: n_half - 1].sum() <= 0.5001 * row.sum()


def moment_of(effect: torch.Tensor, order: int) -> np.ndarray:
    """[F] the standardised moment of each row."""
    z = effect.double().numpy()
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True)
    return np.asarray((z**order).mean(axis=1))


# --- hook points that are not what they say ---------------------------------------------------------


@pytest.fixture(scope="module")
def by_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Loaded]:
    wanted = ("OLMo 2", "Granite", "BLOOM", "Gemma 2")
    return {row.models: Loaded(row, tmp_path_factory.mktemp("wrong")) for row in FAMILIES if row.models in wanted}


@pytest.mark.parametrize(
    ("models", "kind", "really"),
    [
        ("OLMo 2", "hook_mlp_out", "mlp.hook_out"),  # before the norm behind it
        ("OLMo 2", "hook_attn_out", "attn.hook_out"),
        ("Gemma 2", "hook_mlp_out", "mlp.hook_out"),
        ("Granite", "hook_mlp_out", "mlp.hook_out"),  # without the multiplier
        ("Granite", "hook_attn_out", "attn.hook_out"),
        ("BLOOM", "hook_mlp_out", "mlp.hook_out"),  # with the residual stream in it
        ("OLMo 2", "hook_resid_mid", "hook_resid_pre"),
        ("Granite", "hook_resid_post", "hook_mlp_out"),
        ("OLMo 2", "hook_resid_pre", "hook_resid_post"),
        ("Granite", "mlp.hook_post", "mlp.hook_pre"),
        ("Granite", "attn.hook_z", "attn.hook_out"),
    ],
)
def test_a_hook_point_that_is_not_what_it_says_is_refused(
    models: str, kind: str, really: str, by_models: Mapping[str, Loaded]
) -> None:
    """As versions of TransformerLens had it: the name leads to another place."""
    family = by_models[models]
    hook = f"blocks.1.{kind}"
    check_truth(family.subject, [hook])
    hooks = dict(family.subject.bridge.hook_dict)
    wrong = {**hooks, hook: hooks[f"blocks.1.{really}"]}

    class Misled:
        """The bridge, with one name that leads elsewhere."""

        hook_dict = wrong

        def __getattr__(self, name: str) -> Any:
            return getattr(family.subject.bridge, name)

        def run_with_hooks(self, tokens: torch.Tensor, fwd_hooks: list[tuple[str, Any]], **options: Any) -> Any:
            moved = [(f"blocks.1.{really}" if name == hook else name, act) for name, act in fwd_hooks]
            return family.subject.bridge.run_with_hooks(tokens, fwd_hooks=moved, **options)

    misled = replace(family.subject, bridge=Misled(), plain=None)
    with pytest.raises(InputError, match=r"should be what .* it is not") as caught:
        check_truth(misled, [hook])
    assert "\n" not in str(caught.value)
