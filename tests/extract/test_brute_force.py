"""Effects, step curves and changed contexts against a brute force that shares nothing with ours.

It is Hugging Face's model in double precision, run on a whole context for each number, with a vector put in by a hook
written here. Six kinds of models; the residual stream, what an MLP and what the attention puts out, and neurons.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.ablate import Ablation
from autointerp.extract.context_effects import depend, earlier_tokens
from autointerp.extract.effects import logit_path
from autointerp.extract.feature_reader import FeatureReader
from autointerp.extract.firings import Firings
from autointerp.extract.following import follow
from autointerp.extract.sensitivity import STEPS, Sensitivity, step_sizes
from autointerp.subject.baselines import FAMILIES
from autointerp.subject.dictionary import Units
from autointerp.subject.hidden_tokens import hidden_tokens
from autointerp.subject.loading import load_subject
from autointerp.subject.patching import patched_passes
from autointerp.subject.tokens import TokenFile

AFTER, N_UNITS = 3, 3
PLACES = {
    "gpt2": {
        "blocks.0.hook_resid_post": ("transformer.h.0", "out"),
        "blocks.1.hook_mlp_out": ("transformer.h.1.mlp", "out"),
        "blocks.1.hook_attn_out": ("transformer.h.1.attn", "out"),
        "blocks.0.mlp.hook_post": ("transformer.h.0.mlp.c_proj", "in"),
    },
    "llama": {
        "blocks.0.hook_resid_post": ("model.layers.0", "out"),
        "blocks.1.hook_mlp_out": ("model.layers.1.mlp", "out"),
        "blocks.1.hook_attn_out": ("model.layers.1.self_attn", "out"),
        "blocks.0.mlp.hook_post": ("model.layers.0.mlp.down_proj", "in"),
    },
    "neox": {
        "blocks.0.hook_resid_post": ("gpt_neox.layers.0", "out"),
        "blocks.1.hook_mlp_out": ("gpt_neox.layers.1.mlp", "out"),
        "blocks.1.hook_attn_out": ("gpt_neox.layers.1.attention", "out"),
        "blocks.0.mlp.hook_post": ("gpt_neox.layers.0.mlp.dense_4h_to_h", "in"),
    },
    "gemma2": {
        "blocks.0.hook_resid_post": ("model.layers.0", "out"),
        "blocks.1.hook_mlp_out": ("model.layers.1.post_feedforward_layernorm", "out"),
        "blocks.1.hook_attn_out": ("model.layers.1.post_attention_layernorm", "out"),
        "blocks.0.mlp.hook_post": ("model.layers.0.mlp.down_proj", "in"),
    },
    "granite": {
        "blocks.0.hook_resid_post": ("model.layers.0", "out"),
        "blocks.1.hook_mlp_out": ("model.layers.1.mlp", "out"),
        "blocks.1.hook_attn_out": ("model.layers.1.self_attn", "out"),
        "blocks.0.mlp.hook_post": ("model.layers.0.mlp.down_proj", "in"),
    },
}
PLACES["gpt2 without norms"] = PLACES["gpt2"]
LAST = {"gpt2": "transformer.h", "gpt2 without norms": "transformer.h", "neox": "gpt_neox.layers"}
FACTOR = {("granite", "hook_mlp_out"): 0.22, ("granite", "hook_attn_out"): 0.22}
"""What stands at a hook point, as a multiple of what the module puts out."""
SHAPE = {
    "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48, "num_attention_heads": 4,
    "max_position_embeddings": 24, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {"num_key_value_heads": 2}),
    "neox": ("GPTNeoXForCausalLM", {"rotary_pct": 0.5}),
    "gemma2": ("Gemma2ForCausalLM", {"num_key_value_heads": 2, "head_dim": 16, "sliding_window": 64,
                                     "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0,
                                     "query_pre_attn_scalar": 16}),
    "granite": ("GraniteForCausalLM", {"num_key_value_heads": 2, "embedding_multiplier": 12.0,
                                       "attention_multiplier": 0.1, "residual_multiplier": 0.22,
                                       "logits_scaling": 8.0}),
    "gpt2 without norms": ("GPT2LMHeadModel", {"layer_norm_epsilon": 1e12}),
}  # fmt: skip


class Brute:
    """A model in double precision, whole contexts, one at a time."""

    def __init__(self, folder: Path, family: str) -> None:
        from transformers import AutoModelForCausalLM

        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double().eval()
        self.family = family

    @torch.no_grad()
    def run(
        self, ids: list[int], hook: str, change: Any = None, mask: list[int] | None = None
    ) -> dict[str, np.ndarray]:
        """`logp` [L, V], what passes the hook [L, d] and the last block's output [L, d]; `change` [L, d] is added."""
        name, side = PLACES[self.family][hook]
        blocks = self.model.get_submodule(LAST.get(self.family, "model.layers"))
        factor = FACTOR.get((self.family, hook.rsplit(".", maxsplit=1)[-1]), 1.0)
        seen: dict[str, Any] = {}

        def out_of(_module: Any, _inputs: Any, out: Any) -> Any:
            value = out[0] if isinstance(out, tuple) else out
            seen["x"] = factor * value[0].clone()
            value = value if change is None else value + torch.from_numpy(change)[None] / factor
            return (value, *out[1:]) if isinstance(out, tuple) else value

        def into(_module: Any, inputs: Any) -> Any:
            seen["x"] = inputs[0][0].clone()
            return inputs if change is None else (inputs[0] + torch.from_numpy(change)[None], *inputs[1:])

        def last(_module: Any, _inputs: Any, out: Any) -> None:
            seen["last"] = (out[0] if isinstance(out, tuple) else out)[0].clone()

        module = self.model.get_submodule(name)
        handles = [module.register_forward_hook(out_of) if side == "out" else module.register_forward_pre_hook(into)]
        handles.append(blocks[len(blocks) - 1].register_forward_hook(last))
        named = {"position_ids": torch.arange(len(ids))[None]}
        if mask is not None:
            named["attention_mask"] = torch.tensor([mask])
        try:
            logits = self.model(torch.tensor([ids]), **named).logits[0]
        finally:
            for handle in handles:
                handle.remove()
        logp = logits.log_softmax(dim=-1)
        return {"logits": logits.numpy(), "logp": logp.numpy(), "x": seen["x"].numpy(), "last": seen["last"].numpy()}


