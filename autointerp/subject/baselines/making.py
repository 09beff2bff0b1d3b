"""Makes the units of a baseline: matched to the features of a dictionary, or at their natural density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.hashing import hash64, stream_key
from autointerp.records import Int64
from autointerp.subject.baselines.counting import n_baseline_features
from autointerp.subject.baselines.fit import fit
from autointerp.subject.baselines.kind import Lines, LinesWanted
from autointerp.subject.baselines.matching import Target, enough_firings, match_order
from autointerp.subject.baselines.registry import kind_of
from autointerp.subject.baselines.sample import ActivationSample
from autointerp.subject.dictionary import SparseAutoencoder, Units


def make_units(
    config: DictionaryEntry,
    hook: str,
    sample: ActivationSample,
    seed: int,
    target: Target | None,
    like: SparseAutoencoder | None = None,
) -> Units:
    """The baseline of `config` at `hook`, matched to the features of `target` where there is one.

    `like`: the dictionary that a fresh SAE has the architecture of.
    """
    x = sample.ordinary(hook)
    n = n_baseline_features(config, int(x.shape[1]), None if target is None else target.n_selected)
    kind = kind_of(config.kind)
    lines = kind.lines(LinesWanted(config.name, n, x, seed, like, config.match or ""))
    if target is None:
        return replace(_natural(kind.name, hook, x, n, lines), norm_limit=sample.norm_limits.get(hook))
    return _matched(config, kind.name, hook, sample, seed, target, n, lines)


def _matched(
    config: DictionaryEntry,
    kind: str,
    hook: str,
    sample: ActivationSample,
    seed: int,
    target: Target,
    n: int,
    lines: Lines,
) -> Units:
    x = sample.ordinary(hook)
    d_in = int(x.shape[1])
    order = match_order(target.features, seed, config.match or "")[:n]
    if lines.reads is None:
        units = np.argsort(hash64(stream_key(seed, "units", config.name), np.arange(d_in)), kind="stable")
    else:
        units = np.arange(lines.n_units)
    unit = np.resize(units, n).astype(np.int64)
    direction, written = _of_units(lines, unit)
    n_firing = target.n_firing[np.searchsorted(target.features, order)]
    enough = enough_firings(n_firing, sample.share)
    sign, mu, theta = fit(x, unit, direction, np.where(enough, n_firing, 0), config.match_at or 0.0)
    return Units(
        kind=kind,
        hook=hook,
        d_in=d_in,
        unit=torch.from_numpy(unit),
        direction=direction,
        sign=sign,
        mu=mu,
        theta=theta,
        matched_to=config.match,
        matched_feature=torch.from_numpy(order),
        matched=tuple(bool(item) for item in enough),
        written=written,
        norm_limit=sample.norm_limits.get(hook),
        config=lines.facts or {},
    )


def _natural(kind: str, hook: str, x: Tensor, n: int, lines: Lines) -> Units:
    d_in = int(x.shape[1])
    if lines.reads is None:
        return Units(
            kind=kind,
            hook=hook,
            d_in=d_in,
            unit=torch.arange(n) % d_in,
            direction=None,
            sign=torch.cat([torch.ones(d_in), -torch.ones(d_in)]),
            mu=torch.zeros(n),
            theta=torch.zeros(n),
        )
    there = np.arange(lines.n_units)
    sign, mu, _ = fit(x, there, lines.reads, np.zeros(len(there), np.int64))
    past = n - len(there)  # components past the rank: nothing to read, never firing
    theta = torch.cat([torch.zeros(len(there)), torch.full((past,), torch.inf)])
    return Units(
        kind=kind,
        hook=hook,
        d_in=d_in,
        unit=torch.arange(n),
        direction=_padded(lines.reads, past),
        sign=torch.cat([sign, torch.ones(past)]),
        mu=torch.cat([mu, torch.zeros(past)]),
        theta=theta,
        written=None if lines.writes is None else _padded(lines.writes, past),
        config=lines.facts or {},
    )


def _padded(rows: Tensor, n: int) -> Tensor:
    return torch.cat([rows, torch.zeros(n, rows.shape[1])]) if n else rows


def _of_units(lines: Lines, unit: Int64) -> tuple[Tensor | None, Tensor | None]:
    index = torch.from_numpy(unit)
    return (
        None if lines.reads is None else lines.reads[index],
        None if lines.writes is None else lines.writes[index],
    )
