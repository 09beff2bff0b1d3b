"""Dictionaries on the Hugging Face hub: `hf://owner/repository/folder@revision`, or with `?revision=` behind the path.

Only the files of one dictionary are fetched, into the hub's own cache. A hub that cannot be reached, or does
not answer within some seconds, is not waited for: the cache is asked, and then the user is told.
"""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.formats.common import first_line
from autointerp.subject.formats.registry import companions, config_names, file_names, suffixes

TIMEOUT_S = 10


@dataclass(frozen=True)
class HubPath:
    """The parts of a hub path."""

    repository: str
    inside: str
    """Folder or file in the repository; "" is its root."""
    revision: str | None

    @property
    def place(self) -> tuple[str, ...]:
        """Names of the folders: owner, repository, and those inside it."""
        folders = PurePosixPath(self.inside).parts
        return (*self.repository.split("/"), *(folders[:-1] if self.is_file else folders))

    @property
    def is_file(self) -> bool:
        return self.inside.endswith(suffixes())

    def patterns(self) -> list[str]:
        """What to fetch: the dictionary's files, and the settings of its run one folder up. Some folders end in .pt."""
        inside = PurePosixPath(self.inside)
        folder = inside.parent if self.is_file else inside
        names = file_names()
        wanted = [folder / name for name in (config_names() if self.is_file else names)]
        wanted.append(folder.parent / "config.json")
        wanted += [folder.parent / name for name in config_names()] if folder.name == "checkpoints" else []
        wanted += [inside / name for name in names] if self.is_file else []
        wanted += [folder / name for name in companions(inside.name)] if self.is_file else []
        return [glob.escape(str(item)) for item in ([inside] if self.is_file else []) + wanted]


def parse_hub(path: str) -> HubPath:
    rest, mark, revision = path.removeprefix("hf://").rstrip("/").partition("@")
    if not mark:  # as circuit-tracer writes it
        rest, mark, revision = rest.partition("?revision=")
        rest = rest.rstrip("/")
    parts = rest.split("/")
    plain = all(re.fullmatch(r"[\w.\- =+,():]+", part) and part not in (".", "..") for part in parts)
    if len(parts) < 2 or not plain or (mark and not revision):
        raise InputError(
            f'"{path}": a hub path is hf://owner/repository/folder or hf://owner/repository/folder@revision'
        )
    return HubPath("/".join(parts[:2]), "/".join(parts[2:]), revision or None)


def fetch(path: str) -> Path:
    """Fetches a dictionary's files and returns its folder, or its file. Raises InputError where it cannot be had."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    hub = parse_hub(path)
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
    if not why:
        try:  # snapshot_download asks the same, but would wait for the answer for ever
            _info(hub.repository, hub.revision)
        except GatedRepoError as error:
            raise InputError(f'"{path}": "{hub.repository}" is gated; ask for access on its page and log in') from error
        except RepositoryNotFoundError as error:
            what = f'there is no "{hub.repository}" on the hub, or it is not open to you'
            raise InputError(f'"{path}": {what}; check the name, or log in') from error
        except RevisionNotFoundError as error:
            raise InputError(f'"{path}": "{hub.repository}" has no revision "{hub.revision}"') from error
        except Exception as error:  # no network, no answer, the hub is down: the libraries below raise many kinds
            why = f"the hub cannot be reached ({first_line(error)})"
    try:
        with _quiet():
            root = snapshot_download(
                hub.repository,
                revision=hub.revision,
                allow_patterns=hub.patterns(),
                etag_timeout=TIMEOUT_S,
                local_files_only=bool(why),
            )
    except Exception as error:  # as above
        reason = f"{why} and it is not in the cache" if why else f"it cannot be fetched ({first_line(error)})"
        raise InputError(f'"{path}": {reason}; download the folder and give its path') from error
    place = Path(root) / hub.inside
    if not (place.is_file() or any((place / name).is_file() for name in file_names())):
        what = f'no file "{hub.inside}"' if hub.is_file else f'no files of a dictionary in "{hub.inside or "/"}"'
        where = f'"{hub.repository}"' + (" in the cache" if why else "")
        raise InputError(f'"{path}": {where} has {what}')
    return place


@cache
def _info(repository: str, revision: str | None) -> Any:
    """What the hub says of a repository, its files among it; asked once."""
    from huggingface_hub import HfApi

    return HfApi().repo_info(repository, revision=revision, timeout=TIMEOUT_S)


def names_beside(path: str) -> set[str]:
    """Names of the files in a dictionary's folder on the hub, fetched or not; none where the hub is out of reach."""
    from huggingface_hub import constants

    if not path.startswith("hf://") or constants.HF_HUB_OFFLINE:
        return set()
    hub = parse_hub(path)
    folder = PurePosixPath(hub.inside).parent if hub.is_file else PurePosixPath(hub.inside)
    try:
        held = _info(hub.repository, hub.revision).siblings or []
    except Exception:  # what was fetched lies in the cache, and is looked at there
        return set()
    files = [PurePosixPath(item.rfilename) for item in held]
    return {file.name for file in files if file.parent == folder}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of other people's while ours is on the terminal."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
