"""A dictionary and the features of it that are extracted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from autointerp.records import Int64
from autointerp.subject.dictionary import Dictionary


@dataclass(frozen=True)
class Selected:
    """A dictionary and the features of it that are extracted."""

    dictionary: Dictionary
    features: Int64  # rising

    def mask(self) -> Tensor | None:
        """[n_features] bool; None where all are selected."""
        if len(self.features) == self.dictionary.n_features:
            return None
        mask = torch.zeros(self.dictionary.n_features, dtype=torch.bool)
        mask[torch.from_numpy(self.features)] = True
        return mask


def on_device(
    dictionaries: Mapping[str, Selected], device: torch.device
) -> dict[str, tuple[Dictionary, Tensor | None]]:
    placed = {}
    for name, chosen in dictionaries.items():
        mask = chosen.mask()
        placed[name] = (chosen.dictionary.to(device), None if mask is None else mask.to(device))
    return placed
