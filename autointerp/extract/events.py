"""Events: the non-zero activations of one dictionary in one inner batch.

Sorted by (feature, row), where a row is a place of the batch: `context in the batch * L + position`.
Rows that do not count (special tokens, padding, dropped windows, contexts not asked for) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.segments import run_ids, run_lengths, run_max, run_starts
from autointerp.records import EventBatch
from autointerp.subject.activations import ActivationBatch
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder
from autointerp.subject.tokens import TokenFile

DENSE_VALUES = 1 << 24
"""Activations held densely at once: rows are encoded in portions of a fixed size below this."""


@dataclass(frozen=True)
class Events:
    """E events and the S windows in which a feature fires (`window_*`), all sorted by (feature, row)."""

    feature: Tensor  # [E] int64
    context: Tensor  # [E] int64
    position: Tensor  # [E] int64, in the context
    value: Tensor  # [E] float32
    token: Tensor  # [E] int64
    previous: Tensor  # [E] int64
    split: Tensor  # [E] int64, index into SPLITS
    window_of: Tensor  # [E] which of the S windows an event stands in
    window_start: Tensor  # [S] first event of the window
    window_length: Tensor  # [S] events in the window
    window_feature: Tensor  # [S]
    window_number: Tensor  # [S] context * windows per context + index
    window_max: Tensor  # [S] float32
    window_split: Tensor  # [S]

    def __len__(self) -> int:
        return len(self.feature)


@torch.inference_mode()
def encode_events(dictionary: Dictionary, batch: ActivationBatch, tokens: TokenFile, selected: Tensor | None) -> Events:
    """Encodes an inner batch; `selected` [n_features] bool leaves features out after encoding."""
    x = batch.by_hook[dictionary.hook]
    length = x.shape[1]
    x = x.reshape(-1, x.shape[-1])
    portion = 1 << max(5, (DENSE_VALUES // dictionary.n_features).bit_length() - 1)
    rows: list[Tensor] = []
    features: list[Tensor] = []
    values: list[Tensor] = []
    scored = batch.scored.reshape(-1).to(x.device)
    for first in range(0, len(x), portion):
        row, feature, value = _non_zero(dictionary, x[first : first + portion])
        row = first + row
        keep = scored[row] if selected is None else scored[row] & selected[feature]
        rows.append(row[keep])
        features.append(feature[keep])
        values.append(value[keep])
    feature = torch.cat(features)
    order = torch.sort(feature, stable=True).indices
    return _with_places(feature[order], torch.cat(rows)[order], torch.cat(values)[order], batch, tokens, length)


def _non_zero(dictionary: Dictionary, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row, feature and value of every non-zero activation, row by row. A TopK needs no look at the zeros."""
    top = dictionary.encode_top(x) if isinstance(dictionary, SparseAutoencoder) else None
    if top is not None:
        value, feature = top
        row = torch.arange(len(value), device=value.device)[:, None].expand_as(value)
        fires = value != 0
        return row[fires], feature[fires], value[fires]
    dense = dictionary.encode(x)
    row, feature = dense.nonzero(as_tuple=True)
    return row, feature, dense[row, feature]


def _with_places(
    feature: Tensor, row: Tensor, value: Tensor, batch: ActivationBatch, tokens: TokenFile, length: int
) -> Events:
    device = feature.device

    def of_contexts(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array).astype(np.int64)).to(device)

    contexts = of_contexts(batch.contexts)
    token = of_contexts(tokens.tokens[batch.contexts]).reshape(-1)[row]
    previous = of_contexts(tokens.previous(batch.contexts)).reshape(-1)[row]
    split = of_contexts(tokens.split[batch.contexts])
    local = row // length
    context, position = contexts[local], row % length
    number = context * tokens.windows_per_context + position // tokens.window
    start = run_starts(feature, number)
    window_of = run_ids(start, len(feature))
    return Events(
        feature=feature,
        context=context,
        position=position,
        value=value,
        token=token,
        previous=previous,
        split=split[local],
        window_of=window_of,
        window_start=start,
        window_length=run_lengths(start, len(feature)),
        window_feature=feature[start],
        window_number=number[start],
        window_max=run_max(value, window_of, len(start)),
        window_split=split[local[start]],
    )


def to_batch(events: Events, tokens: TokenFile) -> EventBatch:
    """The events as the NumPy record that the scoring half reads."""
    context = events.context.cpu().numpy()
    return EventBatch(
        feature=events.feature.cpu().numpy().astype(np.int32),
        context=context,
        position=events.position.cpu().numpy().astype(np.int32),
        value=events.value.cpu().numpy(),
        token=events.token.cpu().numpy().astype(np.int32),
        previous=events.previous.cpu().numpy().astype(np.int32),
        block=tokens.block[context],
    )
