"""How far the output moves with the size of a step: KL against size along a feature's direction, and along others.

At a token at which the feature fires, a step is added at the hook point, and the prediction there is held against that
of the model as it is; and so is the residual stream at that token behind the last block, before the final norm: its
Euclidean distance from the stream as it is, over the norm of that. Sizes are STEPS multiples of the median norm of the
activations, from 1/32 to 4. Steps along:

    feature     its decoder direction
    isotropic   a random direction
    covariance  a random direction that is spread as the activations are (the mean taken off)
    difference  from one activation of the corpus to another
    neuron      the neuron whose output lies nearest to the feature's direction, of the MLP that wrote there last

The random ones are drawn anew at each token. (Heimersheim's and Lee's sensitivity of activations, at the feature's own
tokens.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.ablate import LOGITS_AT_ONCE, divergence
from autointerp.extract.effects import NEURONS
from autointerp.extract.firings import Firings
from autointerp.hashing import rng_for
from autointerp.records import Float64
from autointerp.subject.baselines import Draw
from autointerp.subject.dictionary import Dictionary
from autointerp.subject.model import Subject
from autointerp.subject.patching import PatchedContext, PatchedPasses
from autointerp.subject.tokens import TokenFile
from autointerp.subject.weights import readable

STEPS = 15
SMALLEST, LARGEST = -5.0, 2.0
"""Powers of two of the median norm."""
STREAM = re.compile(r"blocks\.(\d+)\.hook_(?:resid_(pre|mid|post)|mlp_out)")
RANDOM = {"isotropic": "random_isotropic", "covariance": "random_covariance", "difference": "activation_difference"}
ALONG = ("feature", *RANDOM, "neuron")
REACHED = (0.25, 0.5, 1.0)
"""KL divergences whose sizes are told, nats."""


@dataclass(frozen=True)
class Curve:
    """One direction at one token."""

    firing: int
    """Row of the firings."""
    direction: str
    entropy: float
    """Of the prediction as it is, nats."""
    kl: Float64
    """[STEPS] nats."""
    distance: Float64
    """[STEPS] of the last block's output, as a share of its norm; NaN where it cannot be read."""


def step_sizes(median_norm: float) -> Float64:
    """[STEPS] rising."""
    return median_norm * 2.0 ** np.linspace(SMALLEST, LARGEST, STEPS)


def reaching(size: Float64, kl: Float64, target: float) -> float:
    """The first size whose KL is `target`, between steps by a line of logarithms; NaN: none reaches it.

    Before the first step KL is taken to grow with the square of the size.
    """
    above = np.flatnonzero(kl >= target)
    if not len(above):
        return float("nan")
    i = int(above[0])
    if i == 0:
        return float(size[0] * np.sqrt(target / kl[0]))
    low, high = np.log(np.maximum(kl[i - 1 : i + 1], 1e-12))
    share = (np.log(target) - low) / (high - low)
    return float(size[i - 1] * (size[i] / size[i - 1]) ** share)


def steepest(size: Float64, kl: Float64) -> float:
    """The size, in the middle of two steps, at which KL grows fastest with it."""
    slope = np.diff(kl) / np.diff(size)
    i = int(np.argmax(slope))
    return float(np.sqrt(size[i] * size[i + 1]))


def neuron_outputs(subject: Subject, hook: str) -> Tensor | None:
    """[n, d] what each neuron of the MLP that wrote last writes at the hook point; at a hook on neurons, themselves.

    None: there is no such MLP, or a norm stands behind it.
    """
    if NEURONS.fullmatch(hook):
        return torch.eye(subject.width(hook))
    place = STREAM.fullmatch(hook)
    layer = int(place[1]) - (place[2] in ("pre", "mid")) if place else -1
    if layer < 0:
        return None
    block = subject.bridge.blocks[layer]
    if getattr(block, "ln2_post", None) is not None:
        return None
    try:
        with readable(block):
            weight: Tensor = block.mlp.W_out.detach().float().cpu()
    except AttributeError:  # experts
        return None
    return weight if weight.ndim == 2 and weight.shape[1] == subject.width(hook) else None