class Case:
    """A family and a hook point: our tools, and the brute force beside them."""

    def __init__(self, hook: str, brute: Brute, subject: Any, tokens: TokenFile) -> None:
        self.hook, self.brute, self.subject, self.tokens = hook, brute, subject, tokens
        width = subject.width(hook)
        generator = torch.Generator().manual_seed(3)
        directions = torch.randn(N_UNITS, width, generator=generator)
        directions /= directions.norm(dim=1, keepdim=True)
        if hook.endswith("hook_post"):
            directions = torch.eye(width)[:N_UNITS]
        flat, numbers = torch.zeros(N_UNITS), torch.arange(N_UNITS)
        self.units = Units("random_isotropic", hook, width, numbers, directions, flat + 1, flat, flat)
        self.directions = directions.double().numpy()
        ids = torch.tensor(self.context(0))
        draw = FAMILIES["random_covariance"](torch.randn(200, width, generator=generator))
        every = np.arange(subject.d_vocab) >= 0
        self.ablation = Ablation(
            subject, tokens, self.units, "tried", patched_passes(subject, hook, AFTER, ids), draw,
            logit_path(subject, self.units, every), torch.arange(subject.d_vocab), 0,
        )  # fmt: skip
        self.sensitivity = Sensitivity(
            tokens, self.units, "tried", patched_passes(subject, hook, 0, ids), {}, None, step_sizes(2.0),
            subject.device, subject.d_vocab, 0,
        )  # fmt: skip

    def context(self, number: int) -> list[int]:
        ids: list[int] = np.asarray(self.tokens.tokens[number][: int(self.tokens.n_valid[number])]).tolist()
        return ids

    def firings(self) -> Firings:
        """Each unit at places in the middle, next to the end, at the end, and at the first token."""
        rows = [(unit, 2 + unit + i, place) for unit in range(N_UNITS) for i, place in enumerate((7, -2, -1, 0))]
        feature, context, position = (np.array(column) for column in zip(*rows, strict=True))
        position = np.array([place % len(self.context(c)) for c, place in zip(context, position, strict=True)])
        return Firings(
            "score", feature, context, position.astype(np.int32), np.linspace(0.3, 2, len(rows)).astype(np.float32)
        )


@pytest.fixture(scope="module", params=list(PLACES))
def family(
    request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Brute, Any]:
    folder = tiny_model
    if request.param in MODELS:
        folder = tmp_path_factory.mktemp("model")
        made(request.param).save_pretrained(folder)
    return request.param, Brute(folder, request.param), load_subject(str(folder), None, "raw", "float32", "cpu")


