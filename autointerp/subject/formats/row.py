"""What a format says of itself: one row, in the module that reads it.

Detection, error lines, the files fetched from the hub and `docs/FORMATS.md` all derive from these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePath

from autointerp.errors import InputError, nearest
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats.common import DictionarySource

Reader = Callable[[DictionarySource, str | None, str], SparseAutoencoder]
"""Reads the files of `source`. The hook is None where the run file names none; the kind is "auto" or "planted"."""


@dataclass(frozen=True)
class Setting:
    """A setting in a format's files: the values that are read, and those that are refused by name."""

    key: str
    reads: Mapping[str, str]
    """Each value that is read, and what it means."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Each value that is known and not read, and the reason."""
    line: str = '{key} = "{value}" is not read'
    lists: bool = False
    """Whether the line of another value lists what is read; otherwise it names the nearest."""

    def check(self, value: object, path: str) -> None:
        """Raises InputError where the value is not read."""
        if isinstance(value, str) and value in self.reads:
            return
        said = self.line.format(key=self.key, value=value)
        if isinstance(value, str) and value in self.refused:
            said += f": {self.refused[value]}"
        elif self.lists:
            said += f"; {' and '.join(self.reads)} {'is' if len(self.reads) == 1 else 'are'}"
        else:
            said += nearest(str(value), self.reads)
        raise InputError(f'"{path}": {said}')


@dataclass(frozen=True)
class Refusal:
    """Something that a format's files may be, which is not read."""

    when: str
    reason: str
    line: str
    """The error line, with {reason} and, where it shows one, {value}."""

    def error(self, path: str, value: object = "") -> InputError:
        return InputError(f'"{path}": {self.line.format(reason=self.reason, value=value)}')


def _never(_file: Path) -> bool:
    return False


def _alone(_name: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Format:
    """A format of dictionaries on disk."""

    name: str
    """Its word in a run file: `format = "..."`."""
    title: str
    sentence: str
    """What writes it, in one sentence."""
    documented: str
    """Where the format is defined."""
    hook: str
    """Where its hook point comes from, in one sentence."""
    input: str
    """What x is in the formulas of `architectures`."""
    architectures: Setting
    """What its dictionaries may compute, by the name that the files give it."""
    read: Reader
    config: str | None = None
    """The name of the file of settings."""
    needs_config: bool = False
    weights: str | None = None
    """The name of the file of weights, which tells the format. None: a file of any name that ends in `suffixes`."""
    suffixes: tuple[str, ...] = ()
    """How files of weights may end that have another name."""
    likely: Callable[[Path], bool] = _never
    """Whether a file that ends so is rather of this format than of one that has no name for its weights."""
    one_of: str | None = None
    """A pattern of the names of files of weights, each a dictionary of its own: `layer_*.safetensors`. It tells the
    format, and the file is what `path` names."""
    tells: Callable[[Path], bool] | None = None
    """Whether a folder is of this format, where the name of the weights is also another format's."""
    companions: Callable[[str], tuple[str, ...]] = _alone
    """Names of the files that belong to a file of weights."""
    beside: tuple[str, ...] = ()
    """Names of further files that are read where they are there."""
    passed_over: tuple[str, ...] = ()
    """Patterns of further files that are known and change nothing: they are not read."""
    states: tuple[str, ...] = ()
    """What the run file says of a dictionary because the files do not: `activation`, `k`."""
    settings: tuple[Setting, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    sae_lens_loaders: tuple[str | None, ...] = ()
    """What SAELens's registry of releases calls the loader of such files; None: it names none."""

    @property
    def files(self) -> str:
        """The files that tell it, as messages name them."""
        if self.weights is None and self.one_of is None:
            return f"one {self.suffixes[0]} file"
        weights = self.weights or str(self.one_of)
        return weights if self.config is None else f"{self.config} and {weights}"

    def holds(self, folder: Path) -> bool:
        """Whether the files that tell it are in a folder."""
        if self.tells is not None:
            return self.tells(folder)
        if self.weights is not None:
            return (folder / self.weights).is_file()
        return self.one_of is not None and any(folder.glob(self.one_of))

    def may_be(self, name: str) -> bool:
        """Whether only the ending of a file's name can tell its weights, and it ends so."""
        return self.weights is None and self.one_of is None and name.endswith(self.suffixes)

    def is_named(self, file: PurePath) -> bool:
        """Whether a file has the name of its weights."""
        if self.weights is not None and f"/{file.as_posix()}".endswith(f"/{self.weights}"):
            return True
        return self.one_of is not None and fnmatch(file.name, self.one_of)
