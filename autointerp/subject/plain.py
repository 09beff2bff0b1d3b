"""Activations from the plain Hugging Face model, with its fused attention.

TransformerBridge rebuilds attention step by step, so that each step has a hook point. What goes into a block
or comes out of one, and the neurons of its MLP, the model as Hugging Face runs it has too: the same numbers
up to rounding, in three quarters of the time. It shares all weights with the bridge; that it agrees is tried
out on a few tokens before it is used.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor


class _AllSitesSeen(Exception):
    """Ends a forward pass; no error."""


def copy_around(model: Any) -> Any:
    """A copy of a transformers model around the same weights."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]})


def share_weights(model: Any) -> Any | None:
    """A copy of a transformers model around the same weights, with fused attention; None where it has none."""
    twin = copy_around(model)
    try:
        twin.set_attn_implementation("sdpa")
    except ValueError:
        return None
    _fuse_gelu(twin)
    return twin


def _fuse_gelu(model: torch.nn.Module) -> None:
    """The same function in one pass over memory in the place of eight."""
    from transformers.activations import NewGELUActivation

    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(parent, name, torch.nn.GELU(approximate="tanh"))


Site = tuple[torch.nn.Module, str]
"""A module of the model, and "in" or "out": what goes into it, what comes out."""


def sites_by_kind(model: torch.nn.Module, blocks: Any) -> dict[str, list[Site]]:
    """The modules behind each kind of hook point, block by block. `blocks`: the bridge's component of that name."""
    layers = list(model.get_submodule(blocks.name).children())
    sites = {
        "hook_resid_pre": [(layer, "in") for layer in layers],
        "hook_resid_post": [(layer, "out") for layer in layers],
    }
    with contextlib.suppress(KeyError, AttributeError):  # no MLP of that form
        mlp = blocks.submodules["mlp"]
        path = f"{mlp.name}.{mlp.submodules['out'].name}"
        sites["mlp.hook_post"] = [(layer.get_submodule(path), "in") for layer in layers]
    return sites


def _keep(known: dict[str, Tensor], n_wanted: int, hook: str, activation: Any) -> None:
    known[hook] = (activation[0] if isinstance(activation, tuple) else activation).float()
    if len(known) == n_wanted:
        raise _AllSitesSeen


class PlainModel:
    """`sites`: the hook points that it knows."""

    def __init__(self, model: torch.nn.Module, sites: dict[str, Site]) -> None:
        self.model, self.sites = model, sites

    @torch.inference_mode()
    def activations(self, tokens: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """[n, L] -> [n, L, d] float32 at each hook point; the forward pass ends when all are known."""
        known: dict[str, Tensor] = {}
        handles = []
        keep = partial(_keep, known, len(set(hooks)))
        for hook in set(hooks):
            module, side = self.sites[hook]
            if side == "in":
                handles.append(module.register_forward_pre_hook(lambda _m, inputs, hook=hook: keep(hook, inputs)))
            else:
                handles.append(module.register_forward_hook(lambda _m, _i, output, hook=hook: keep(hook, output)))
        try:
            with contextlib.suppress(_AllSitesSeen):
                self.model(tokens, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return known