@dataclass(frozen=True)
class Sensitivity:
    """What the steps of one dictionary are measured with."""

    tokens: TokenFile
    dictionary: Dictionary
    name: str
    passes: PatchedPasses
    """Of the tokens themselves: nothing behind them is read."""
    draws: Mapping[str, Draw]
    """By direction."""
    neurons: Tensor | None
    size: Float64
    """[STEPS]"""
    device: torch.device
    d_vocab: int
    seed: int

    def measure(self, firings: Firings, progress: Callable[[int], None] = lambda _: None) -> list[Curve]:
        """By firing, then as ALONG has them; each context is opened once."""
        curves: list[Curve] = []
        order = np.argsort(firings.context, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(firings.context[order])) + 1) if len(order) else ():
            context = int(firings.context[rows[0]])
            ids = np.asarray(self.tokens.tokens[context][: int(self.tokens.n_valid[context])]).astype(np.int64)
            opened = self.passes.open(torch.from_numpy(ids).to(self.device))
            for row in rows.tolist():
                curves += self._at(opened, firings, row)
                progress(1)
        return sorted(curves, key=lambda curve: (curve.firing, ALONG.index(curve.direction)))

    def directions(self, firings: Firings, row: int) -> dict[str, Float64]:
        """Unit vectors of one firing; those that are there."""
        feature, context, position = (int(of[row]) for of in (firings.feature, firings.context, firings.position))
        written = self.dictionary.directions[feature].detach().double().cpu().numpy()
        vectors = {"feature": written}
        for name, draw in self.draws.items():
            vectors[name] = draw(rng_for(self.seed, "sensitivity", name, self.name, feature, context, position))
        if self.neurons is not None:
            vectors["neuron"] = self._neuron(written)
        norms = {name: float(np.linalg.norm(vector)) for name, vector in vectors.items()}
        return {name: vector / norms[name] for name, vector in vectors.items() if norms[name] > 0}

    def _neuron(self, written: Float64) -> Float64:
        assert self.neurons is not None
        outputs = self.neurons.double().numpy()
        cosine = outputs @ written / np.maximum(np.linalg.norm(outputs, axis=1), 1e-30)
        best = int(np.argmax(np.abs(cosine)))
        return np.asarray(outputs[best] * np.sign(cosine[best]), dtype=np.float64)

    @torch.inference_mode()
    def _at(self, opened: PatchedContext, firings: Firings, row: int) -> list[Curve]:
        vectors = self.directions(firings, row)
        position = int(firings.position[row])
        unit = torch.from_numpy(np.stack(list(vectors.values())).astype(np.float32))
        size = torch.from_numpy(self.size.astype(np.float32))
        added = (unit[:, None] * size[None, :, None]).flatten(0, 1).to(self.device)
        whole, stream = self._outputs(opened, position, torch.zeros_like(added[:1]))
        at_once = max(1, LOGITS_AT_ONCE // self.d_vocab)
        nowhere = torch.zeros(1, 1, dtype=torch.long, device=whole.device)
        kls, distances = [], []
        for first in range(0, len(added), at_once):
            others, streams = self._outputs(opened, position, added[first : first + at_once])
            entropy, kl, _ = divergence(whole[None], others[:, None, None], nowhere)
            kls.append(kl[:, 0, 0])
            distances.append((streams - stream).norm(dim=1) / stream.norm(dim=1).clamp(min=1e-30))
        measured = (torch.cat(of).double().cpu().numpy().reshape(len(vectors), STEPS) for of in (kls, distances))
        curves = zip(vectors, *measured, strict=True)
        return [Curve(row, name, float(entropy), *curve) for name, *curve in curves]

    @staticmethod
    def _outputs(opened: PatchedContext, position: int, added: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [R, V], and what stands behind the last block [R, d_model]; NaN where that cannot be read."""
        logits, last = opened.last_streams(torch.full((len(added),), position, device=added.device), added)
        return logits[:, 0], torch.full_like(logits[:, 0, :1], torch.nan) if last is None else last
