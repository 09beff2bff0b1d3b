"""Where a hook point is in Hugging Face's model: which module, which side, before or after which norm.

It is measured: a few tokens run through the plain model, and what goes into each of its modules and comes out is
compared with what passes the hook point. Of several modules that fit, the outermost one of the hook's own block names
the place, and the norms among them say what it is before and after. So a hook point that a version of TransformerLens
puts elsewhere shows where it really is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from autointerp.subject.model import PROBE_LENGTH, Subject

TOLERANCE = {"float32": 1e-3}
LOOSE = 3e-2
"""Norm of a difference, as a share of the norm: the same numbers. The second is for half precision."""


@dataclass(frozen=True)
class HookPlace:
    """What passes a hook point, in Hugging Face's names. `text` is the whole of it in words."""

    hook: str
    module: str | None
    """None: nothing that goes into a module or comes out of one."""
    side: str = ""  # "input" or "output" of the module
    factor: float = 1.0
    """It is the module's side times this."""
    after: str | None = None
    """The norm that it comes out of."""
    before: str | None = None
    """The norm that it goes into."""
    inside: str | None = None
    """The norm inside which it is: divided, and before its gain."""

    @property
    def text(self) -> str:
        if self.inside is not None:
            return f"inside {self.inside}: divided by its scale, before its gain"
        if self.module is None:
            return "between modules of the plain model: could not be compared with any"
        said = f"{self.side} of {self.module or 'the model'}"
        said += "" if self.factor == 1.0 else f" times {self.factor:.4g}"
        said += "" if self.after in (None, self.module) else f", after {self.after}"
        return said + ("" if self.before in (None, self.module) else f", before {self.before}")


def probe_tokens(subject: Subject) -> Tensor:
    """A few tokens from all over the vocabulary. [1, n]"""
    n = min(PROBE_LENGTH, subject.n_ctx)
    return (torch.arange(n, device=subject.device)[None] * 7919 + 3) % subject.d_vocab


def tolerance_of(subject: Subject) -> float:
    return TOLERANCE.get(subject.dtype, LOOSE)


@torch.inference_mode()
def module_sides(model: Any, tokens: Tensor) -> dict[tuple[str, str], Tensor]:
    """What goes into each module of the language model and what comes out, [n, width], by name and side."""
    seen: dict[tuple[str, str], Tensor] = {}
    handles = []

    def keep(name: str, side: str, value: Any) -> None:
        value = value[0] if isinstance(value, tuple) and value else value
        per_token = isinstance(value, Tensor) and value.is_floating_point() and value.shape[:2] == tokens.shape
        if isinstance(value, Tensor) and not per_token and value.is_floating_point():
            per_token = value.ndim == 2 and len(value) == tokens.numel()  # experts see tokens without their batch
        if per_token:
            seen[name, side] = value.detach().reshape(tokens.numel(), -1).float()

    for name, module in model.named_modules():
        if module is not model and module is not model.get_output_embeddings():
            handles.append(module.register_forward_hook(partial(_both_sides, keep, name), with_kwargs=True))
    try:
        model(tokens, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _both_sides(
    keep: Callable[[str, str, Any], None], name: str, _module: Any, inputs: Any, named: Any, output: Any
) -> None:
    """A forward hook, once the module's name is given."""
    keep(name, "input", inputs if inputs else named.get("hidden_states"))
    keep(name, "output", output)


def hook_places(subject: Subject, hooks: Sequence[str]) -> dict[str, HookPlace]:
    """The place of each hook point; empty where there is no plain model to compare with (folded, over devices)."""
    if subject.reference is None or not hooks:
        return {}
    tokens = probe_tokens(subject)
    sides = module_sides(subject.reference, tokens)
    norms = {
        name for name, module in subject.reference.named_modules() if name and "norm" in type(module).__name__.lower()
    }
    values = subject.activations(tokens, hooks)
    limit = tolerance_of(subject)
    prefix = block_prefix(subject)
    return {hook: _place(hook, values[hook][0], sides, norms, limit, prefix) for hook in hooks if hook in values}


def block_prefix(subject: Subject) -> str:
    """What Hugging Face calls the list of blocks: `model.layers`."""
    return str(subject.bridge.adapter.component_mapping["blocks"].name)


def _place(
    hook: str, value: Tensor, sides: dict[tuple[str, str], Tensor], norms: set[str], limit: float, prefix: str
) -> HookPlace:
    number = re.match(r"blocks\.(\d+)\.", hook)
    own = f"{prefix}.{number[1]}" if number else ""

    reads = re.search(r"(_pre|_in|_mid|hook_z)$", hook) is not None

    def preference(key: tuple[str, str]) -> tuple[bool, bool, int, bool, str]:
        """What is outside the block comes last, norms come late, inner modules behind outer ones."""
        name, side = key
        outside = not (name == own or name.startswith(own + "."))
        return outside, name in norms, name.count("."), (side == "input") != reads, name

    same_width = {key: held for key, held in sides.items() if held.shape == value.shape}
    equal = sorted((key for key, held in same_width.items() if is_close(held, value, limit)), key=preference)
    if equal:
        name, side = equal[0]
        return HookPlace(
            hook,
            name,
            side,
            after=next((norm for norm, at in equal if norm in norms and at == "output"), None),
            before=next((norm for norm, at in equal if norm in norms and at == "input"), None),
        )
    mine = sorted((key for key in same_width if not preference(key)[0]), key=preference)
    for name, side in mine:
        held = same_width[name, side]
        factor = float((held * value).sum() / held.square().sum().clamp(min=1e-30))
        if is_close(held * factor, value, limit):
            return HookPlace(hook, name, side, factor=factor)
    for name, side in mine:
        if name in norms and side == "output" and _has_gain_only(value, same_width[name, side], limit):
            return HookPlace(hook, None, inside=name)
    return HookPlace(hook, None)


def is_close(a: Tensor, b: Tensor, limit: float) -> bool:
    return bool((a - b).norm() <= limit * b.norm().clamp(min=1e-12))


def _has_gain_only(normed: Tensor, output: Tensor, limit: float) -> bool:
    """Whether the output is the normed value times a gain plus a bias, the same for every token."""
    x, y = normed - normed.mean(dim=0), output - output.mean(dim=0)
    gain = (x * y).sum(dim=0) / x.square().sum(dim=0).clamp(min=1e-30)
    return is_close(x * gain, y, limit) and bool(x.norm() > 0)
