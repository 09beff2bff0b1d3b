"""Data sets of the Hugging Face hub, streamed: `hf:OWNER/NAME#FIELD`, or a folder that `datasets` can read.

Nothing is downloaded but what is read. A branch is resolved to a commit before anything is read, and the commit is
what is read and recorded; the run that goes on with it reads the same, wherever the branch has moved since.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from autointerp.errors import ConfigError, InputError, nearest
from autointerp.subject.documents import Row, Source, choose_field
from autointerp.subject.files import files_digest

TIMEOUT_S = 10
INSTALL = 'pip install "datasets>=3.0"'


class HubDataset(Source):
    """One split of one subset of a data set."""

    def __init__(self, rest: str, subset: str | None, split: str, revision: str | None, commit: str | None) -> None:
        super().__init__()
        self.name, _, self.field = rest.partition("#")
        self.subset, self.split = subset, split
        _library()
        self.folder = Path(self.name) if Path(self.name).is_dir() else None
        if self.folder is not None:
            if revision is not None:
                raise ConfigError(f'tokens.revision: "{self.name}" is a folder on this machine and has no revisions')
        elif not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", self.name):
            raise InputError(f'tokens.source: "hf:{self.name}" is neither hf:OWNER/NAME nor a folder')
        else:
            self.commit = commit or resolve(self.name, revision)

    def fingerprint(self) -> str:
        facts = "\0".join([self.commit or "", self.subset or "", self.split, self.field])
        if self.folder is None:
            return files_digest([], b"hf", self.name.encode(), facts.encode())
        inside = sorted(file for file in self.folder.rglob("*") if file.is_file())
        return files_digest(inside, b"hf", facts.encode())

    def rows(self) -> Iterator[Row]:
        where = f'"hf:{self.name}"'
        try:
            with _quiet():
                stream = _library().load_dataset(
                    self.name, self.subset, split=self.split, revision=self.commit, streaming=True
                )
            if stream.features is not None:
                columns = list(stream.features)
                self._choose([(name, _holds_documents(feature)) for name, feature in stream.features.items()])
                stream = stream.select_columns([name for name in columns if name in (self.field, "id")])
            for number, row in enumerate(stream):
                if number == 0 and stream.features is None:
                    self._choose([(name, _is_document(value)) for name, value in row.items()])
                if self.field not in row:
                    raise self._no_field(list(row))
                yield Row(str(row.get("id", number)), row[self.field], f"{where}, row {number}")
        except InputError:
            raise
        except Exception as error:  # the network, the hub, the files' format: the library raises many kinds
            text = str(error).strip().split("\n")[0] or type(error).__name__
            raise InputError(f"tokens.source: {where}, split {self.split}: it cannot be read: {text}") from error

    def _choose(self, columns: list[tuple[str, bool]]) -> None:
        names = [name for name, _ in columns]
        if not self.field:
            self.field = choose_field(columns, f'"hf:{self.name}"')
        elif self.field not in names:
            raise self._no_field(names)

    def _no_field(self, names: list[str]) -> InputError:
        what = f'"hf:{self.name}" has no column "{self.field}"{nearest(self.field, names)}'
        return InputError(f"tokens.source: {what}; its columns are {', '.join(names)}")


@cache
def resolve(name: str, revision: str | None) -> str:
    """The commit that a branch, tag or commit of a data set is now. Raises InputError where it cannot be known."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    where = f'tokens.source: "hf:{name}"'
    hint = "; give a local file (text:, jsonl:, parquet:) or folder"
    if constants.HF_HUB_OFFLINE:
        raise InputError(f"{where}: HF_HUB_OFFLINE is set, and a data set is read from the hub{hint}")
    try:
        commit = HfApi().dataset_info(name, revision=revision, timeout=TIMEOUT_S).sha
    except GatedRepoError as error:
        raise InputError(f"{where} is gated; ask for access on its page and log in") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{where}: there is no such data set on the hub, or it is not open to you") from error
    except RevisionNotFoundError as error:
        raise InputError(f'tokens.revision: "hf:{name}" has no revision "{revision}"') from error
    except Exception as error:  # no network, no answer, the hub is down: the library raises many kinds
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"{where}: the hub cannot be reached ({reason}){hint}") from error
    if not commit:
        raise InputError(f"{where}: the hub names no commit for it")
    return str(commit)


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(f'tokens.source: "hf:" needs the package datasets: {INSTALL}') from error
    return datasets


def _holds_documents(feature: Any) -> bool:
    """Whether a feature of the library holds texts, or lists of messages."""
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    inner = getattr(feature, "feature", feature)  # List(...)
    if isinstance(inner, dict):
        return {"role", "content"} <= inner.keys()
    return inner is feature and getattr(feature, "dtype", None) in ("string", "large_string")


def _is_document(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and {"role", "content"} <= value[0].keys()
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and notices of other people's while ours is on the terminal."""
    datasets = _library()
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()
