"""Steps of many sizes equal those made by hand in Hugging Face's model; sizes are read off curves that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.firings import Firings
from autointerp.extract.selected import Selected
from autointerp.extract.sensitivity import (
    ALONG,
    RANDOM,
    STEPS,
    Sensitivity,
    neuron_outputs,
    reaching,
    steepest,
    step_sizes,
)
from autointerp.hashing import rng_for
from autointerp.subject.baselines import FAMILIES
from autointerp.subject.model import Subject
from autointerp.subject.patching import SuffixPasses
from autointerp.subject.tokens import TokenFile

HOOK = "blocks.1.hook_resid_post"


def behind_the_last_block(model: Any) -> tuple[Any, str]:
    return model.get_submodule("transformer.h.2"), "output"


@pytest.fixture(scope="module")
def steps(tiny_subject: Subject, token_file: TokenFile, dictionaries: dict[str, Selected]) -> Sensitivity:
    assert tiny_subject.plain is not None
    model = tiny_subject.plain.model
    x = torch.randn(300, 32, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.2, 3, 32)
    return Sensitivity(
        tokens=token_file,
        dictionary=dictionaries["standard"].dictionary,
        name="tried",
        passes=SuffixPasses(model, model.get_submodule("transformer.h.1"), "output", 0, behind_the_last_block(model)),
        draws={direction: FAMILIES[family](x) for direction, family in RANDOM.items()},
        neurons=neuron_outputs(tiny_subject, HOOK),
        size=step_sizes(8.0),
        device=tiny_subject.device,
        d_vocab=tiny_subject.d_vocab,
        seed=0,
    )


def test_curves_equal_steps_made_by_hand(
    steps: Sensitivity, plain_model: Any, token_file: TokenFile, dense: dict[str, np.ndarray]
) -> None:
    often = np.argsort(-(dense["standard"] > 0).sum(axis=(0, 1)))[[0, 9, 20]].tolist()
    places = [(feature, *np.argwhere(dense["standard"][:, :, feature])[-1].tolist()) for feature in often]
    feature, context, position = (np.array(column) for column in zip(*places, strict=True))
    firings = Firings("score", feature, context, position.astype(np.int32), np.ones(3, np.float32))
    curves = steps.measure(firings)
    assert [(curve.firing, curve.direction) for curve in curves] == [(row, name) for row in range(3) for name in ALONG]
    outputs = plain_model.transformer.h[1].mlp.c_proj.weight.detach().double().numpy()  # [neurons, width]
    for curve in curves:
        place = places[curve.firing]
        written = steps.dictionary.directions[int(place[0])].double().numpy()
        vector = written
        if curve.direction in RANDOM:
            vector = steps.draws[curve.direction](
                rng_for(0, "sensitivity", curve.direction, "tried", *(int(number) for number in place))
            )
        if curve.direction == "neuron":
            cosine = outputs @ written / np.linalg.norm(outputs, axis=1)
            vector = outputs[np.abs(cosine).argmax()] * np.sign(cosine[np.abs(cosine).argmax()])
        unit = torch.from_numpy((vector / np.linalg.norm(vector)).astype(np.float32))
        ids = torch.from_numpy(np.asarray(token_file.tokens[place[1]]).astype(np.int64))
        before, stream = by_hand(plain_model, ids, int(place[2]), torch.zeros(32))
        assert curve.entropy == pytest.approx(-(np.exp(before) * before).sum(), rel=1e-3, abs=1e-4)
        for i in (0, 7, STEPS - 1):
            after, moved = by_hand(plain_model, ids, int(place[2]), unit * steps.size[i])
            distance = np.linalg.norm(moved - stream) / np.linalg.norm(stream)
            assert curve.distance[i] == pytest.approx(distance, rel=1e-3), (curve.direction, i)
            kl = (np.exp(before) * (before - after)).sum()
            assert curve.kl[i] == pytest.approx(kl, rel=5e-3, abs=2e-5), (curve.direction, i)


@torch.no_grad()
def by_hand(model: Any, ids: torch.Tensor, position: int, added: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """[V] log probabilities behind the token, a vector added there, and [d] the last block's output there."""

    def more(_module: Any, _inputs: Any, out: Any) -> Any:
        value = (out[0] if isinstance(out, tuple) else out).clone()
        value[0, position] += added
        return (value, *out[1:]) if isinstance(out, tuple) else value

    streams = []

    def keep(_module: Any, _inputs: Any, out: Any) -> None:
        streams.append((out[0] if isinstance(out, tuple) else out)[0, position].double().numpy())

    handles = [model.transformer.h[1].register_forward_hook(more), model.transformer.h[2].register_forward_hook(keep)]
    try:
        logp = np.asarray(model(ids[None]).logits[0, position].double().log_softmax(dim=0).numpy())
        return logp, streams[0]
    finally:
        for handle in handles:
            handle.remove()


def test_sizes_are_read_off_curves_that_are_known() -> None:
    size = step_sizes(1.0)
    assert (size[0], size[-1], len(size)) == (1 / 32, 4.0, STEPS)
    for target in (0.25, 0.5, 1.0):
        assert reaching(size, size**2, target) == pytest.approx(target**0.5, rel=1e-9), (
            "a power is a line of logarithms"
        )
        assert reaching(size, 0.3 * size**3, target) == pytest.approx((target / 0.3) ** (1 / 3), rel=1e-9)
    assert np.isnan(reaching(size, 0.01 * size, 0.25))
    assert reaching(size, 1e4 * size**2, 0.25) == pytest.approx(0.005)
    falling = np.where(size > 1, 0.1, size**2)
    assert reaching(size, falling, 0.5) == pytest.approx(0.5**0.5, rel=1e-6)
    plateau = np.where(size < 1, 1e-6, size - 1)
    assert steepest(size, plateau) > 1
    assert steepest(size, size / (size + 0.03)) < 0.05


def test_neurons_are_those_of_the_mlp_that_wrote_last(tiny_subject: Subject, plain_model: Any) -> None:
    written = {layer: plain_model.transformer.h[layer].mlp.c_proj.weight.detach() for layer in range(3)}
    for hook, layer in (("hook_resid_post", 1), ("hook_mlp_out", 1), ("hook_resid_pre", 0), ("hook_resid_mid", 0)):
        torch.testing.assert_close(neuron_outputs(tiny_subject, f"blocks.1.{hook}"), written[layer])
    assert neuron_outputs(tiny_subject, "blocks.0.hook_resid_pre") is None
    assert neuron_outputs(tiny_subject, "blocks.1.attn.hook_z") is None
    neurons = neuron_outputs(tiny_subject, "blocks.2.mlp.hook_post")
    assert neurons is not None
    torch.testing.assert_close(neurons, torch.eye(128))


def test_nothing_is_measured_of_nothing(steps: Sensitivity) -> None:
    none = np.zeros(0)
    firings = Firings("score", none.astype(int), none.astype(int), none.astype(np.int32), none.astype(np.float32))
    assert steps.measure(firings) == []