def made(family: str) -> Any:
    """A random model, all of whose weights count. Norms are removed as people do: an epsilon so large that they divide
    by the same number whatever comes, and weights that undo it."""
    import transformers

    torch.manual_seed(0)
    architecture, more = MODELS[family]
    of = getattr(transformers, architecture)
    model = of(of.config_class(**SHAPE, **more))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(8 if family != "gpt2 without norms" else 3) if weight.ndim > 1 else weight.add_(
                torch.randn_like(weight) * 0.3
            )
            if family == "gpt2 without norms" and "ln_" in name and name.endswith("weight"):
                weight.mul_(1e6)
    return model


SLOW = [pytest.param(hook, marks=pytest.mark.slow) for hook in ("hook_resid_post", "hook_attn_out", "mlp.hook_post")]


@pytest.fixture(params=["hook_mlp_out", *SLOW])
def case(request: pytest.FixtureRequest, family: tuple[str, Brute, Any], token_file: TokenFile) -> Case:
    name, brute, subject = family
    hook = next(hook for hook in PLACES[name] if hook.endswith(f".{request.param}"))
    return Case(hook, brute, subject, token_file)


def near(seen: float, known: float, what: str) -> None:
    assert seen == pytest.approx(known, rel=3e-3, abs=3e-5), what


def test_effects_curves_and_changed_contexts(case: Case) -> None:
    check_effects(case)
    check_curves(case)
    check_contexts(case)
    check_following(case)


@pytest.fixture(scope="module")
def without_norms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Brute, Any]:
    folder = tmp_path_factory.mktemp("removed")
    made("gpt2 without norms").save_pretrained(folder)
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    return Brute(folder, "gpt2 without norms"), subject


