"""The checkpoint of pass 1: one file beside the tokens, of one piece of work."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autointerp.extract.engines.tensor_file import DamagedFile, read_tensors, write_tensors
from autointerp.hashing import content_hash

FORMAT = 1
"""Raised when checkpoints of this version cannot be read by the one before, or the other way round."""
PREFIX = "pass1-"
NAME = "checkpoint.safetensors"


class Checkpoint:
    """In a folder of its own in the folder of the tokens, named by `key`: all that decides what is gathered."""

    def __init__(self, tokens_folder: Path, key: Any, say: Callable[[str], None]) -> None:
        self.work = content_hash([FORMAT, key], tag="pass 1")
        self.folder = tokens_folder / f"{PREFIX}{self.work[:12]}"
        self.path = self.folder / NAME
        self._say = say
        for other in tokens_folder.glob(f"{PREFIX}*"):
            if other != self.folder:
                if (other / NAME).exists():
                    say(f"pass 1: a checkpoint of other work is left out and removed ({other.name})")
                shutil.rmtree(other)
        self.folder.mkdir(exist_ok=True)
        for half_written in self.folder.glob("*.part"):
            half_written.unlink()

    def read(self, device: torch.device) -> tuple[dict[str, Tensor], Any] | None:
        """`(tensors, about)`; None where there is none, or none that can be used: that is said."""
        if not self.path.exists():
            return None
        try:
            tensors, about = read_tensors(self.path, device)
            if about["work"] != self.work:
                raise DamagedFile("it is of other work")
        except (DamagedFile, KeyError, TypeError) as error:
            self.refuse(error)
            return None
        return tensors, about

    def refuse(self, reason: Exception) -> None:
        self._say(f"pass 1: the checkpoint cannot be used ({reason}): from the first token again")

    def write(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Replaces the checkpoint. Where it cannot be written the work goes on without; that is said."""
        begun = time.monotonic()
        try:
            size = write_tensors(self.path, tensors, about | {"work": self.work})
        except OSError as error:
            for half_written in self.folder.glob("*.part"):
                half_written.unlink()
            self._say(f"pass 1: no checkpoint: {error}")
            return
        taken = time.monotonic() - begun
        place = f"{about['tokens']:,} of {about['of_tokens']:,} tokens"
        self._say(f"pass 1: checkpoint at {place}, {size / 1e6:,.0f} MB in {taken:.1f} s")

    def remove(self) -> None:
        shutil.rmtree(self.folder)
