"""Files that lie beside the weights: each is read, known to change nothing, or refused by name.

A file of another program can change what the weights mean (a factor for the activations, a mean to take off), and a
reader that overlooks it gives other activations without a word. So of a folder that `path` names, every file that
could hold settings or weights must be one that the format knows. A file that `path` names is read alone; only a file
of settings of the same name is refused then.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import PurePosixPath

from autointerp.errors import InputError
from autointerp.subject.formats.common import DictionarySource
from autointerp.subject.formats.registry import BY_NAME
from autointerp.subject.formats.row import Format

SETTINGS = (".json", ".yaml", ".yml")
WEIGHTS = (".safetensors", ".pt", ".pth", ".npz", ".npy", ".bin", ".ckpt")
PASSED_OVER = (
    "*optimizer*", "*scheduler*", "*trainer_state*", "*training_state*", "rng_state*", "training_args*", "wandb*",
    "*eval*.json", "*metrics*.json", "*results*.json", "package*.json",
)  # fmt: skip
"""States and records of training, of whatever library. Files that can hold neither settings nor weights (README,
.gitattributes, pictures, logs) are never looked at."""


def check_beside(source: DictionarySource, row: Format, names: Iterable[str]) -> None:
    """Raises InputError where a file beside the weights is unknown. `names`: of the files in its folder."""
    names = sorted(names)
    files = [source.file.name] if source.file is not None else names
    companions = {other for name in files if row.may_be(name) for other in row.companions(name)}
    for name in names:
        if source.file is not None and not _same_stem(name, source.file.name):
            continue
        if _may_change(name) and not (_is_known(name, row, source) or name in companions):
            alone = "" if source.file is not None else "; to read the weights without it, let path name their file"
            raise InputError(
                f'"{source.path}": beside the weights lies "{name}", of which the format {row.name} knows nothing: '
                f"it may change what they mean{alone}"
            )


def _may_change(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith((*SETTINGS, *WEIGHTS))


def _is_known(name: str, row: Format, source: DictionarySource) -> bool:
    weights = None if row.weights is None else PurePosixPath(row.weights).name
    read = {row.config, weights, *row.beside} | ({source.file.name} if source.file is not None else set())
    if name in read or any(fnmatch(name, pattern) for pattern in (*PASSED_OVER, *row.passed_over)):
        return True
    if any(other.is_named(PurePosixPath(name)) or name == other.config for other in BY_NAME.values()):
        return True  # another dictionary's
    return row.may_be(name)


def _same_stem(name: str, weights: str) -> bool:
    """Whether a file of settings has the name of the weights: `8.json` or `8_cfg.json` beside `8.pt`."""
    stem = weights.rpartition(".")[0]
    return name != weights and name.lower().endswith(SETTINGS) and name.startswith((f"{stem}.", f"{stem}_"))
