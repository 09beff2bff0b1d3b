"""A safetensors file that is whole or not there, written tensor by tensor.

The library's own writer makes the bytes of all tensors before it writes the first: that doubles the
memory of what is written. Here one tensor at a time is brought to the CPU, and nothing is copied that
lies there already. A hash of everything stands in the metadata: a file with a changed bit is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16",
    torch.uint8: "U8", torch.int8: "I8", torch.bool: "BOOL", torch.bfloat16: "BF16", torch.float16: "F16",
}  # fmt: skip
UNKNOWN = "0" * 32
CHUNK = 1 << 24


class DamagedFile(Exception):
    """A tensor file that is not as it was written."""


def write_tensors(path: Path, tensors: dict[str, Tensor], about: Any) -> int:
    """Writes tensors and `about` (JSON) to a temporary file and renames it; returns the bytes written."""
    header: dict[str, Any] = {"__metadata__": {"hash": UNKNOWN, "about": json.dumps(about)}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    digest = hashlib.blake2b(text, digest_size=16)
    with temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            data = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
            digest.update(data)
            file.write(data)
        file.seek(8 + text.index(UNKNOWN.encode()))
        file.write(digest.hexdigest().encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return 8 + len(text) + end


def read_about(path: Path) -> Any:
    """What was said about the tensors, without reading them. Raises DamagedFile."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["about"])
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise DamagedFile(str(error)) from error


def read_tensors(path: Path, device: torch.device) -> tuple[dict[str, Tensor], Any]:
    """`(tensors, about)`. Raises DamagedFile."""
    about = read_about(path)
    _check_hash(path)
    with safe_open(path, "pt") as file:
        # Cloned: a tensor of the file may be a view of its pages.
        return {name: file.get_tensor(name).clone().to(device) for name in file.keys()}, about  # noqa: SIM118


def _check_hash(path: Path) -> None:
    with path.open("rb") as file:
        text = file.read(int.from_bytes(file.read(8), "little"))
        said = json.loads(text)["__metadata__"]["hash"]
        digest = hashlib.blake2b(text.replace(said.encode(), UNKNOWN.encode(), 1), digest_size=16)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != said:
        raise DamagedFile("its hash is another")
