"""Documents, and what every source has in common: rows in a fixed order, one of whose values is the document.

A value is a text, or a conversation: a list of messages {role, content} (`chat.py` renders it). A row without a
value, and one whose text is blank, is left out and counted; anything else is an InputError in one line that names
the row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.hashing import bytes_hash

TEXT_FIELDS = ("text", "content", "messages")
"""What a field with the document is called where nobody says."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Document:
    """One document: a text, or the messages of a conversation."""

    name: str
    text: str
    messages: tuple[Message, ...] = ()

    @property
    def digest(self) -> str:
        """Hash of what it holds: whatever the chat template, the same conversation lands in the same split."""
        if not self.messages:
            return bytes_hash(self.text.encode("utf-8", "surrogatepass"))
        turns = [[message.role, message.content] for message in self.messages]
        return bytes_hash(json.dumps(turns, ensure_ascii=True).encode())


@dataclass(frozen=True)
class Row:
    """One row of a source: its document's name, its value, and where it stands."""

    name: str
    value: Any
    where: str


class Source:
    """Where documents come from.

    A source that cannot be read raises InputError when it is made, as far as that can be told without reading it
    through, and else on the way. The order of documents is fixed, so that the same source gives the same contexts.
    """

    commit: str | None = None
    """The revision that is really read, where the source has revisions."""
    field = "text"

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        """Rows of the last reading that became no document, by reason."""
        self.remarks: list[str] = []
        """What a user should be told of how the source was found."""

    def rows(self) -> Iterator[Row]:
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Hash of all that the source holds: other bytes under the same name are another source."""
        raise NotImplementedError

    def local_files(self) -> list[Path]:
        """Its files on this machine, which may change while they are read."""
        return []

    def documents(self) -> Generator[Document, None, None]:
        """Its documents, read as they are asked for."""
        self.left_out.clear()
        for row in self.rows():
            if row.value is None:
                self.left_out["null"] += 1
                continue
            document = self._document(row)
            if any(text.strip() for text in _texts(document)):
                yield document
            else:
                self.left_out["blank"] += 1

    def _document(self, row: Row) -> Document:
        value = row.value
        if isinstance(value, dict) and {"role", "content"} <= value.keys():  # how `datasets` keeps some lists
            value = _turned(value, row.where)
        if isinstance(value, str):
            document = Document(row.name, value)
        elif isinstance(value, list) and all(isinstance(turn, dict) for turn in value):
            document = Document(row.name, "", tuple(_message(turn, row.where) for turn in value))
        else:
            raise InputError(f'{row.where}: field "{self.field}" is not text but {type(value).__name__}')
        try:
            for text in _texts(document):
                (row.name + text).encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"{row.where}, holds half of a surrogate pair, no character") from error
        return document


def _texts(document: Document) -> list[str]:
    return [message.content for message in document.messages] or [document.text]


def _turned(columns: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """{role: [...], content: [...]} as a list of messages."""
    roles, contents = columns["role"], columns["content"]
    if not (isinstance(roles, list) and isinstance(contents, list) and len(roles) == len(contents)):
        raise InputError(f"{where}: it is no list of messages: role and content do not go together")
    return [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]


def _message(turn: dict[str, Any], where: str) -> Message:
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        kept = ", ".join(f"{key}: {type(value).__name__}" for key, value in turn.items())
        raise InputError(f'{where}: a message must have the texts "role" and "content"; one has {kept or "nothing"}')
    return Message(role, content)


def choose_field(columns: Iterable[tuple[str, bool]], what: str) -> str:
    """The field of the documents among (column, could it hold them), where the run file names none."""
    known = list(columns)
    plausible = [name for name, fits in known if fits]
    named = [name for name in plausible if name in TEXT_FIELDS]
    candidates = named or plausible
    if len(candidates) != 1:
        some = f"several columns could be the text ({', '.join(candidates)})" if candidates else "no column is text"
        raise InputError(
            f"tokens.source: {what}: {some}; name one of its columns, #FIELD: {', '.join(name for name, _ in known)}"
        )
    return candidates[0]
