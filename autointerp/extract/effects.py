"""Direct logit effects: what a unit step along a feature's decoder direction adds to each logit.

    effect = direction . (W_out or W_O where the dictionary reads neurons or heads) . centring . w . W_U

Centring and the weight w are the final norm's (w + 1 where the architecture stores it so); its division by the
standard deviation is left out, so effects compare within a feature and in rank, not in absolute size. Each feature's
effects are shifted to median zero over the vocabulary that stands in the corpus; tokens that never do are left out. z
is the effect over the standard deviation of the feature's effects. (Logit weights as in Towards Monosemanticity.) Where
a block norms what it adds to the residual stream (Gemma 2 and 3, OLMo 2), the weight of that norm is on the path too,
its division again left out; so is the soft cap of the logits, which changes no rank. Granite's multipliers are on the
path: of what a block adds to the residual stream, and of the logits. Where norms were removed from a model by an
epsilon that no variance comes near, they divide by its square root: effects are then what a step adds, in size too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Float64, Int64
from autointerp.subject.dictionary import Dictionary, written_hook
from autointerp.subject.model import Subject
from autointerp.subject.weights import readable

TOP = {"promoted": 60, "suppressed": 60}
"""Tokens kept: explainers see the first ten; judges are asked about ranks 11 to 60."""
REMOVED = 1e6
"""An epsilon from here on says that a norm was removed: it divides by the same number whatever comes."""
MOST_COUNTED = 1024
"""Tokens that may hold half of a feature's effects, where their number is said."""
EFFECTS_AT_ONCE = 1 << 24
"""Effects held at once, so that memory does not grow with the vocabulary: 64 MB, and a few times that in between."""
RESIDUAL = re.compile(
    r"hook_embed|hook_pos_embed|blocks\.\d+\.(hook_resid_(pre|mid|post)|hook_(attn|mlp)_out|hook_(in|out))"
)
OUTPUT = re.compile(r"blocks\.(\d+)\.(attn|mlp)\.hook_out")
"""What a half of a block puts out; where it has a norm of its own, before that."""
NEURONS = re.compile(r"blocks\.(\d+)\.mlp\.hook_post")
HEADS = re.compile(r"blocks\.(\d+)\.attn\.hook_z")


BIN, N_BINS = 0.5, 17
"""Steps of the histogram of effects, in standard deviations, and how many on each side of the median."""


@dataclass(frozen=True)
class StrongestEffects:
    """The strongest effects of each feature, [F, TOP[direction]] each, strongest first."""

    features: Int64
    token: dict[str, Int64]  # direction ("promoted", "suppressed") -> [F, TOP[direction]]
    effect: dict[str, Float64]
    z: dict[str, Float64]
    n_half: dict[str, Int64]
    """[F] the fewest tokens that hold half of the squared effects on this side; 0: more than MOST_COUNTED."""
    skew: Float64
    """[F] of the effects on all tokens; NaN: they are all the same."""
    excess_kurtosis: Float64
    """[F]"""
    counts: dict[str, Int64]
    """[F, N_BINS] tokens on this side of the median, by steps of BIN standard deviations; the last bin is open. Tokens
    at the median are promoted ones."""


@dataclass(frozen=True)
class LogitPath:
    """From what features write to the logits of the tokens that stand in the corpus."""

    to_final: Callable[[Tensor], Tensor]
    """From directions to what they write to the residual stream, past the final norm's weight: [F, d_in] -> [F, d]."""
    ids: Tensor
    """[n] tokens."""
    unembed: Tensor
    """[d, n]"""
    slope: float

    def written(self, directions: Tensor) -> Tensor:
        """What directions write to the residual stream, past the final norm's weight: [F, d_in] -> [F, d]."""
        return self.to_final(directions.to(self.unembed.device))

    def effects(self, written: Tensor) -> Tensor:
        """[F, d] -> [F, n], each feature's of median zero."""
        effect = written @ self.unembed * self.slope
        return effect - effect.median(dim=1, keepdim=True).values


