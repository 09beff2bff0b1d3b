"""Measured effects: a feature's contribution is taken away where it fires, and the model goes on without it.

A feature's contribution at a token is its activation times its decoder direction, in the scale of the activations that
the dictionary writes to. It is subtracted at that token, and the logits there and at the `after` tokens behind it are
held against those of the model as it is, run in the same way with nothing subtracted. Beside it, at the same token and
of the same norm, an isotropic random direction and one with the covariance of the activations (the mean taken off):
what any change of that size does.

    kl           sum of p log(p / q) over the vocabulary, p as it is and q without the feature, nats
    loss_change  -log q + log p of the token that does come next, nats
    entropy      of p: what kl is to be held against
    loss_estimate  what the gradient of that loss says of loss_change: its product with what is subtracted, with a
                 minus. One pass back serves all features that fire at a token
    likeliest_change  of the logits of the tokens that are likeliest there as the model is, the mean change of all
                 logits taken off; likeliest_estimate is what their gradients say of it
    direct_share correlation, over the tokens that stand in the corpus, of what the feature adds to each logit,
                 measured, with its direct logit effects: near 1 where only the final norm is between it and the logits
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.extract.effects import LogitPath
from autointerp.extract.firings import Firings
from autointerp.hashing import rng_for
from autointerp.records import Float32, Float64, Int32
from autointerp.subject.baselines import Draw
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder, steered_hook
from autointerp.subject.model import Subject
from autointerp.subject.output_gradients import LIKELIEST, OutputGradients
from autointerp.subject.patching import PatchedContext, PatchedPasses
from autointerp.subject.tokens import TokenFile

DIRECTIONS = ("feature", "isotropic", "covariance")
"""What is subtracted: the feature's contribution, or a random direction of its norm."""
MOVED = 10
"""Tokens kept whose logits fall most, and as many that rise most."""
LOGITS_AT_ONCE = 1 << 24
"""Logits that are held at a time (64 MB), and a few arrays of that size beside them."""
TOKENS_AT_ONCE = 2048
"""Tokens of the contexts that are open together, at least."""
DIVERGENCE_AT_ONCE = 1 << 19
"""Logits whose divergences are taken together."""


@dataclass(frozen=True)
class AblationEffects:
    """Measured at n firings; [n, 3] by DIRECTIONS. NaN: there is no such token in the context."""

    norm: Float64  # [n] of what was subtracted
    entropy: Float64  # [n] at the position, nats
    n_after: Int32  # [n] positions behind it that were read
    kl: Float64  # [n, 3] at the position
    kl_after: Float64  # [n, 3] mean over those behind it
    loss_change: Float64  # [n, 3] of the next token
    loss_estimate: Float64  # [n, 3] of loss_change, to first order; NaN also where there is no gradient
    loss_change_after: Float64  # [n, 3] mean over the tokens that follow that one
    direct_share: Float64  # [n]
    likeliest: Int32  # [n, k] the tokens that are likeliest as the model is; -1: there is no gradient
    likeliest_change: Float32  # [n, 3, k] of their logits, the mean change of all taken off
    likeliest_estimate: Float32  # [n, 3, k] of that, to first order
    moved: Int32  # [n, 2 MOVED] tokens whose logits fall most without the feature, then those that rise most
    moved_by: Float32  # [n, 2 MOVED] by how much: without it less with it, the median change taken off


def contributions(dictionary: Dictionary, firings: Firings, x: Tensor | None) -> Tensor:
    """[n, d_out] what each firing adds at its token. `x` [n, d_in]: what the dictionary reads there, which one that
    scales its input needs. Raises InputError where that cannot be said."""
    directions = dictionary.directions[torch.from_numpy(firings.feature)].cpu()
    added: Tensor = directions * torch.from_numpy(firings.activation)[:, None]
    scale = written_scale(dictionary, x)
    return added if scale is None else added * scale


def written_scale(dictionary: Dictionary, x: Tensor | None) -> Tensor | None:
    """[n, 1] by how much more than its activation times its direction a feature writes at each token; None: no more.
    `x` [n, d_in]: what the dictionary reads there. Raises InputError where that cannot be said."""
    if not isinstance(dictionary, SparseAutoencoder):
        return None
    steered_hook(dictionary)
    if dictionary.normalize == "none":
        return None
    assert x is not None
    if dictionary.hook_out is not None:
        raise InputError("a transcoder that scales its input does not say in which scale it writes")
    scale: Tensor = x.norm(dim=1, keepdim=True) / x.shape[1] ** 0.5
    if dictionary.normalize == "layer_norm":
        scale = x.std(dim=1, keepdim=True) + 1e-5
    return scale


