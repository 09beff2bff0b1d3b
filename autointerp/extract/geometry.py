"""Where a feature's direction lies among the others: the nearest, the sparse combination, the neuron.

Of each direction that is asked about, and beside it of a random one of isotropic spread and one with the covariance of
the activations (lengths do not count here: all are unit vectors), each held against the rows of all *other* features:

    nearest    the row of largest cosine, with its sign: a direction and its opposite are not near
    pursuit    orthogonal matching pursuit (Pati, Rezaiifar & Krishnaprasad 1993): the row of largest absolute product
               with what is left is taken, what is left is made orthogonal to all rows taken so far, up to ATOMS times.
               `explained` is the share of the squared norm that the first 1, 2, ... rows span; a composite feature is
               explained by few, where random directions are not
    neuron     of the MLP that wrote at the hook point last, the neuron whose output has the largest absolute cosine

Rows that are the same unit of a baseline are no others. Pursuit ends early where less than ENOUGH of the squared norm
is left, or nothing has a product with it: the shares stay, the list of rows is shorter.

Memory: BLOCK_VALUES products at a time, whatever the dictionary's width. Letters in shapes: F features of the
dictionary, n directions, d width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Float64, Int64

DIRECTIONS = ("feature", "isotropic", "covariance")
"""What is held against the other rows: the feature's own direction, or a random one."""
ATOMS = 8
"""Rows that are combined at most."""
ENOUGH = 1e-9
"""Share of the squared norm below which nothing is left."""
LEAST = 1e-6
"""Cosine with what is left below which a row is no part of it."""
BLOCK_VALUES = 1 << 23
"""Products that are looked at together, 32 MB."""
MOST_TOGETHER = 256
"""Directions that are looked at together: their bases are held in double precision."""


@dataclass(frozen=True)
class DirectionGeometry:
    """Of n directions; -1, nan and no atoms where the status is not `ok`."""

    status: list[str]
    """[n] ok; zero: the direction has no length; alone: there is no other row."""
    nearest: Int64  # [n]
    cosine: Float64  # [n] with `nearest`
    atoms: list[list[int]]  # [n] rows by the order in which they were taken, up to ATOMS
    explained: Float64  # [n, ATOMS] share of the squared norm that so many rows span
    neuron: Int64  # [n] -1 where there are no neurons to compare with
    neuron_cosine: Float64  # [n] with its sign


def unit_rows(rows: Tensor) -> Tensor:
    """[F, d] float32 of length 1; rows without a length stay 0."""
    length = rows.norm(dim=1, keepdim=True)
    unit: Tensor = rows.float() / length.clamp(min=1e-30)
    unit[length.squeeze(1) == 0] = 0
    return unit


@torch.inference_mode()
def beside_others(
    rows: Tensor,
    unit: Int64,
    directions: Float64,
    owner: Int64,
    neurons: Tensor | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> DirectionGeometry:
    """`rows` [F, d] as `unit_rows` makes them; `unit` [F]: rows of the same number are one unit; `directions` [n, d];
    `owner` [n]: the feature whose unit is left out; `neurons` [m, d] as `unit_rows` makes them."""
    n = len(directions)
    groups = torch.from_numpy(unit).to(rows.device)
    has_rows = bool((rows != 0).any())
    nearest, cosine = np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
    neuron, neuron_cosine = np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
    explained = np.full((n, ATOMS), np.nan)
    atoms: list[list[int]] = [[] for _ in range(n)]
    length = np.linalg.norm(directions, axis=1)
    others = len(unit) - np.array([(unit == unit[feature]).sum() for feature in owner.tolist()], dtype=np.int64)
    status = np.where(length == 0, "zero", np.where((others > 0) & has_rows, "ok", "alone"))
    some_at_once = max(1, min(MOST_TOGETHER, BLOCK_VALUES // max(len(rows), 1)))
    able = np.flatnonzero(status == "ok")
    for first in range(0, len(able), some_at_once):
        at = able[first : first + some_at_once]
        wanted = torch.from_numpy(directions[at] / length[at, None]).to(rows.device)
        same = groups[torch.from_numpy(owner[at]).to(rows.device)][:, None] == groups
        value, index = (wanted.float() @ rows.T).masked_fill_(same, -2).max(dim=1)
        nearest[at], cosine[at] = index.cpu().numpy(), value.clamp(-1, 1).double().cpu().numpy()
        taken, explained[at] = _pursue(rows, wanted, same)
        for place, chosen in zip(at.tolist(), taken, strict=True):
            atoms[place] = chosen
        progress(len(at))
    if neurons is not None and len(neurons):
        for first in range(0, n, MOST_TOGETHER):
            at = np.arange(first, min(first + MOST_TOGETHER, n))
            scaled = directions[at] / np.maximum(length[at, None], 1e-30)
            product = torch.from_numpy(scaled).float().to(neurons.device) @ neurons.T
            index = product.abs().argmax(dim=1, keepdim=True)
            known = length[at] > 0
            neuron[at] = np.where(known, index[:, 0].cpu().numpy(), -1)
            neuron_cosine[at] = np.where(known, product.gather(1, index)[:, 0].clamp(-1, 1).cpu().numpy(), np.nan)
    return DirectionGeometry(status.tolist(), nearest, cosine, atoms, explained, neuron, neuron_cosine)


def _pursue(rows: Tensor, wanted: Tensor, same: Tensor) -> tuple[list[list[int]], Float64]:
    """Orthogonal matching pursuit of unit vectors `wanted` [n, d]; `same` [n, F]: rows that are left out."""
    n, d = wanted.shape
    basis = torch.zeros((n, ATOMS, d), dtype=torch.float64, device=rows.device)  # orthonormal, by order
    left, barred = wanted.clone(), same.clone()
    explained = torch.zeros((n, ATOMS), dtype=torch.float64, device=rows.device)
    atoms: list[list[int]] = [[] for _ in range(n)]
    going = torch.ones(n, dtype=torch.bool, device=rows.device)
    for step in range(ATOMS):
        size = left.norm(dim=1)
        product = (left.float() @ rows.T).abs_().masked_fill_(barred, -1)
        value, best = product.max(dim=1)
        row = rows[best].double()
        for _ in range(2):  # twice: once leaves rounding errors where rows nearly coincide
            row = row - torch.einsum("nkd,nk->nd", basis, torch.einsum("nkd,nd->nk", basis, row))
        length = row.norm(dim=1, keepdim=True)
        going = going & (size**2 > ENOUGH) & (value > LEAST * size) & (length[:, 0] > LEAST)
        fresh = torch.where(going[:, None], row / length.clamp(min=1e-30), 0.0)
        basis[:, step] = fresh
        left = left - fresh * (fresh * left).sum(dim=1, keepdim=True)
        barred.scatter_(1, best[:, None], True)
        explained[:, step] = (1 - left.square().sum(dim=1)).clamp(0, 1)
        for place in going.nonzero()[:, 0].tolist():
            atoms[place].append(int(best[place]))
    return atoms, np.maximum.accumulate(explained.cpu().numpy(), axis=1)