def logit_path(subject: Subject, dictionary: Dictionary, usable: np.ndarray) -> LogitPath | None:
    """`usable` [V] says which tokens stand in the corpus. None: there is no direct path."""
    to_residual = _path_to_residual(subject, dictionary)
    if to_residual is None:
        return None
    unembed, slope = logit_readers(subject, usable), _logit_slope(subject)
    ids = torch.from_numpy(np.flatnonzero(usable)).to(unembed.device)

    def to_final(directions: Tensor) -> Tensor:
        return _through_norm(subject, subject.bridge.ln_final, to_residual(directions))

    return LogitPath(to_final, ids, unembed, slope)


def logit_effects(
    subject: Subject, dictionary: Dictionary, features: Int64, usable: np.ndarray
) -> StrongestEffects | None:
    """Effects of `features`; `usable` [V] says which tokens stand in the corpus. None: no direct path."""
    path = logit_path(subject, dictionary, usable)
    return None if path is None else strongest_effects(path, dictionary.directions, features)


@torch.inference_mode()
def strongest_effects(path: LogitPath, directions: Tensor, features: Int64) -> StrongestEffects:
    """The strongest effects of `features`, rows of `directions` [width, d_in]."""
    parts: dict[str, list[list[Tensor]]] = {"promoted": [], "suppressed": []}
    moments: list[Tensor] = []
    at_once = min(512, max(1, EFFECTS_AT_ONCE // len(path.ids)))
    for first in range(0, len(features), at_once):
        written = path.written(directions[torch.from_numpy(features[first : first + at_once])])
        effect = path.effects(written)
        spread = effect.std(dim=1, keepdim=True).clamp(min=1e-30)
        moments.append(_shape(effect))
        for name, sign in (("promoted", 1), ("suppressed", -1)):
            best = (sign * effect).topk(min(MOST_COUNTED, len(path.ids)), dim=1)
            n_half = _n_half(best.values.clamp(min=0), (sign * effect).clamp_(min=0))
            index = best.indices[:, : TOP[name]]
            chosen = effect.gather(1, index)
            parts[name].append([path.ids[index], chosen, chosen / spread, n_half])
        for name, counts in zip(parts, _counts(effect / spread), strict=True):
            parts[name][-1].append(counts)

    skew, excess_kurtosis = torch.cat(moments).double().cpu().numpy().T

    def column(name: str, index: int) -> np.ndarray:
        return torch.cat([part[index] for part in parts[name]]).cpu().numpy()

    return StrongestEffects(
        features=features,
        token={name: column(name, 0) for name in parts},
        effect={name: column(name, 1).astype(np.float64) for name in parts},
        z={name: column(name, 2).astype(np.float64) for name in parts},
        n_half={name: column(name, 3).astype(np.int64) for name in parts},
        skew=skew,
        excess_kurtosis=excess_kurtosis,
        counts={name: column(name, 4).astype(np.int64) for name in parts},
    )


@torch.inference_mode()
def written_directions(subject: Subject, dictionary: Dictionary, features: Int64) -> Tensor | None:
    """What a unit of each of `features` writes towards the logits, behind the final norm's weight, [n, d_model].

    None: there is no direct path.
    """
    to_residual = _path_to_residual(subject, dictionary)
    if to_residual is None:
        return None
    directions = dictionary.directions[torch.from_numpy(features)].to(subject.device)
    parts: list[Tensor] = [
        _through_norm(subject, subject.bridge.ln_final, to_residual(directions[first : first + 512]))
        for first in range(0, len(directions), 512)
    ]
    return torch.cat(parts) if parts else torch.zeros((0, subject.d_model), device=subject.device)


def logit_readers(subject: Subject, usable: np.ndarray) -> Tensor:
    """The columns of the unembedding of the tokens that `usable` [V] marks, [d_model, n]."""
    with readable(subject.bridge.unembed):
        unembed: Tensor = subject.bridge.W_U.detach().float().to(subject.device)
    return unembed[:, torch.from_numpy(np.flatnonzero(usable)).to(unembed.device)]


def _shape(effect: Tensor) -> Tensor:
    """Skewness and excess kurtosis of each row, [F, n] -> [F, 2]; NaN where a row is all one number."""
    centred = effect - effect.mean(dim=1, keepdim=True)
    centred /= centred.square().mean(dim=1, keepdim=True).sqrt()
    squares = centred.square()
    return torch.stack([(squares * centred).mean(dim=1), squares.square_().mean(dim=1) - 3], dim=1)


def _counts(z: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row of z [F, n], how many are how far above and below 0: twice [F, N_BINS]."""
    bins = z.abs().div_(BIN).clamp_(max=N_BINS - 1).long()  # cut towards 0
    bins += N_BINS * (z < 0)
    bins += 2 * N_BINS * torch.arange(len(z), device=z.device)[:, None]
    counts = bins.view(-1).bincount(minlength=2 * N_BINS * len(z)).view(len(z), 2, N_BINS)
    return counts[:, 0], counts[:, 1]


def _n_half(largest: Tensor, every: Tensor) -> Tensor:
    """The fewest of `largest` [F, n], falling, whose squares are half of the sum of squares of `every` [F, V]. [F]

    0 where all of them are less.
    """
    half = every.square().sum(dim=1, keepdim=True) / 2
    reached = largest.square().cumsum(dim=1) >= half
    return torch.where(reached.any(dim=1), reached.int().argmax(dim=1) + 1, 0)


def _path_to_residual(subject: Subject, dictionary: Dictionary):  # type: ignore[no-untyped-def]
    """A function from what a feature writes to the residual stream; None where there is no direct one."""
    hook = written_hook(dictionary)
    if RESIDUAL.fullmatch(hook):
        return lambda direction: direction
    neurons, heads, output = NEURONS.fullmatch(hook), HEADS.fullmatch(hook), OUTPUT.fullmatch(hook)
    layer = next((int(found[1]) for found in (neurons, heads, output) if found), 0)
    if not (output or neurons or heads):
        return None
    weight: Tensor | None = None
    block = subject.bridge.blocks[layer]
    with readable(block):
        if neurons:
            weight = block.mlp.W_out.detach().float()
        elif heads:
            weight = block.attn.W_O.detach().float()
            weight = weight.reshape(-1, weight.shape[-1])
    scale = float(getattr(block, "residual_contribution_scale", 1.0))
    attention = heads or (output and output[2] == "attn")
    norm = getattr(block, "ln1_post" if attention else "ln2_post", None)

    def path(direction: Tensor) -> Tensor:
        written = direction if weight is None else direction @ weight.to(direction.device)
        return scale * (written if norm is None else _through_norm(subject, norm, written))

    return path


def _logit_slope(subject: Subject) -> float:
    """What the model multiplies its logits by, at zero: a soft cap's slope there is 1."""
    step = torch.tensor([1e-6], dtype=torch.float64)
    return float(subject.bridge.adapter.apply_output_logits_transform(step) / step)


def _through_norm(subject: Subject, norm: Any, written: Tensor) -> Tensor:
    """A norm without its division: centring (layer norm only) and its weight. One that was removed by an epsilon past
    REMOVED divides by the same number whatever comes, and that is divided by: it is linear."""
    config = subject.bridge.cfg
    if not (config.final_rms or config.uses_rms_norm):
        written = written - written.mean(dim=1, keepdim=True)
    with readable(norm):
        weights = [weight for name, weight in norm.named_parameters() if name.endswith("weight")]
        if weights and weights[0] is not None:
            weight = weights[0].detach().float().to(written.device)
            written = written * (weight + 1 if config.rmsnorm_uses_offset else weight)
    epsilon = _epsilon(norm)
    return written / epsilon**0.5 if epsilon >= REMOVED else written


def _epsilon(norm: Any) -> float:
    """What a norm adds to the variance."""
    module = getattr(norm, "original_component", norm)
    return float(next((getattr(module, name) for name in ("eps", "variance_epsilon") if hasattr(module, name)), 0.0))
