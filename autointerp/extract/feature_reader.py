"""The activation of one feature on texts that stand in no corpus: changed contexts, with tokens left out or hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.subject.dictionary import Dictionary, SparseAutoencoder
from autointerp.subject.hidden_tokens import HiddenTokens
from autointerp.subject.model import Subject
from autointerp.subject.outliers import past_limit

ROWS = 64
"""Texts that are read at once."""


@runtime_checkable
class ActivationReader(Protocol):
    """What an activation is asked of."""

    @property
    def hides(self) -> bool:
        """Whether tokens can be hidden."""
        ...

    def read(
        self, tokens: Int[Tensor, "R L"], last: Int[Tensor, " R"], hidden: Bool[Tensor, "R L"] | None = None
    ) -> Float[Tensor, " R"]:
        """The activation at token `last` of each text, float64; what stands behind it does not matter."""
        ...


@dataclass(frozen=True)
class FeatureReader:
    """One feature of a dictionary, as the extraction reads it."""

    subject: Subject
    dictionary: Dictionary
    feature: int
    norm_limit: float | None
    """Past it a token is an outlier and fires nothing; None: there are no outliers."""
    hiding: HiddenTokens | None

    @property
    def hides(self) -> bool:
        return self.hiding is not None

    def read(self, tokens: Tensor, last: Tensor, hidden: Tensor | None = None) -> Tensor:
        portions = [slice(first, first + ROWS) for first in range(0, len(tokens), ROWS)]
        parts = [self._read(tokens[some], last[some], None if hidden is None else hidden[some]) for some in portions]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def _read(self, tokens: Tensor, last: Tensor, hidden: Tensor | None) -> Tensor:
        tokens, hook = tokens.to(self.subject.device), self.dictionary.hook
        if hidden is None:
            x = self.subject.activations(tokens, [hook])[hook]
        else:
            assert self.hiding is not None
            x = self.hiding.activations(tokens, hidden.to(tokens.device))
        at = x[torch.arange(len(tokens), device=x.device), last.to(x.device)]
        return self.of(at)

    @torch.inference_mode()
    def of(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """The feature's activation where the hook point has `x`."""
        dictionary = self.dictionary
        if isinstance(dictionary, SparseAutoencoder) and not dictionary.competes:
            values = dictionary.encode_columns(x, self.feature, self.feature + 1)[0].double()
        else:
            values = dictionary.encode(x.clone())[:, self.feature].double()
        if self.norm_limit is not None:
            values = values * ~past_limit(x, self.norm_limit)
        return values.cpu()