def test_direct_effects_are_what_happens_where_norms_were_removed(
    without_norms: tuple[Brute, Any], token_file: TokenFile
) -> None:
    """In the last block, whatever the step: no norm divides, nothing comes after. In the first block a block is in
    between, and the share that is direct is lower."""
    brute, subject = without_norms
    case = Case("blocks.1.hook_mlp_out", brute, subject, token_file)
    assert case.ablation.path is not None
    effects = case.ablation.path.effects(case.ablation.path.written(case.units.directions)).numpy()
    ids = case.context(3)
    before = brute.run(ids, case.hook)["logits"][6]
    for unit, step in enumerate((0.1, 1.0, 30.0)):
        change = np.zeros((len(ids), len(case.directions[unit])))
        change[6] = step * case.directions[unit]
        moved = (brute.run(ids, case.hook, change)["logits"][6] - before) / step
        moved -= np.sort(moved)[(len(moved) - 1) // 2]
        np.testing.assert_allclose(effects[unit], moved, rtol=1e-4, atol=1e-4 * np.abs(moved).max())
    last = case.ablation.measure(case.firings()).direct_share
    first = Case("blocks.0.hook_resid_post", brute, subject, token_file).ablation.measure(case.firings()).direct_share
    assert last.min() > 0.9999
    assert first.max() < 0.999


def check_effects(case: Case) -> None:
    firings = case.firings()
    found = case.ablation.measure(firings)
    for row in range(len(firings)):
        ids, at = case.context(int(firings.context[row])), int(firings.position[row])
        removed = float(firings.activation[row]) * case.directions[int(firings.feature[row])]

        def changed(share: float, ids: list[int] = ids, at: int = at, removed: Any = removed) -> dict[str, np.ndarray]:
            change = np.zeros((len(ids), len(removed)))
            change[at] = share * removed
            return case.brute.run(ids, case.hook, change)

        before, after = changed(0.0), changed(-1.0)
        kl = (np.exp(before["logp"]) * (before["logp"] - after["logp"])).sum(axis=1)
        near(found.kl[row, 0], kl[at], "kl")
        behind = kl[at + 1 : at + 1 + AFTER]
        assert found.n_after[row] == len(behind)
        change = after["logits"][at] - before["logits"][at]
        change -= np.sort(change)[(len(change) - 1) // 2]
        np.testing.assert_allclose(found.moved_by[row], change[found.moved[row]], rtol=3e-3, atol=3e-4)
        assert found.moved_by[row].max() == pytest.approx(change.max(), rel=3e-3, abs=3e-4)
        if not len(behind):
            assert np.isnan([found.kl_after[row, 0], found.loss_change[row, 0], found.loss_estimate[row, 0]]).all()
            continue
        near(found.kl_after[row, 0], behind.mean(), "kl after")
        lost = [before["logp"][t, ids[t + 1]] - after["logp"][t, ids[t + 1]] for t in range(at, len(ids) - 1)]
        near(found.loss_change[row, 0], lost[0], "loss change")
        if len(lost) > 1:
            near(found.loss_change_after[row, 0], float(np.mean(lost[1 : AFTER + 1])), "loss change after")
        step = 4e-3  # a Llama norms in single precision whatever its weights are
        up, down = (changed(sign * step) for sign in (-1, 1))
        lost = [-side["logp"][at, ids[at + 1]] for side in (up, down)]
        assert found.loss_estimate[row, 0] == pytest.approx((lost[0] - lost[1]) / (2 * step), rel=3e-3, abs=3e-4)
        likeliest = found.likeliest[row]
        assert likeliest.tolist() == np.argsort(-before["logits"][at], kind="stable")[: len(likeliest)].tolist()
        for of, (more, less), whole in (
            (found.likeliest_change[row, 0], (after, before), 1.0),
            (found.likeliest_estimate[row, 0], (up, down), 2 * step),
        ):
            change = (more["logits"][at] - less["logits"][at]) / whole
            np.testing.assert_allclose(of, change[likeliest] - change.mean(), rtol=3e-3, atol=1e-3)


def check_curves(case: Case) -> None:
    firings = case.firings().take(np.array([0, 5, 10]))
    for curve in case.sensitivity.measure(firings):
        if curve.direction != "feature":
            continue
        ids, at = case.context(int(firings.context[curve.firing])), int(firings.position[curve.firing])
        unit = case.directions[int(firings.feature[curve.firing])]
        before = case.brute.run(ids, case.hook)
        for i in (0, STEPS // 2, STEPS - 1):
            change = np.zeros((len(ids), len(unit)))
            change[at] = 2.0 ** (-5 + 7 * i / (STEPS - 1)) * 2.0 * unit
            after = case.brute.run(ids, case.hook, change)
            p = np.exp(before["logp"][at])
            near(curve.kl[i], float((p * (before["logp"][at] - after["logp"][at])).sum()), "curve")
            moved = np.linalg.norm(after["last"][at] - before["last"][at]) / np.linalg.norm(before["last"][at])
            near(curve.distance[i], float(moved), "distance")


def check_contexts(case: Case) -> None:
    ids, peak, before = case.context(4), 8, 4
    special = np.isin(ids, (0, 1))
    earlier = earlier_tokens(special, peak, before)
    other = np.array([[2 + (ids[place] + draw) % 50 for place in earlier] for draw in (1, 7)])
    hiding = hidden_tokens(case.subject, case.hook, torch.tensor(ids))
    assert hiding is not None
    for unit in range(N_UNITS):
        found = depend(
            FeatureReader(case.subject, case.units, unit, None, hiding), np.array(ids), special, peak, earlier, other
        )

        def read(text: list[int], mask: list[int] | None = None, unit: int = unit) -> float:
            return max(0.0, float(case.brute.run(text, case.hook, mask=mask)["x"][-1] @ case.directions[unit]))

        text = ids[: peak + 1]
        near(found.activation, read(text), "activation")
        for row, (place, second) in enumerate(zip(found.position.tolist(), found.other.tolist(), strict=True)):
            both = [place] if second < 0 else [place, second]
            mask = [int(i not in both) for i in range(peak + 1)]
            near(found.masked[row], read(text, mask), "masked")
            drawn = []
            for draw in other:
                replaced = list(text)
                for one in both:
                    replaced[one] = int(draw[earlier.tolist().index(one)])
                drawn.append(read(replaced))
            near(found.replaced[row], float(np.mean(drawn)), "replaced")
            if second < 0:
                near(found.removed[row], read(text[:place] + text[place + 1 :]), "removed")
                near(found.cut[row], read([*text[: int(special[0])], *text[place + 1 :]]), "cut")
                hole = [int(i not in earlier.tolist() or i < place) for i in range(peak + 1)]
                near(found.between[row], read(text, hole), "between")


def check_following(case: Case) -> None:
    ids = case.context(5)
    counted = ~np.isin(ids, (0, 1))
    every = np.maximum(case.brute.run(ids, case.hook)["x"] @ case.directions.T, 0)[:-1] * counted[:-1, None]
    unit = int((every > 0).sum(axis=0).argmax())
    reader = FeatureReader(case.subject, case.units, unit, None, None)
    found = follow(reader, case.hook, torch.tensor(ids), counted, 5)
    before = case.brute.run(ids, case.hook)
    activation = np.maximum(before["x"] @ case.directions[unit], 0) * counted
    after = case.brute.run(ids, case.hook, -activation[:, None] * case.directions[unit])
    first = int(np.flatnonzero(activation > 0)[0])
    assert found is not None
    assert found.start == first + 1
    expected = [after["logp"][t, ids[t + 1]] - before["logp"][t, ids[t + 1]] for t in range(first, len(ids) - 1)]
    np.testing.assert_allclose(found.logp_change, expected, rtol=3e-3, atol=3e-4)
