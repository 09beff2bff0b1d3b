"""The subject, loaded when a page first asks what fires on a text, and kept for the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from autointerp.errors import UserError

if TYPE_CHECKING:
    from autointerp.pipeline.prompt_reading import PromptReader

LONGEST_TEXT = 20_000
"""Characters."""
Asked = TypeVar("Asked")


class PromptSession:
    """One reader at a time: asking about other dictionaries loads again."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._names: tuple[str, ...] = ()
        self._reader: PromptReader | None = None
        self._turn = threading.Lock()

    def loaded(self, names: tuple[str, ...]) -> bool:
        """Whether these dictionaries are ready."""
        return self._reader is not None and set(names) <= set(self._names)

    def ask(self, names: tuple[str, ...], question: Callable[[PromptReader], Asked]) -> Asked:
        """Asks a reader of these dictionaries. Raises UserError where it cannot be loaded."""
        from autointerp.pipeline.prompt_reading import open_prompt_reader
        from autointerp.progress import Reporter

        with self._turn:
            if not self.loaded(names):
                wanted = tuple(dict.fromkeys([*self._names, *names]))
                self._reader = open_prompt_reader(self._store, wanted, Reporter(quiet=True))
                self._names = wanted
            assert self._reader is not None
            return question(self._reader)


def readable(text: str) -> str:
    """The text. Raises UserError where it is longer than is read here."""
    if len(text) > LONGEST_TEXT:
        raise UserError(f"the text has {len(text):,} characters; {LONGEST_TEXT:,} are read here")
    return text.replace("\r\n", "\n")  # as forms send line breaks
