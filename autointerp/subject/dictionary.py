"""Dictionaries: sets of features at one hook point.

One small Protocol and two records behind it: what is read from files (SparseAutoencoder) and what is
made here (Units: neurons and random directions, `relu(s (x.d - mu) - theta)`). Only `encode`'s output
counts; TopK is taken over the full width, whatever features are selected afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.subject.outliers import past_limit


@runtime_checkable
class Dictionary(Protocol):
    """What the extraction needs of a set of features."""

    @property
    def kind(self) -> str: ...
    @property
    def hook(self) -> str: ...
    @property
    def d_in(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def activation(self) -> str: ...
    @property
    def directions(self) -> Float[Tensor, "n_features d_out"]:
        """What a feature writes for a unit of its activation."""
        ...

    def encode(self, x: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """Activations, in the dictionary's own scale; never negative."""
        ...

    def to(self, device: torch.device) -> Dictionary: ...


TOP = ("topk", "groupmax")
"""Architectures in which the largest of a token's pre-activations fire: of all of them, of each group of them."""
TOP_COLUMNS = 1 << 12
"""Features of a wide TopK that are encoded together: 16 MB for 1,024 rows."""


@dataclass(frozen=True)
class SparseAutoencoder:
    """An SAE or transcoder as its file defines it; nothing is rescaled."""

    hook: str
    architecture: str  # standard | jumprelu | topk | groupmax | gated
    W_enc: Float[Tensor, "d_in n_features"]
    b_enc: Float[Tensor, " n_features"]
    W_dec: Float[Tensor, "n_features d_out"]
    b_dec: Float[Tensor, " d_out"]
    kind: str = "sae"
    hook_out: str | None = None  # transcoders: where it writes
    subtract_b_dec: bool = True
    threshold: Float[Tensor, " n_features"] | None = None  # jumprelu
    k: int | None = None  # topk: how many fire; groupmax: in how many groups
    rescale_by_decoder_norm: bool = False  # topk
    b_gate: Float[Tensor, " n_features"] | None = None  # gated
    r_mag: Float[Tensor, " n_features"] | None = None
    b_mag: Float[Tensor, " n_features"] | None = None
    W_skip: Float[Tensor, "d_out d_in"] | None = None  # skip transcoders: their output gets x W_skip^T; not in encode
    normalize: str = "none"  # none | layer_norm | constant_norm_rescale, of the input, token by token
    incomplete: str | None = None  # why its features alone do not make up what is at `hook_out`; None: they do
    processing: str | None = None  # raw | folded: the activations it was trained on; None where the files do not say
    format: str = "saelens"
    source: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)  # planted: the known label of each feature

    @property
    def competes(self) -> bool:
        """Whether a feature's activation depends on the other features: TopK."""
        return self.architecture in TOP

    @property
    def d_in(self) -> int:
        return int(self.W_enc.shape[0])

    @property
    def n_features(self) -> int:
        return int(self.W_enc.shape[1])

    @property
    def activation(self) -> str:
        return (
            f"{self.architecture} (k = {self.k})"
            if self.architecture in TOP
            else {"standard": "relu"}.get(self.architecture, self.architecture)
        )

    @property
    def directions(self) -> Float[Tensor, "n_features d_out"]:
        if not self.rescale_by_decoder_norm:
            return self.W_dec
        norm: Tensor = self.W_dec.norm(dim=1, keepdim=True)  # the activations were multiplied by it
        return self.W_dec / norm.clamp(min=1e-30)

    def encode(self, x: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        x = _normalize(x, self.normalize)
        if self.subtract_b_dec:
            x = x - self.b_dec
        if self.architecture == "gated":
            assert self.b_gate is not None
            assert self.r_mag is not None
            assert self.b_mag is not None
            projected = x @ self.W_enc
            magnitude = torch.relu(projected * self.r_mag.exp() + self.b_mag)
            return magnitude * (projected + self.b_gate > 0)
        pre = torch.addmm(self.b_enc, x, self.W_enc)
        if self.architecture == "jumprelu":
            assert self.threshold is not None
            return torch.relu(pre) * (pre > self.threshold)
        if self.architecture in TOP:
            value, feature = self._largest(pre)
            return torch.zeros_like(pre).scatter_(1, feature, value)
        return pre.relu_()

    def only(self, features: Int[Tensor, " some"]) -> SparseAutoencoder:
        """The dictionary of these features alone. Not where they compete."""
        assert not self.competes
        of_each = {"b_enc": self.b_enc, "threshold": self.threshold, "b_gate": self.b_gate}
        of_each |= {"r_mag": self.r_mag, "b_mag": self.b_mag}
        some: dict[str, Any] = {name: value[features] for name, value in of_each.items() if value is not None}
        return replace(self, W_enc=self.W_enc[:, features], W_dec=self.W_dec[features], **some)

    def encode_columns(self, x: Float[Tensor, "n d_in"], first: int, last: int) -> Float[Tensor, "features n"]:
        """`encode` of features `first` to `last` - 1, feature by feature. Not where they compete."""
        assert not self.competes
        x = _normalize(x, self.normalize)
        x = (x - self.b_dec if self.subtract_b_dec else x).T
        some = slice(first, last)
        weight = self.W_enc[:, some].T
        if self.architecture == "gated":
            assert self.b_gate is not None
            assert self.r_mag is not None
            assert self.b_mag is not None
            projected = weight @ x
            magnitude = torch.relu(projected * self.r_mag[some, None].exp() + self.b_mag[some, None])
            return magnitude * (projected + self.b_gate[some, None] > 0)
        pre = torch.addmm(self.b_enc[some, None], weight, x)
        if self.architecture == "jumprelu":
            assert self.threshold is not None
            return torch.relu(pre) * (pre > self.threshold[some, None])
        return pre.relu_()

    def encode_top(self, x: Float[Tensor, "n d_in"]) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]] | None:
        """The same for a TopK, without the zeros in between: activations and their features. None: not a TopK."""
        if self.architecture not in TOP:
            return None
        x = _normalize(x, self.normalize)
        x = x - self.b_dec if self.subtract_b_dec else x
        if self.architecture == "topk" and self.at_once < self.n_features and not x.is_cuda:
            return self._largest_by_parts(x)
        return self._largest(torch.addmm(self.b_enc, x, self.W_enc))

    @property
    def at_once(self) -> int:
        """Features of which `encode_top` holds all pre-activations, on a CPU."""
        assert self.k is not None
        part = max(TOP_COLUMNS, 4 * self.k)
        return part if self.architecture == "topk" and self.n_features > 2 * part else self.n_features

    def _largest_by_parts(self, x: Float[Tensor, "n d_in"]) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
        """The largest of the largest of ranges of features: for many rows at once, for which weights are read once."""
        assert self.k is not None
        scale = self.W_dec.norm(dim=1) if self.rescale_by_decoder_norm else None
        values, features = [], []
        for first in range(0, self.n_features, self.at_once):
            some = slice(first, min(first + self.at_once, self.n_features))
            pre = torch.addmm(self.b_enc[some], x, self.W_enc[:, some])
            pre = pre if scale is None else pre * scale[some]
            value, feature = pre.topk(min(self.k, pre.shape[1]), dim=1, sorted=False)
            values.append(value)
            features.append(feature.add_(first))
        value, place = torch.cat(values, dim=1).topk(self.k, dim=1, sorted=False)
        return value.relu_(), torch.cat(features, dim=1).gather(1, place)

    def _largest(self, pre: Float[Tensor, "n n_features"]) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
        assert self.k is not None
        if self.rescale_by_decoder_norm:
            pre = pre * self.W_dec.norm(dim=1)
        if self.architecture == "groupmax":
            value, place = pre.view(len(pre), self.k, -1).max(dim=2)
            first = torch.arange(0, pre.shape[1], pre.shape[1] // self.k, device=pre.device)
            return value.relu_(), place + first
        value, feature = pre.topk(self.k, dim=1, sorted=False)
        return value.relu_(), feature

    def to(self, device: torch.device) -> SparseAutoencoder:
        return replace(self, **_moved(self, device))


def _normalize(x: Float[Tensor, "n d_in"], mode: str) -> Float[Tensor, "n d_in"]:
    """SAELens's run-time normalisations of the input."""
    if mode == "layer_norm":
        x = x - x.mean(dim=1, keepdim=True)
        return x / (x.std(dim=1, keepdim=True) + 1e-5)
    if mode == "constant_norm_rescale":
        coefficient: Tensor = x.shape[1] ** 0.5 / x.norm(dim=1, keepdim=True)
        return x * coefficient
    return x


@dataclass(frozen=True)
class Units:
    """Baseline units: `relu(s (x.d - mu) - theta)`; theta is infinite where a unit could not be matched.

    They are silent on tokens of enormous norm (`outliers.py`): there nearly every direction is far from its mean.
    """

    kind: str
    hook: str
    d_in: int
    unit: Int[Tensor, " n_features"]
    """The unit behind each feature; neurons: its index, components and random directions: their number."""
    direction: Float[Tensor, "n_features d_in"] | None
    """Unit vectors; None where the units are neurons, coordinates of the hook."""
    sign: Float[Tensor, " n_features"]
    mu: Float[Tensor, " n_features"]
    theta: Float[Tensor, " n_features"]
    matched_to: str | None = None
    matched_feature: Int[Tensor, " n_features"] | None = None
    matched: tuple[bool, ...] = ()
    written: Float[Tensor, "n_features d_in"] | None = None
    """What a unit writes, where that is not what it reads (ICA): for a unit of x.d."""
    natural_of: str | None = None
    """The matched baseline whose units these are, at their natural density."""
    norm_limit: float | None = None
    """Tokens with a larger norm at the hook fire no unit; None: all may."""
    format: str = ""
    source: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        return int(self.unit.shape[0])

    @property
    def n_units(self) -> int:
        return len(set(self.unit.tolist()))

    @property
    def activation(self) -> str:
        return "relu(s (x.d - mu) - theta)"

    @property
    def directions(self) -> Float[Tensor, "n_features d_out"]:
        """The sign belongs to it: a flipped unit writes the other way."""
        written = self.direction if self.written is None else self.written
        if written is not None:
            return written * self.sign[:, None]
        eye = torch.zeros(self.n_features, self.d_in, device=self.unit.device)
        return eye.scatter_(1, self.unit[:, None], self.sign[:, None])

    def encode(self, x: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        projected = x[:, self.unit] if self.direction is None else x @ self.direction.T
        acts = projected.sub_(self.mu).mul_(self.sign).sub_(self.theta).relu_()
        if self.norm_limit is not None:
            acts[past_limit(x, self.norm_limit)] = 0
        return acts

    def to(self, device: torch.device) -> Units:
        return replace(self, **_moved(self, device))


def written_hook(dictionary: Dictionary) -> str:
    """The hook point where the features write: a transcoder's other one, else where they read."""
    return getattr(dictionary, "hook_out", None) or dictionary.hook


def steered_hook(dictionary: Dictionary) -> str:
    """`written_hook`, where a step along a feature's direction is all that the feature writes. Raises InputError where
    features write to several places."""
    if isinstance(dictionary, SparseAutoencoder) and dictionary.incomplete is not None:
        raise InputError("a feature writes to several places of the model")
    return written_hook(dictionary)


def _moved(dictionary: SparseAutoencoder | Units, device: torch.device) -> dict[str, Any]:
    values = {item.name: getattr(dictionary, item.name) for item in fields(dictionary)}
    return {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}


def checksum(dictionary: SparseAutoencoder | Units) -> str:
    """Hash of all weights."""
    digest = hashlib.blake2b(digest_size=16)
    for item in fields(dictionary):
        value = getattr(dictionary, item.name)
        if isinstance(value, Tensor):
            digest.update(item.name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
