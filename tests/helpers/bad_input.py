"""What tests of bad input share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

Refused = Callable[..., str]
"""Runs a command that must fail; returns the one line that it says."""


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Copies: the file is about to be written over, and `load_file` maps it into memory."""
    return {name: weight.clone() for name, weight in load_file(file).items()}


def contents(folder: Path) -> dict[str, tuple[float, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def entry(folder: Path, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "sae", "path": str(folder), **more}]