@dataclass(frozen=True)
class _Opened:
    """A context and the firings in it."""

    rows: np.ndarray
    """[n] of the firings."""
    ids: Tensor
    """[L] its tokens."""
    opened: PatchedContext
    added: Tensor
    """[n, d] what each firing adds."""


@dataclass(frozen=True)
class _Estimates:
    """What a first-order estimate says of n firings."""

    token: Tensor
    """[n, k] the tokens whose logits are estimated; -1: nothing is known."""
    loss: Float64
    """[n, 3]"""
    logits: Float32
    """[n, 3, k]"""

    def take(self, at: slice) -> _Estimates:
        """Those of these."""
        return _Estimates(self.token[at], self.loss[at], self.logits[at])


@dataclass(frozen=True)
class Ablation:
    """What the firings of one dictionary are measured with."""

    subject: Subject
    tokens: TokenFile
    dictionary: Dictionary
    name: str
    passes: PatchedPasses
    covariance: Draw
    path: LogitPath | None
    usable: Tensor
    """[n] ids of the tokens that stand in the corpus."""
    seed: int
    differentiable: bool = True
    """Whether the model can be differentiated: else nothing is estimated."""

    def measure(self, firings: Firings, progress: Callable[[int], None] = lambda _: None) -> AblationEffects:
        """Effects of each firing, in the order given; each context is opened once."""
        parts: list[tuple[np.ndarray, AblationEffects]] = []
        waiting: list[_Opened] = []
        order = np.argsort(firings.context, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(firings.context[order])) + 1) if len(order) else ():
            waiting.append(self._open(firings, rows))
            if sum(len(one.ids) for one in waiting) >= TOKENS_AT_ONCE:
                parts += self._measure_some(firings, waiting, progress)
                waiting = []
        parts += self._measure_some(firings, waiting, progress)
        return _in_order(parts)

    def _open(self, firings: Firings, rows: np.ndarray) -> _Opened:
        context = int(firings.context[rows[0]])
        n_valid = int(self.tokens.n_valid[context])
        ids = torch.from_numpy(np.asarray(self.tokens.tokens[context][:n_valid]).astype(np.int64))
        ids = ids.to(self.subject.device)
        return _Opened(rows, ids, self.passes.open(ids), self._contributions(firings.take(rows), ids))

    def _measure_some(
        self, firings: Firings, contexts: Sequence[_Opened], progress: Callable[[int], None]
    ) -> Iterator[tuple[np.ndarray, AblationEffects]]:
        """Of some contexts, whose outputs are differentiated together."""
        if not contexts:
            return
        every = firings.take(np.concatenate([of.rows for of in contexts]))
        taken = self._subtracted(every, torch.cat([of.added for of in contexts]))
        estimates = self._estimates(firings, contexts, taken)
        first = 0
        for of in contexts:
            for some in self._portions(len(of.rows)):
                at = slice(first + int(some[0]), first + int(some[-1]) + 1)
                yield of.rows[some], self._measured(of, firings.take(of.rows[some]), taken[:, at], estimates.take(at))
                progress(len(some))
            first += len(of.rows)

    def _contributions(self, firings: Firings, ids: Tensor) -> Tensor:
        """[n, d] of firings of one context."""
        x = None
        if getattr(self.dictionary, "normalize", "none") != "none":
            hook = self.dictionary.hook
            positions = torch.from_numpy(firings.position.astype(np.int64))
            x = self.subject.activations(ids[None], [hook])[hook][0].cpu()[positions]
        return contributions(self.dictionary, firings, x)

    def _estimates(self, firings: Firings, contexts: Sequence[_Opened], taken: Tensor) -> _Estimates:
        """What gradients at the place of each firing say of what is `taken` there, [4, n, d]."""
        inside, at = [], []
        n = 0
        for of in contexts:
            place, which = np.unique(firings.position[of.rows], return_inverse=True)
            known = place + 1 < len(of.ids) if self.differentiable else np.zeros(len(place), dtype=np.bool_)
            inside.append(torch.from_numpy(place[known].astype(np.int64)).to(of.ids.device))
            at.append(np.where(known, n + np.cumsum(known) - 1, -1)[which.reshape(-1)])
            n += int(known.sum())
        gradients = OutputGradients.unknown(taken[0, :1], self.subject.d_vocab)  # the last: of places without one
        if n:
            by_place = self.passes.gradients([of.opened for of in contexts], inside, taken.shape[2])
            gradients = OutputGradients.together([by_place.cpu(), gradients])
        of_each = gradients.take(torch.from_numpy(np.concatenate(at)))
        return _Estimates(
            token=of_each.token,
            loss=_float64(-torch.einsum("snd,nd->ns", taken[1:].double(), of_each.loss.double())),
            logits=-torch.einsum("snd,nkd->nsk", taken[1:], of_each.logits).numpy(),
        )

    def _portions(self, n: int) -> Iterator[np.ndarray]:
        a_row = (1 + len(DIRECTIONS)) * (self.passes.after + 1) * self.subject.d_vocab
        at_once = max(1, LOGITS_AT_ONCE // a_row)
        for first in range(0, n, at_once):
            yield np.arange(first, min(first + at_once, n))

    def _subtracted(self, firings: Firings, added: Tensor) -> Tensor:
        """[4, n, d]: nothing, the contribution, and the two random directions of its norm."""
        rows = torch.zeros(1 + len(DIRECTIONS), len(firings), added.shape[1])
        rows[1] = added
        norm = added.double().norm(dim=1).numpy()
        places = zip(firings.feature, firings.context, firings.position, strict=True)
        for row, place in enumerate(places):
            rng = rng_for(self.seed, "ablate", self.name, *(int(number) for number in place))
            isotropic, covariance = rng.standard_normal(added.shape[1]), self.covariance(rng)
            for column, drawn in ((2, isotropic), (3, covariance)):
                scaled = drawn * (norm[row] / max(float(np.linalg.norm(drawn)), 1e-30))
                rows[column, row] = torch.from_numpy(scaled.astype(np.float32))
        return rows

    @torch.inference_mode()
    def _measured(self, of: _Opened, firings: Firings, taken: Tensor, estimates: _Estimates) -> AblationEffects:
        """`taken` [4, n, d] is subtracted."""
        n, sides, ids, added = len(firings), 1 + len(DIRECTIONS), of.ids, taken[1]
        subtracted = taken.to(self.subject.device)
        positions = torch.from_numpy(firings.position.astype(np.int64)).to(self.subject.device)
        logits = of.opened.logits(positions.repeat(sides), -subtracted.flatten(0, 1))
        logits = logits.view(sides, n, *logits.shape[1:])  # [4, n, after + 1, V]
        share, moved, moved_by = self._moved(logits[0, :, 0], logits[1, :, 0], firings, added)
        likeliest_change = self._likeliest(logits[:, :, 0], estimates.token)
        places = positions[:, None] + torch.arange(self.passes.after + 1, device=positions.device)
        follows = places + 1 < len(ids)  # the token behind each place is in the context
        target = ids[(places + 1).clamp(max=len(ids) - 1)]
        entropy, kl, loss = divergence(logits[0], logits[1:], target)
        kl = torch.where(places < len(ids), kl, torch.nan)  # [3, n, after + 1]
        loss = torch.where(follows, loss, torch.nan)
        n_after = (places < len(ids))[:, 1:].sum(dim=1)
        return AblationEffects(
            norm=added.double().norm(dim=1).numpy(),
            entropy=_float64(entropy[:, 0]),
            n_after=n_after.cpu().numpy().astype(np.int32),
            kl=_float64(kl[..., 0].T),
            kl_after=_float64(kl[..., 1:].nanmean(dim=-1).T),
            loss_change=_float64(loss[..., 0].T),
            loss_estimate=estimates.loss,
            loss_change_after=_float64(loss[..., 1:].nanmean(dim=-1).T),
            direct_share=share,
            likeliest=estimates.token.numpy().astype(np.int32),
            likeliest_change=likeliest_change,
            likeliest_estimate=estimates.logits,
            moved=moved,
            moved_by=moved_by,
        )

    def _likeliest(self, logits: Tensor, token: Tensor) -> Float32:
        """[n, 3, k] changes of the logits of `token` [n, k] less those of all; `logits` [4, n, V] at the position."""
        of_token = logits.gather(2, token.clamp(min=0).to(logits.device).expand(len(logits), -1, -1))
        centred = of_token - logits.mean(dim=2, keepdim=True)
        change = (centred[1:] - centred[:1]).transpose(0, 1).cpu()
        return np.asarray(torch.where(token[:, None] >= 0, change, torch.nan).numpy(), dtype=np.float32)

    def _moved(self, whole: Tensor, ablated: Tensor, firings: Firings, added: Tensor) -> tuple[Float64, Int32, Float32]:
        """direct_share [n], and the tokens whose logits move most. Logits [n, V] at the position."""
        change = (ablated - whole).index_select(1, self.usable)
        change = change - change.median(dim=1, keepdim=True).values
        share = torch.full((len(firings),), torch.nan)
        if self.path is not None:
            written = self.path.written(added)
            share = -correlation(change, written @ self.path.unembed)
        n = min(MOVED, change.shape[1] // 2)
        order = [change.topk(n, dim=1, largest=largest).indices for largest in (False, True)]
        moved = torch.cat(order, dim=1)
        by = change.gather(1, moved)
        return (
            _float64(share),
            self.usable[moved].cpu().numpy().astype(np.int32),
            by.cpu().numpy().astype(np.float32),
        )


def divergence(whole: Tensor, others: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy of the model as it is, KL divergences of `others` from it, and the changes of the loss of `target`.

    Logits [n, m, V] and [s, n, m, V], `target` [n, m] -> [n, m], [s, n, m], [s, n, m], nats. `others` is used up. With
    d the change of the logits and p the probabilities as they are, KL is log(sum p exp(d)) - sum p d: small numbers
    stay exact, which differences of two log probabilities of nearly the same size do not. Some rows are taken at a
    time: what is made of them in between stays small.
    """
    rows = max(1, DIVERGENCE_AT_ONCE // max(others[:, :1].numel(), 1))
    parts = zip(torch.split(whole, rows), torch.split(others, rows, dim=1), torch.split(target, rows), strict=True)
    columns = zip(*(_divergence(*part) for part in parts), strict=True)
    entropy, kl, loss = (torch.cat(column, dim=-2) for column in columns)
    return entropy, kl, loss


def _divergence(whole: Tensor, others: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`divergence` of rows that are taken together."""
    logp = whole.log_softmax(dim=-1)
    p = logp.exp()
    entropy = -torch.einsum("nmv,nmv->nm", p, logp)
    of_target = others.gather(-1, target[..., None].expand(*others.shape[:3], 1))[..., 0]
    change_of_target = of_target - whole.gather(-1, target[..., None])[..., 0]
    change = others.sub_(whole)
    mean = torch.einsum("nmv,snmv->snm", p, change)
    grown = change.sub_(mean[..., None]).expm1_()
    kl = torch.einsum("nmv,snmv->snm", p, grown).log1p_().clamp_(min=0)
    return entropy, kl, kl + mean - change_of_target


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, row by row; NaN where a row is constant."""
    a, b = (
        x.sub_(x.mean(dim=1, keepdim=True)) for x in (a.to(torch.float64, copy=True), b.to(torch.float64, copy=True))
    )
    product, of_a, of_b = (torch.einsum("nv,nv->n", *pair) for pair in ((a, b), (a, a), (b, b)))
    return product / (of_a * of_b).sqrt()


def _float64(x: Tensor) -> Float64:
    return np.asarray(x.cpu().numpy(), dtype=np.float64)


def _in_order(parts: Sequence[tuple[np.ndarray, AblationEffects]]) -> AblationEffects:
    """Portions put back in the order of the firings."""
    if not parts:
        empty, sides = np.zeros(0), np.zeros((0, len(DIRECTIONS)))
        moved, likeliest = np.zeros((0, 2 * MOVED)), np.zeros((0, len(DIRECTIONS), LIKELIEST), dtype=np.float32)
        return AblationEffects(
            empty, empty, empty.astype(np.int32), sides, sides, sides, sides, sides, empty,
            likeliest[:, 0].astype(np.int32), likeliest, likeliest, moved.astype(np.int32), moved.astype(np.float32),
        )  # fmt: skip
    place = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    columns = {
        name: np.concatenate([getattr(effects, name) for _, effects in parts])[place]
        for name in AblationEffects.__dataclass_fields__
    }
    return AblationEffects(**columns)
