"""Baseline kinds of the user's own: `kind = { python = "module:Class" }` in a run file."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from autointerp.config.baseline_kinds import facts_of
from autointerp.config.own_code import OwnCode
from autointerp.errors import InputError
from autointerp.own_code import load_own, one_line
from autointerp.subject.baselines.kind import KindRow, Lines, LinesWanted


class BaselineKind(Protocol):
    """What a class of the user's own must have to make a baseline. It is made without arguments.

    Sign, mean and threshold of each unit are fitted as for the built-in kinds, so a matched baseline fires as often as
    what it is matched to.
    """

    def directions(self, x: Tensor, n: int, seed: int, name: str) -> Tensor:
        """Directions that the units read, [at most n, d], from activations `x` [N, d], which are not to be written to.

        Each is scaled to norm 1. Where there are fewer than `n`, matched units use them again, and unmatched features
        past the last never fire. The same `x`, `seed` and `name` (the baseline's in the run file) must give the same
        rows.
        """
        ...


def own_kind(spec: OwnCode) -> KindRow:
    """A kind of the user's own. Raises UserError where the class cannot be made."""
    made = cast(BaselineKind, load_own(spec.python, "baseline kind", ("directions(x, n, seed, name)",)))

    def lines(wanted: LinesWanted) -> Lines:
        try:
            given: object = made.directions(wanted.x, wanted.n, wanted.seed, wanted.name)
        except Exception as error:  # the user's code
            raise _error(spec, wanted, f"failed: {type(error).__name__}: {one_line(error)}") from error
        reads = _unit_vectors(given, wanted, spec)
        return Lines(len(reads), reads)

    facts = facts_of(spec)
    assert facts is not None
    return KindRow(facts, lines)


def _unit_vectors(given: object, wanted: LinesWanted, spec: OwnCode) -> Tensor:
    """The user's rows as float32 of norm 1. Raises InputError where they are no directions at the hook."""
    if isinstance(given, np.ndarray):
        given = torch.from_numpy(given)
    if not isinstance(given, Tensor):
        raise _error(spec, wanted, f"returned {type(given).__name__}; return a tensor [n, d]")
    d = int(wanted.x.shape[1])
    if given.ndim != 2 or given.shape[1] != d or not 0 < len(given) <= wanted.n:
        shape = tuple(given.shape)
        raise _error(spec, wanted, f"returned a tensor of shape {shape}; it must be [{wanted.n} at most, {d}]")
    rows = given.detach().cpu().double()
    norm = rows.norm(dim=1, keepdim=True)
    if not bool(torch.isfinite(norm).all()) or not bool((norm > 0).all()):
        raise _error(spec, wanted, "returned a direction that is zero, NaN or infinite")
    reads: Tensor = (rows / norm).float().contiguous()
    return reads


def _error(spec: OwnCode, wanted: LinesWanted, what: str) -> InputError:
    return InputError(f'dictionary "{wanted.name}": baseline kind "{spec.python}" {what}')
