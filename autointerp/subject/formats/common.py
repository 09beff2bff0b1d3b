"""What the readers share: where the files are, weights that are right or refused.

Weights are cast to float32, nothing else is done to them. NaN, infinite, missing, misshapen and unknown
weights are refused, and nothing is ever unpickled: a `.pt` is read with `weights_only=True`, an `.npz`
with `allow_pickle=False`. Every refusal is one line.
"""

from __future__ import annotations

import json
import math
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.pointers import pointer_line
from autointerp.subject.formats.safetensors_file import SafetensorsFile
from autointerp.text_files import read_text

GIVE_A_HOOK = 'give hook = "blocks...." in the run file'


@dataclass(frozen=True)
class Stated:
    """What the run file, or SAELens's registry, says of a dictionary whose files do not."""

    activation: str | None = None
    k: int | None = None


@dataclass(frozen=True)
class DictionarySource:
    """A dictionary's files."""

    path: str
    """As the run file gives it: what messages name."""
    folder: Path
    file: Path | None
    """The file, where the path names one."""
    place: tuple[str, ...]
    """Names of the folders it lies in, outermost first; on the hub: owner, repository, folders."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the configuration that SAELens's registry knows better than the files."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the configuration that SAELens's registry knows where the files have none."""
    stated: Stated = Stated()
    """What the files need not say, because the user does."""

    def named(self, name: str) -> Path:
        """The file that the path names, else the one of this name in the folder."""
        return self.file or self.folder / name


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def read_json(file: Path, path: str, otherwise: str = "") -> Any:
    try:
        return json.loads(read_text(file))
    except FileNotFoundError as error:
        raise InputError(f'"{path}" has no {file.name}{otherwise}') from error
    except (ValueError, RecursionError, InputError) as error:  # not JSON, not UTF-8
        raise InputError(f'"{path}": {file.name} is not JSON: {first_line(error)}') from error
    except OSError as error:
        raise InputError(f'"{path}": {file.name} cannot be read: {first_line(error)}') from error


def read_config(file: Path, path: str, otherwise: str = "") -> dict[str, Any]:
    config = read_json(file, path, otherwise)
    if not isinstance(config, dict):
        raise InputError(f'"{path}": {file.name} does not hold a configuration (a JSON object)')
    return config


def integer(config: Mapping[str, Any], key: str, path: str, file: str = "cfg.json") -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f'"{path}": {file} has {key} = {value!r}; it must be an integer')
    return value


def flag(config: Mapping[str, Any], key: str, path: str, *, default: bool = False, file: str = "cfg.json") -> bool:
    """A yes or no. A text is neither: "false" would pass for a yes."""
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise InputError(f'"{path}": {file} has {key} = {value!r}; it must be true or false')
    return bool(value)


def read_yaml(file: Path, path: str) -> dict[str, Any]:
    """The configuration in a YAML file; nothing where there is none."""
    import yaml

    if not file.is_file():
        return {}
    try:
        config = yaml.safe_load(read_text(file))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f'"{path}": {file.name} cannot be read: {first_line(error)}') from error
    if not isinstance(config, dict):
        raise InputError(f'"{path}": {file.name} does not hold a configuration (a mapping)')
    return config


def number(config: Mapping[str, Any], key: str, path: str, file: str) -> float:
    value = config.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f'"{path}": {file} has {key} = {value!r}; it must be a number')
    return float(value)


def checked_k(k: int, n_features: int, path: str) -> int:
    if not 0 < k <= n_features:
        raise InputError(f'"{path}": k = {k} does not fit a TopK of width {n_features}')
    return k


# --- weights ----------------------------------------------------------------------------------------


