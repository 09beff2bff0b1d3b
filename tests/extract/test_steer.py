"""A steered text equals that of Hugging Face's model with a vector added by hand, read from its beginning each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.extract.steer import drawn, find_sizes, greedy, sizes_for, write_on
from autointerp.hashing import rng_for
from autointerp.subject.model import Subject
from autointerp.subject.steering import CachedSteering, SteeredPasses, WholeSteering, steered_passes

HOOKS = {"blocks.1.hook_resid_post": "transformer.h.1", "blocks.2.mlp.hook_post": "transformer.h.2.mlp.c_proj"}
PROMPT = [0, 9, 3, 22, 5, 17]
FIRST, N_NEW = 1, 5


class ByHand:
    """Log probabilities behind a text, with a vector added at its tokens from the first on."""

    def __init__(self, model: Any, hook: str) -> None:
        self.model, self.module, self.neurons = model, model.get_submodule(HOOKS[hook]), "mlp" in hook

    @torch.no_grad()
    def logp(self, ids: list[int], added: np.ndarray) -> np.ndarray:
        def more(value: torch.Tensor) -> torch.Tensor:
            value = value.clone()
            value[0, FIRST:] += torch.from_numpy(added.astype(np.float32))
            return value

        if self.neurons:
            handle = self.module.register_forward_pre_hook(lambda _m, inputs: (more(inputs[0]), *inputs[1:]))
        else:
            handle = self.module.register_forward_hook(
                lambda _m, _i, out: (more(out[0]), *out[1:]) if isinstance(out, tuple) else more(out)
            )
        try:
            logits = self.model(torch.tensor([ids])).logits[0, -1]
        finally:
            handle.remove()
        return np.asarray(logits.double().log_softmax(dim=0).numpy())


def ways(subject: Subject, hook: str) -> list[SteeredPasses]:
    assert subject.reference is not None
    model = subject.reference if subject.plain is None else subject.plain.model
    side = "input" if "mlp" in hook else "output"
    return [WholeSteering(subject, hook), CachedSteering(model, model.get_submodule(HOOKS[hook]), side)]


def unit_rows(width: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(3, width, generator=torch.Generator().manual_seed(2)), dim=1)


@pytest.mark.parametrize("hook", list(HOOKS))
def test_sizes_and_texts_equal_the_patched_model(hook: str, tiny_subject: Subject, plain_model: Any) -> None:
    hand = ByHand(plain_model, hook)
    directions = unit_rows(tiny_subject.width(hook))
    ids = torch.tensor(PROMPT)
    nothing = np.zeros(directions.shape[1])
    behind = hand.logp(PROMPT, nothing)
    for passes in ways(tiny_subject, hook):
        for target in (0.05, 0.4):
            sizes = sizes_for(passes, ids, directions, FIRST, target, 10.0)
            for direction, size in zip(directions.numpy(), sizes.size, strict=True):
                steered = hand.logp(PROMPT, direction * size)
                assert (np.exp(behind) * (behind - steered)).sum() == pytest.approx(target, rel=5e-3)
        assert sizes.kl == pytest.approx(0.4, rel=1e-3)
        added = directions * torch.from_numpy(sizes.size)[:, None].float()
        for choose in (greedy, drawn(0.8, 4)):
            texts = write_on(passes, ids, added, FIRST, N_NEW, choose)
            assert len(texts) == 4
            for row, text in enumerate(texts):
                vector = nothing if row == 0 else added[row - 1].numpy()
                written: list[int] = []
                for step in range(N_NEW):
                    steered, plain = (hand.logp(PROMPT + written, taken) for taken in (vector, nothing))
                    noise = rng_for(4, "steer", step).gumbel(size=len(steered))
                    token = int(np.argmax(steered if choose is greedy else steered / 0.8 + noise))
                    assert text.tokens[step] == token
                    assert text.logp[step] == pytest.approx(steered[token], abs=2e-3)
                    assert text.logp_as_it_is[step] == pytest.approx(plain[token], abs=2e-3)
                    kl = (np.exp(plain) * (plain - steered)).sum()
                    assert text.kl[step] == pytest.approx(kl, rel=5e-3, abs=1e-4)
                    written.append(token)
            assert texts[0].kl == (0.0,) * N_NEW
            assert any(text.tokens != texts[0].tokens for text in texts[1:])


def test_the_plain_model_is_used_where_it_agrees(tiny_subject: Subject) -> None:
    ids = torch.tensor(PROMPT)
    assert isinstance(steered_passes(tiny_subject, "blocks.1.hook_resid_post", ids, 1), CachedSteering)
    assert isinstance(steered_passes(tiny_subject, "blocks.1.hook_resid_mid", ids, 1), CachedSteering)
    # what is added to a pattern's keys is where the plain model has no module of that width
    assert isinstance(steered_passes(tiny_subject, "blocks.1.attn.hook_k", ids, 1), WholeSteering)
    with pytest.raises(InputError, match="changes no logit"):
        steered_passes(tiny_subject, "blocks.1.hook_resid_post", ids, len(PROMPT) + 1)


def test_sizes_of_curves_that_are_known() -> None:
    """Squares, one that falls again behind its peak, one that stays below, one that is above from the first."""

    def kl_of(size: np.ndarray) -> np.ndarray:
        return np.array([size[0] ** 2, 3 * np.sin(min(size[1], 3.1)), min(size[2], 0.3), 1e5 * size[3]])

    sizes = find_sizes(kl_of, 4, 1.0, 1.0)
    assert sizes.size[:2] == pytest.approx([1.0, np.arcsin(1 / 3)], rel=2e-3)
    assert np.isnan(sizes.size[2])
    assert sizes.kl[2] == 0.3
    assert sizes.size[3] == pytest.approx(1e-5, rel=2e-3)
    assert sizes.kl[[0, 1, 3]] == pytest.approx(1.0, rel=1e-3)


def test_what_breaks_a_model_is_no_size() -> None:
    """Activations past what half precision holds give no KL at all."""
    sizes = find_sizes(lambda size: np.where(size > 0.1, np.nan, 0.1 * size), 1, 1.0, 1.0)
    assert np.isnan(sizes.size[0])
    assert 0 < sizes.kl[0] <= 0.01
