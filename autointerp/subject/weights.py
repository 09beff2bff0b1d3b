"""Weights of a subject model, wherever accelerate keeps them: on this device, on another, or on disk."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from autointerp.errors import InputError


def weights_checksum(model: torch.nn.Module, shown: str) -> str:
    """Hash of all weights, wherever accelerate has put them. Raises InputError where one is not finite."""
    digest = hashlib.blake2b(digest_size=16)
    for name, held in sorted(model.state_dict().items()):
        weight = weight_of(model, name) if held.is_meta else held
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise InputError(f'subject.model: "{shown}" has NaN or infinite weights in "{name}"')
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def readable(module: torch.nn.Module) -> Iterator[None]:
    """While this holds, the weights of `module` can be read, also those that accelerate keeps on disk."""
    with contextlib.ExitStack() as stack:
        if any(weight.is_meta for weight in module.parameters()):
            from accelerate.utils import align_module_device

            for part in module.modules():
                stack.enter_context(align_module_device(part, torch.device("cpu")))
        yield


def weight_of(model: torch.nn.Module, name: str) -> Tensor:
    """A weight that accelerate keeps on another device or on disk."""
    from accelerate.utils import align_module_device

    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    with align_module_device(module, torch.device("cpu")):
        held: Tensor = getattr(module, leaf)
        return held.detach().clone()
