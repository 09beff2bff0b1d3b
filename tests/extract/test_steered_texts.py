"""Texts at one KL: lengths are those at which the prediction moves so far on average, and texts are the model's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autointerp.extract.steered_texts import PREFIX, beginnings, steered_texts
from autointerp.extract.token_change import draw_places
from autointerp.hashing import rng_for
from autointerp.subject.model import Subject
from autointerp.subject.steering import WholeSteering
from autointerp.subject.tokens import TokenFile

HOOK, KL, N_TOKENS = "blocks.1.hook_resid_post", 0.3, 3


@torch.no_grad()
def by_hand(model: Any, ids: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """[V] log probabilities behind the text, a vector added at every token."""

    def more(_module: Any, _inputs: Any, out: Any) -> Any:
        return (out[0] + added, *out[1:]) if isinstance(out, tuple) else out + added

    handle = model.transformer.h[1].register_forward_hook(more)
    try:
        logp: torch.Tensor = model(ids[None]).logits[0, -1].double().log_softmax(dim=0)
        return logp
    finally:
        handle.remove()


def test_lengths_and_texts_equal_those_made_by_hand(
    tiny_subject: Subject, plain_model: Any, token_file: TokenFile
) -> None:
    places = [draw_places(token_file, split, 2, PREFIX, 0) for split in ("select", "score")]
    select, score = (beginnings(token_file, some, None) for some in places)
    directions = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    directions[2] = 0
    directions[2, 0] = 1e-20
    features = np.array([4, 9, 30])
    passes = WholeSteering(tiny_subject, HOOK)
    made = steered_texts(passes, directions, features, select, score, 0, KL, N_TOKENS, 6.0, 0)
    assert made.features.tolist() == features.tolist()
    assert made.reached().sum() >= 2
    assert made.tokens.shape == (len(features), 2, N_TOKENS)
    for row in np.flatnonzero(made.reached()).tolist():
        direction = directions[row]
        added = direction / direction.norm().clamp(min=1e-30) * float(made.size[row])
        moved = []
        for ids in select:
            before, after = by_hand(plain_model, ids, torch.zeros(32)), by_hand(plain_model, ids, added)
            moved.append(float((before.exp() * (before - after)).sum()))
        assert np.mean(moved) == pytest.approx(KL, rel=5e-3)
        assert made.kl_select[row] == pytest.approx(np.mean(moved), rel=5e-3)
        for number, ids in enumerate(score):
            before, text = by_hand(plain_model, ids, torch.zeros(32)), ids
            after = by_hand(plain_model, ids, added)
            assert made.kl[row, number] == pytest.approx(float((before.exp() * (before - after)).sum()), rel=5e-3)
            for step in range(N_TOKENS):
                noise = rng_for(number, "steer", step).gumbel(size=len(after))
                token = int((by_hand(plain_model, text, added) + torch.from_numpy(noise)).argmax())
                assert made.tokens[row, number, step] == token
                text = torch.cat([text, torch.tensor([token])])