class Weights:
    """The tensors of a file. Each is taken once; `finish` refuses what nobody asked for."""

    def __init__(self, held: Mapping[str, Any], path: str, says: str = "the config says") -> None:
        self.held, self.path, self.says = dict(held), path, says
        self.taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.held

    def shape(self, name: str) -> tuple[int, int]:
        """Rows and columns of a matrix."""
        shape = tuple(self._tensor(name).shape)
        if len(shape) != 2 or 0 in shape:
            raise InputError(f'"{self.path}": "{name}" has shape {shape}; it must be a matrix')
        return int(shape[0]), int(shape[1])

    def take(self, name: str, shape: tuple[int | None, ...]) -> Tensor:
        """A weight as float32. `None` in the shape: any size."""
        held = self._tensor(name)
        self.taken.add(name)
        fits = len(held.shape) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, held.shape, strict=True)
        )
        if not fits:
            wanted = " x ".join("any" if size is None else str(size) for size in shape) or "one number"
            raise InputError(f'"{self.path}": "{name}" has shape {tuple(held.shape)}; {self.says} {wanted}')
        if not held.is_floating_point() or held.layout != torch.strided:
            raise InputError(f'"{self.path}": "{name}" holds {held.dtype}, not plain floating-point weights')
        weight = held.detach().to(torch.float32)
        if not torch.isfinite(weight).all():
            raise InputError(f'"{self.path}": "{name}" holds NaN or infinite weights')
        return weight.contiguous()

    def take_transposed(self, name: str, shape: tuple[int | None, int | None]) -> Tensor:
        """A matrix whose file holds it the other way round; `shape` is that of the file."""
        return self.take(name, shape).T.contiguous()

    def take_integer(self, name: str) -> int:
        """A whole number, as a number or a tensor of one."""
        held = self._value(name)
        self.taken.add(name)
        value = held.item() if isinstance(held, Tensor) and held.numel() == 1 else held
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f'"{self.path}": "{name}" is not a whole number')
        return value

    def ignore(self, *names: str) -> None:
        """Known, and without influence on what a feature's activation is."""
        self.taken.update(names)

    def finish(self) -> None:
        """Refuses weights that nobody took: they would change what the others mean."""
        left = sorted(set(self.held) - self.taken)
        if "scaling_factor" in left:  # some versions of SAELens always wrote one; of ones, it does nothing
            scale = self.held["scaling_factor"]
            if isinstance(scale, Tensor) and bool((scale == 1).all()):
                left.remove("scaling_factor")
        if left:
            names = ", ".join(f'"{name}"' for name in left[:4])
            raise InputError(f'"{self.path}": the weights hold {names}, of which this format knows nothing; not read')

    def _value(self, name: str) -> Any:
        if name not in self.held:
            there = ", ".join(sorted(self.held)) or "none"
            raise InputError(f'"{self.path}": the weights have no "{name}"; there are {there}')
        return self.held[name]

    def _tensor(self, name: str) -> Tensor:
        value = self._value(name)
        if not isinstance(value, Tensor):
            raise InputError(f'"{self.path}": "{name}" is a {type(value).__name__}, not a tensor')
        return value


def load_safetensors(file: Path, path: str) -> dict[str, Tensor]:
    held = SafetensorsFile(file, path)
    return {name: held.read(name) for name in held.names}


def load_torch(file: Path, path: str) -> dict[str, Any]:
    """The state dict of a `.pt` file; what would have to be unpickled is refused."""
    if not file.is_file():
        raise InputError(f'"{path}" has no {file.name}')
    if why := pointer_line(file):
        raise InputError(f'"{path}": {file.name} {why}')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols
            held = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its message says how to unpickle all the same
        message = f"{file.name} holds Python objects, or is damaged; only tensors are read, nothing is unpickled"
        raise InputError(f'"{path}": {message}') from error
    except Exception as error:  # empty, cut, not a checkpoint: torch raises a different kind for each
        raise InputError(f'"{path}": {file.name} is damaged: {first_line(error).split(". ")[0]}') from error
    if not isinstance(held, dict) or not all(isinstance(name, str) for name in held):
        raise InputError(f'"{path}": {file.name} does not hold a state dict')
    return held


WRAPPERS = ("state_dict", "model_state_dict", "sae_state_dict", "model", "sae", "autoencoder")
"""Keys under which training scripts put the weights, with their own records beside them."""
PREFIXES = ("module.", "_orig_mod.", "model.", "sae.", "autoencoder.")
"""What DataParallel, torch.compile and the class that holds the layers put before every name."""


def unwrapped(held: dict[str, Any]) -> dict[str, Any]:
    """The weights of a checkpoint by their plain names: out of what they were saved in, without a common prefix."""
    inside = [held[key] for key in WRAPPERS if isinstance(held.get(key), dict)]
    if len(inside) == 1 and not any(isinstance(value, Tensor) for value in held.values()):
        return unwrapped(inside[0])
    for prefix in PREFIXES:
        if held and all(name.startswith(prefix) for name in held):
            return unwrapped({name.removeprefix(prefix): value for name, value in held.items()})
    return held


def load_npz(file: Path, path: str) -> dict[str, Tensor]:
    if not file.is_file():
        raise InputError(f'"{path}" has no {file.name}')
    if why := pointer_line(file):
        raise InputError(f'"{path}": {file.name} {why}')
    try:
        held = np.load(file, allow_pickle=False)
        if not isinstance(held, np.lib.npyio.NpzFile):
            raise InputError(f'"{path}": {file.name} is one array, not an .npz of several')
        with held:
            arrays = {name: held[name] for name in held.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            message = f"{file.name} holds Python objects, or is damaged; only arrays are read, nothing is unpickled"
            raise InputError(f'"{path}": {message}') from error
        raise InputError(f'"{path}": {file.name} is damaged: {first_line(error)}') from error
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise InputError(f'"{path}": "{name}" holds {array.dtype}, not plain floating-point weights')
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
