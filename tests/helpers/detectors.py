"""Dictionaries at the embedding of the tiny model whose features fire on exactly the tokens that they are for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

SETS = {
    "a": [[2], [3], [4, 5], [6], [7], [8, 9], [10], [40]],
    "b": [[7], [2], [4], [3], [5], [6, 10], [8, 9], [11]],
}
"""The tokens of each feature. Those of B fire at scales of their own."""


def write_detectors(plain_model: Any, write_sae: Callable[..., Path], folder: Path) -> dict[str, Path]:
    """Both dictionaries, in SAELens's format."""
    embedding = plain_model.transformer.wte.weight.detach().double()
    centred = embedding - embedding.mean(0)

    def write(name: str, sets: Sequence[list[int]], scales: np.ndarray) -> Path:
        def change(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
            encoder, bias = torch.zeros(32, len(sets)), torch.zeros(len(sets))
            for column, tokens in enumerate(sets):
                w, b = _separate(centred, tokens)
                encoder[:, column] = w * scales[column]
                bias[column] = (b - w.double() @ embedding.mean(0)) * scales[column]
                weights["W_dec"][column] = centred[tokens].mean(0).float()
            weights |= {"W_enc": encoder, "b_enc": bias, "b_dec": torch.zeros(32)}

        return write_sae(folder / name, d_sae=len(sets), hook="hook_embed", change=change)

    scales = {"a": np.ones(8), "b": np.random.default_rng(0).uniform(0.2, 5.0, 8)}
    return {name: write(name, sets, scales[name]) for name, sets in SETS.items()}


def _separate(x: torch.Tensor, tokens: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """w and b with w.x + b at 1 for the tokens and below 0 for all others, by a squared hinge."""
    member = torch.zeros(len(x), dtype=torch.bool)
    member[tokens] = True
    w = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([w, b], max_iter=400, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        z = x @ w + b
        value = ((z[member] - 1) ** 2).sum() + ((z[~member] + 0.3).clamp(min=0) ** 2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    z = (x @ w + b).detach()
    assert (z[member] > 0.4).all()
    assert (z[~member] < -0.01).all()
    return w.detach().float(), b.detach()
