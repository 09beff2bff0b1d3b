"""Is a feature a neuron, can it be read off the embedding, which fire with it? Exact, on the tokens of the sample.

The rows of the sample are taken token by token, as they lie, in portions that fit in the cache. Pearson correlations
over all N rows, firing or not, from sums:

    alone       with the feature's activation on the row's token alone (`DiagnosticSample`)
    neuron      with each neuron of the nearest MLP: the largest in absolute value, with its sign. Neurons are centred,
                so the sum over the firings is the covariance. Features x neurons sums are kept at once, up to
                NEURON_SUMS; where there are more, the sample is encoded again for each range of features.
    neighbours  with the nearest features by direction

A correlation that cannot be had has a status: `silent` (the feature fires nowhere in the sample), `constant` (it, or
what it is compared with, never changes there). A feature that fires but is silent on every token alone has `constant`
and the value 0: nothing of it can be read off the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from autointerp.extract.diagnose.neighbours import nearest_features
from autointerp.extract.diagnose.sample import CentredNeurons, DiagnosticSample
from autointerp.extract.summary.segments import flat_non_zero, quotient, run_starts
from autointerp.records import Float32, Float64, Int64
from autointerp.subject.dictionary import Dictionary

PORTION_VALUES = 1 << 22
"""Activations held densely at once, 16 MB."""
NEURON_SUMS = 1 << 26
"""Sums of features x neurons kept at once, 268 MB."""
NEURON_ROWS = 2_048
"""Rows of neurons that are added up together."""


@dataclass(frozen=True)
class Diagnostics:
    """Of n features of one dictionary; nan and -1 where a status is not `ok`."""

    n_tokens: int
    n_firing: Int64  # [n] on the sample
    alone: Float32  # [pairs] activation of the feature of each pair on its token alone
    alone_correlation: Float64  # [n]
    alone_status: list[str]
    neuron_hook: str | None
    neuron: Int64  # [n]
    neuron_correlation: Float64  # [n]
    neuron_status: list[str]
    neighbour: Int64  # [n, k] nearest first
    cosine: Float64  # [n, k]
    correlation: Float64  # [n, k] of the activations


@torch.inference_mode()
def diagnose(
    dictionary: Dictionary,
    features: Int64,
    sample: DiagnosticSample,
    pairs: tuple[Int64, Int64],
    device: torch.device,
    progress: Callable[[int], None],
) -> Diagnostics:
    """All of the above for `features`. `pairs` (feature, token id): where the activation alone is wanted.

    `progress` is told of tokens of the sample.
    """
    dictionary = dictionary.to(device)
    near, cosine = nearest_features(dictionary.directions, features)
    sums = _Sums(dictionary.n_features, features, near, pairs, sample, device)
    hook = sample.neurons[dictionary.hook]
    neurons = None if hook is None else _Neurons(sample.centred[hook], dictionary.n_features, device)
    for portion in _portions(dictionary, sample, device):
        sums.add(portion)
        if neurons is not None:
            neurons.add(portion)
        progress(portion.n)
    variance = sums.total2 - sums.total**2 / sums.n
    best, strongest = np.full(len(features), -1), np.full(len(features), np.nan)
    if neurons is not None:
        best, strongest = neurons.strongest(variance, lambda: _portions(dictionary, sample, device))
        best, strongest = best[features], strongest[features]
    n_firing = sums.n_firing.cpu().numpy()[features]
    alone = sums.alone_correlation(variance)[features]
    fires = n_firing > 0
    return Diagnostics(
        n_tokens=sums.n,
        n_firing=n_firing,
        alone=sums.listed,
        alone_correlation=alone,
        alone_status=_statuses(fires, alone, sums.alone_total2.cpu().numpy()[features] > 0),
        neuron_hook=hook,
        neuron=best,
        neuron_correlation=strongest,
        neuron_status=_statuses(fires, strongest) if neurons is not None else ["no_mlp"] * len(features),
        neighbour=near,
        cosine=cosine,
        correlation=sums.correlations(variance),
    )


def _statuses(fires: np.ndarray, value: Float64, changes: np.ndarray | None = None) -> list[str]:
    ok = np.isfinite(value) & (True if changes is None else changes)
    return [str(word) for word in np.where(~fires, "silent", np.where(ok, "ok", "constant"))]


@dataclass(frozen=True)
class _Portion:
    """R rows of the sample, E firings, T tokens alone."""

    rows: slice  # these of the sample's rows
    row: Tensor  # [E] from the first of them
    feature: Tensor  # [E]
    value: Tensor  # [E]
    dense: Tensor  # [R, F]
    tokens: slice  # these tokens of the sample's vocabulary,
    alone: Tensor  # [T, F] what the dictionary makes of them alone
    token: Tensor  # [R] the token of each row, index into `alone`
    opens: bool  # the first portion with these tokens

    @property
    def n(self) -> int:
        """R"""
        return len(self.token)


def _portions(dictionary: Dictionary, sample: DiagnosticSample, device: torch.device) -> Iterator[_Portion]:
    """The whole sample, token by token."""
    x, x_alone = sample.by_hook[dictionary.hook], sample.alone[dictionary.hook]
    start = np.searchsorted(sample.token, np.arange(len(sample.vocabulary) + 1))
    step = max(1, PORTION_VALUES // dictionary.n_features)
    for first in range(0, len(sample.vocabulary), step):
        tokens = slice(first, min(first + step, len(sample.vocabulary)))
        alone = dictionary.encode(x_alone[tokens].to(device))
        begin, end = int(start[tokens.start]), int(start[tokens.stop])
        for at in range(begin, max(end, begin + 1), step):
            rows = slice(at, min(at + step, end))
            dense = dictionary.encode(x[rows].to(device))
            flat = flat_non_zero(dense)
            row = quotient(flat, dense.shape[1])
            token = torch.from_numpy(sample.token[rows] - first).to(device)
            yield _Portion(
                rows,
                row,
                flat - row * dense.shape[1],
                dense.view(-1).index_select(0, flat),
                dense,
                tokens,
                alone,
                token,
                at == begin,
            )


class _Sums:
    """Sums over the sample, by feature: of the activation t, of the one alone p, and of products."""

    def __init__(
        self,
        n_features: int,
        features: Int64,
        near: Int64,
        pairs: tuple[Int64, Int64],
        sample: DiagnosticSample,
        device: torch.device,
    ) -> None:
        self.n = len(sample.token)
        self.n_firing = torch.zeros(n_features, dtype=torch.int64, device=device)
        sums = torch.zeros((5, n_features), dtype=torch.float64, device=device)
        self.total, self.total2, self.alone_total, self.alone_total2, self.alone_product = sums
        count = np.bincount(sample.token, minlength=len(sample.vocabulary))
        self._count = torch.from_numpy(count).to(device).double()
        # The nearest features of every feature, -1 where there is none; those not asked about have none.
        self._features, self._near_of = features, near
        table = np.full((n_features, near.shape[1]), -1, dtype=np.int64)
        table[features] = near
        self._near = torch.from_numpy(table).to(device)
        self._products = torch.zeros(table.shape, dtype=torch.float64, device=device)
        self.listed = np.zeros(len(pairs[0]), dtype=np.float32)
        self._pair_feature, place = pairs[0], np.searchsorted(sample.vocabulary, pairs[1])
        self._pair_order = np.argsort(place, kind="stable")
        self._pair_token = place[self._pair_order]

    def add(self, portion: _Portion) -> None:
        feature, row, value = portion.feature, portion.row, portion.value.double()
        if portion.opens:
            self._add_alone(portion)
        self.n_firing.index_add_(0, feature, torch.ones_like(feature))
        self.total.index_add_(0, feature, value)
        self.total2.index_add_(0, feature, value * value)
        of_token = portion.token.index_select(0, row)
        alone = portion.alone.view(-1).index_select(0, of_token * portion.alone.shape[1] + feature)
        self.alone_product.index_add_(0, feature, value * alone)
        near = self._near[feature]
        theirs = portion.dense.view(-1)[row[:, None] * portion.dense.shape[1] + near.clamp(min=0)]
        self._products.index_add_(0, feature, value[:, None] * theirs * (near >= 0))

    def _add_alone(self, portion: _Portion) -> None:
        count = self._count[portion.tokens]
        for first in range(0, portion.alone.shape[1], 4096):  # float64 of few features at a time
            columns = slice(first, first + 4096)
            p = portion.alone[:, columns].double()
            self.alone_total[columns] += count @ p
            self.alone_total2[columns] += count @ p.square_()
        begin, end = np.searchsorted(self._pair_token, [portion.tokens.start, portion.tokens.stop])
        pairs = self._pair_order[begin:end]
        at = self._pair_token[begin:end] - portion.tokens.start
        flat = torch.from_numpy(at * portion.alone.shape[1] + self._pair_feature[pairs])
        self.listed[pairs] = portion.alone.view(-1)[flat.to(portion.alone.device)].cpu().numpy()

    def alone_correlation(self, variance: Tensor) -> Float64:
        """[F]; 0 where the feature fires in the sample, and never alone."""
        spread = self.alone_total2 - self.alone_total**2 / self.n
        correlation = _pearson(self.alone_product - self.total * self.alone_total / self.n, variance, spread)
        return np.where((self.alone_total2.cpu().numpy() == 0) & (variance.cpu().numpy() > 0), 0.0, correlation)

    def correlations(self, variance: Tensor) -> Float64:
        """[n, k] of each feature asked about with its nearest."""
        mine = torch.from_numpy(self._features).to(variance.device)
        theirs = torch.from_numpy(self._near_of).to(variance.device)
        other = theirs.clamp(min=0)
        covariance = self._products[mine] - self.total[mine][:, None] * self.total[other] / self.n
        correlation = _pearson(covariance, variance[mine][:, None], variance[other])
        return np.where(self._near_of >= 0, correlation, np.nan)


def _pearson(covariance: Tensor, variance: Tensor, other_variance: Tensor) -> Float64:
    """From sums of products of deviations; nan where one side never changes."""
    tiny = 1e-30
    defined = (variance > tiny) & (other_variance > tiny)
    correlation = covariance / (variance.clamp(min=tiny) * other_variance.clamp(min=tiny)).sqrt()
    return np.asarray(torch.where(defined, correlation.clamp(-1, 1), torch.nan).cpu().numpy(), dtype=np.float64)


class _Neurons:
    """Sums of activation x centred neuron, for as many features at once as NEURON_SUMS allows."""

    def __init__(self, y: CentredNeurons, n_features: int, device: torch.device) -> None:
        self._y, self._device, self._n_features = y.values, device, n_features
        self._variance = y.variance.to(device)
        self._step = min(n_features, max(1, NEURON_SUMS // y.values.shape[1]))
        self._begin(0)

    def _begin(self, first: int) -> None:
        self._first, self._last = first, min(first + self._step, self._n_features)
        self._sums = torch.zeros((self._last - first, self._y.shape[1]), device=self._device)
        self._waiting: list[_Portion] = []

    def add(self, portion: _Portion) -> None:
        self._waiting.append(portion)
        if (
            sum(one.n for one in self._waiting) >= NEURON_ROWS
            or sum(len(one.value) for one in self._waiting) > PORTION_VALUES
        ):
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        first = waiting[0].rows.start
        y = self._y[first : waiting[-1].rows.stop].to(self._device)  # they follow each other
        row = torch.cat([one.row + (one.rows.start - first) for one in waiting])
        feature, value = (torch.cat([getattr(one, name) for one in waiting]) for name in ("feature", "value"))
        mine = ((feature >= self._first) & (feature < self._last)).nonzero().squeeze(1)
        row, feature, value = row[mine], feature[mine] - self._first, value[mine]
        if len(row) * 8 > len(y) * len(self._sums):  # so many fire that a dense product is cheaper
            dense = torch.zeros((len(self._sums), len(y)), device=self._device)
            dense.view(-1)[feature * len(y) + row] = value
            self._sums.addmm_(dense, y)
            return
        feature, order = torch.sort(feature, stable=True)
        starts = run_starts(feature)
        added = embedding_bag(row[order], y, starts, mode="sum", per_sample_weights=value[order])
        self._sums.index_add_(0, feature[starts], added)

    def strongest(self, variance: Tensor, again: Callable[[], Iterator[_Portion]]) -> tuple[Int64, Float64]:
        """[F] each: the neuron of largest absolute correlation, and the correlation; -1 and nan where undefined.

        `variance` [F]: sum of squared deviations of each feature. `again`: the portions, for the other features.
        """
        best = np.full(self._n_features, -1, dtype=np.int64)
        value = np.full(self._n_features, np.nan)
        self._read_off(variance, best, value)
        while self._last < self._n_features:
            self._begin(self._last)
            for portion in again():
                self.add(portion)
            self._read_off(variance, best, value)
        return best, value

    def _read_off(self, variance: Tensor, best: Int64, value: Float64) -> None:
        self._flush()
        defined = self._variance > 1e-30
        for first in range(self._first, self._last, 512):
            last = min(first + 512, self._last)
            spread = (variance[first:last, None].clamp(min=1e-30) * self._variance.clamp(min=1e-30)).sqrt()
            correlation = self._sums[first - self._first : last - self._first] / spread
            correlation = torch.where(defined & (variance[first:last, None] > 1e-30), correlation.clamp(-1, 1), 0)
            strength, index = correlation.abs().max(dim=1)
            chosen = correlation.gather(1, index[:, None]).squeeze(1)
            some = (strength > 0).cpu().numpy()
            best[first:last] = np.where(some, index.cpu().numpy(), -1)
            value[first:last] = np.where(some, chosen.cpu().numpy(), np.nan)
