"""From documents to the token file: cut once, split by document.

1. Each document is tokenised without special tokens and cut into contexts of `context_length` (one
   place less where a BOS is put in front). A conversation is written out by the tokenizer's chat template, whose
   own tokens are marked special; a BOS of the template's gives way to the one put in front. `npy` rows are
   contexts, a document each; a BOS asked for is put in front of the whole row.
2. A document's split is decided by the hash of its content, before anything is looked at; so is its
   document block, the unit in which documents are resampled.
3. Marks say of every place whether it is padding, special, or dropped. A window of the explain split
   whose tokens also stand in the select or score split is dropped (licence headers), so that the score
   split stays a probability sample (`shared_windows.py`).
4. The contexts of a split stand together, in the order of the documents: a pass over one split touches no other's.
5. Files are written under a temporary name and renamed when complete. The source is read once, as a stream,
   no further than n_tokens.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from autointerp.allocation import no_room
from autointerp.errors import InputError
from autointerp.hashing import bytes_hash, content_hash, hash01, hash64, stream_key
from autointerp.records import N_BLOCKS, SPLITS, Bool, Int32, Int64
from autointerp.subject.chat import Roles, TemplateRefusal
from autointerp.subject.documents import Document, Message, Source
from autointerp.subject.shared_windows import drop_shared_windows
from autointerp.subject.sources import Npy, open_source
from autointerp.subject.tokens import SPECIAL, VALID, TokenFile, is_whole

Encode = Callable[[list[str]], list[list[int]]]
"""Texts to token ids, without special tokens."""
EncodeChat = Callable[[Sequence[Message], Roles, str], tuple[list[int], list[bool]]]
"""A conversation to token ids, and which of them are the contents' (`chat.encode_chat`)."""
BATCH_DOCUMENTS, BATCH_CHARACTERS = 64, 1_000_000
"""Documents are tokenised so many at a time, or fewer where they are long."""
COPIED_AT_ONCE = 1 << 24
"""Bytes."""


@dataclass(frozen=True)
class TokenPlan:
    """Everything that decides the token file."""

    source: str
    context_length: int
    n_tokens: int | None
    allow_fewer: bool
    bos: int | None
    """The id put in front of each context, which is never scored; None: none is."""
    special: tuple[int, ...]
    d_vocab: int
    window: int
    shares: tuple[float, float, float]
    tokenizer: str
    """Hash of the tokenizer: another one makes other tokens."""
    content: str = ""
    """Fingerprint of the source: what it holds counts, not where it lies."""
    subset: str | None = None
    hf_split: str = "train"
    revision: str | None = None
    """As the run file asks for it."""
    commit: str | None = None
    """What that was found to be."""
    chat: Roles | None = None
    """Whose messages are scored where documents are conversations (None: all); texts are refused where it is given."""
    chat_template: str = ""
    """Hash of the chat template, where the source may hold conversations."""

    @property
    def key(self) -> str:
        facts = asdict(self)
        if self.content:
            for part in ("source", "subset", "hf_split", "revision", "commit"):
                del facts[part]
        return content_hash(facts, tag="tokens 4")

    def open_source(self) -> Source:
        return open_source(
            self.source, subset=self.subset, hf_split=self.hf_split, revision=self.revision, commit=self.commit
        )


def recorded_commit(folder: Path, source: str, subset: str | None, hf_split: str, revision: str | None) -> str | None:
    """The commit that a token file in `folder` was read from, so that going on with it reads no other."""
    asked = {"source": source, "subset": subset, "hf_split": hf_split, "revision": revision}
    for home in sorted(folder.glob("tokens-*")):
        plan = _facts(home).get("plan", {})
        if asked.items() <= plan.items():
            return None if plan["commit"] is None else str(plan["commit"])
    return None


def tokens_folder(folder: Path, plan: TokenPlan) -> Path:
    """Where the token file of `plan` stands in `folder`, once it is written."""
    return folder / f"tokens-{plan.key[:12]}"


def open_tokens(
    folder: Path,
    plan: TokenPlan,
    encode: Encode | None,
    progress: Callable[[int], None],
    encode_chat: EncodeChat | None = None,
) -> TokenFile:
    """The token file of `plan` in `folder`, written now if it is not there yet or the source's files have changed.

    Raises InputError on bad input, and then leaves nothing behind. `progress` is told the tokens so far.
    """
    home = tokens_folder(folder, plan)
    files = plan.content or plan.open_source().fingerprint()
    if _facts(home).get("files") != files:
        temporary = folder / f"{home.name}.{os.getpid()}.part"
        made_parent = not folder.exists()
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            before = _state(plan.open_source())
            _write(temporary, plan, files, encode, progress, encode_chat)
            if before and _state(plan.open_source()) != before and plan.open_source().fingerprint() != files:
                raise InputError(
                    f'tokens.source: "{plan.source}" has changed while it was read; wait until its files are written, '
                    "or give a copy"
                )
            shutil.rmtree(home, ignore_errors=True)
            temporary.rename(home)
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if made_parent:
                shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError) and error.filename is None:  # of a write; one of opening names its file
                raise no_room(folder, None, error) from error
            raise
    return TokenFile(home)


def _state(source: Source) -> list[tuple[str, int, int]]:
    """Size and time of change of every file of a source on this machine."""
    states = []
    for file in source.local_files():
        facts = file.stat()
        states.append((str(file), facts.st_size, facts.st_mtime_ns))
    return states


def _facts(home: Path) -> dict[str, Any]:
    """What a token file says of itself; nothing where it is not there, or damaged."""
    try:
        facts: dict[str, Any] = json.loads((home / "tokens.json").read_text(encoding="utf-8"))
        return facts if is_whole(home, facts["n_contexts"], facts["context_length"]) else {}
    except (OSError, ValueError, KeyError):
        return {}


@dataclass(frozen=True)
class _Cut:
    """A document as contexts: tokens [n, L], marks [n, L], offsets [n]."""

    name: str
    digest: str
    tokens: Int32
    marks: npt.NDArray[np.uint8]
    offset: Int64


def _write(
    folder: Path,
    plan: TokenPlan,
    files: str,
    encode: Encode | None,
    progress: Callable[[int], None],
    encode_chat: EncodeChat | None,
) -> None:
    source = plan.open_source()
    made = _cut_rows(plan, source) if isinstance(source, Npy) else _cut_documents(plan, source, encode, encode_chat)
    names: list[str] = []
    hashes: list[str] = []
    splits: list[int] = []
    n_contexts, n_tokens = 0, 0
    with closing(made) as cuts, _BySplit(folder) as contexts:
        for cut in cuts:
            take = len(cut.tokens)
            if plan.n_tokens is not None:
                reached = n_tokens + np.cumsum((cut.marks & VALID).sum(axis=1))
                take = min(take, int(np.searchsorted(reached, plan.n_tokens)) + 1)
            index = _split_of(cut.digest, plan.shares)
            contexts.add(index, cut, take, len(names))
            names.append(cut.name)
            hashes.append(cut.digest)
            splits.append(index)
            n_contexts += take
            n_tokens += int((cut.marks[:take] & VALID).sum())
            progress(n_tokens)
            if plan.n_tokens is not None and n_tokens >= plan.n_tokens:
                break
    if n_tokens == 0:
        raise InputError(f'tokens.source: "{plan.source}" holds no text')
    if plan.n_tokens is not None and n_tokens < plan.n_tokens and not plan.allow_fewer:
        raise InputError(
            f'tokens.source: "{plan.source}" holds {n_tokens:,} tokens, fewer than n_tokens = {plan.n_tokens:,}; '
            "ask for fewer, or set allow_fewer = true"
        )
    keys = np.array([int(digest[:15], 16) for digest in hashes], dtype=np.int64)
    blocks = hash64(stream_key(0, "document block"), keys) % np.uint64(N_BLOCKS)
    table = {"name": names, "hash": hashes, "split": splits, "block": blocks.tolist()}
    (folder / "documents.json").write_text(json.dumps(table), encoding="utf-8")
    facts = {
        "n_contexts": n_contexts,
        "context_length": plan.context_length,
        "window": plan.window,
        "files": files,
        "left_out": dict(source.left_out),
        "remarks": source.remarks,
    }
    (folder / "tokens.json").write_text(json.dumps(facts | {"plan": asdict(plan)}), encoding="utf-8")
    drop_shared_windows(TokenFile(folder))
    token_file = TokenFile(folder)
    for split, share in zip(SPLITS, plan.shares, strict=True):
        if share > 0 and split != "select" and len(token_file.scored_windows(split)) == 0:
            raise InputError(
                f'tokens.source: "{plan.source}" has {len(names)} document(s), and none of them falls into the {split} '
                "split with text of its own; give more documents, so that explaining and scoring see different ones"
            )


class _BySplit:
    """The files of the contexts, being written: each split's apart, then one after the other."""

    _COLUMNS = ("tokens", "marks", "document", "offset")

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> _BySplit:
        with ExitStack() as stack:
            self._parts: dict[str, list[IO[bytes]]] = {
                column: [stack.enter_context((self._folder / f"{column}.{split}").open("w+b")) for split in SPLITS]
                for column in self._COLUMNS
            }
            self._open = stack.pop_all()
        return self

    def add(self, split: int, cut: _Cut, take: int, document: int) -> None:
        """The first `take` contexts of a document."""
        columns: list[npt.NDArray[Any]] = [cut.tokens, cut.marks, np.full(take, document, np.int32), cut.offset]
        for column, values in zip(self._COLUMNS, columns, strict=True):
            self._parts[column][split].write(np.ascontiguousarray(values[:take]).tobytes())

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        with self._open:
            for column, parts in self._parts.items() if error is None else ():
                with (self._folder / f"{column}.bin").open("wb") as whole:
                    for part in parts:
                        part.seek(0)
                        shutil.copyfileobj(part, whole, COPIED_AT_ONCE)
        for column in self._COLUMNS:
            for split in SPLITS:
                (self._folder / f"{column}.{split}").unlink()


def _split_of(digest: str, shares: tuple[float, float, float]) -> int:
    """By content alone: the same document lands in the same split in every run."""
    u = hash01(stream_key(0, "split"), np.array([int(digest[:15], 16)], dtype=np.int64))
    return min(int(np.searchsorted(np.cumsum(shares), u[0], side="right")), len(SPLITS) - 1)


def _cut_documents(
    plan: TokenPlan, source: Source, encode: Encode | None, encode_chat: EncodeChat | None
) -> Generator[_Cut, None, None]:
    if encode is None:
        raise InputError("the subject has no tokenizer: only an npy: source of token ids can be used with it")
    refused = ""
    n_cut = 0
    with closing(source.documents()) as documents:
        for batch in _batches(documents):
            alone = [document.text for document in batch if not document.messages]
            texts = iter(encode(alone) if alone else [])
            for document in batch:
                if not document.messages:
                    if plan.chat is not None:
                        raise InputError(f'"{plan.source}", {document.name}: tokens.chat is given, but this is a text')
                    ids = next(texts)
                    scored = [True] * len(ids)
                else:
                    assert encode_chat is not None
                    try:
                        ids, scored = encode_chat(
                            document.messages, plan.chat or "all", f'"{plan.source}", {document.name}'
                        )
                    except TemplateRefusal as error:
                        source.left_out["refused by the chat template"] += 1
                        refused = refused or f"; the chat template refused {document.name}: {error}"
                        continue
                    if ids and ids[0] == plan.bos:
                        ids, scored = ids[1:], scored[1:]
                    if ids and plan.bos is not None and ids[0] == plan.bos:
                        raise InputError(
                            f'"{plan.source}", {document.name}: the chat template writes the BOS id {plan.bos} twice'
                        )
                if ids:
                    n_cut += 1
                    yield _cut(document, ids, scored, plan)
    if refused and n_cut == 0:
        raise InputError(f'tokens.source: "{plan.source}" holds no text{refused}')


def _cut(document: Document, ids: Sequence[int], scored: Sequence[bool], plan: TokenPlan) -> _Cut:
    """A document's tokens as contexts, a BOS in front of each where the plan says so."""
    room = plan.context_length - (plan.bos is not None)
    flat = np.asarray(ids, dtype=np.int64)
    _check_ids(flat, plan, document.name)
    n = -(-len(flat) // room)
    text = np.zeros(n * room, np.int32)
    text[: len(flat)] = flat
    valid = np.zeros(n * room, bool)
    valid[: len(flat)] = True
    template = np.zeros(n * room, bool)
    template[: len(flat)] = ~np.asarray(scored, dtype=np.bool_)
    tokens, marks = text.reshape(n, room), _mark(text, valid, plan.special).reshape(n, room)
    marks[template.reshape(n, room)] |= SPECIAL
    if plan.bos is not None:
        tokens = np.concatenate([np.full((n, 1), plan.bos, np.int32), tokens], axis=1)
        marks = np.concatenate([np.full((n, 1), VALID | SPECIAL, np.uint8), marks], axis=1)
    return _Cut(document.name, document.digest, tokens, marks, offset=np.arange(n, dtype=np.int64) * room)


def _cut_rows(plan: TokenPlan, source: Npy) -> Generator[_Cut, None, None]:
    for number in range(len(source.array)):
        row = np.asarray(source.array[number]).astype(np.int64)[None, :]
        _check_ids(row, plan, f"row {number}")
        digest = bytes_hash(row.astype(np.int32).tobytes())
        if plan.bos is not None:
            if row[0, 0] == plan.bos:
                raise InputError(
                    f'"{plan.source}", row {number}, begins with the BOS id {plan.bos} already, and prepend_bos = true '
                    "would make it two; set prepend_bos = false"
                )
            row = np.concatenate([np.full((1, 1), plan.bos), row], axis=1)
        tokens = row.astype(np.int32)
        yield _Cut(
            name=f"row {number}",
            digest=digest,
            tokens=tokens,
            marks=_mark(tokens, np.ones(tokens.shape, bool), plan.special),
            offset=np.zeros(1, np.int64),
        )


def _check_ids(ids: Int64, plan: TokenPlan, name: str) -> None:
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= plan.d_vocab:
        wrong = low if low < 0 else high
        raise InputError(
            f'"{plan.source}", {name}: token id {wrong} is out of range; the subject\'s vocabulary has ids 0 to '
            f"{plan.d_vocab - 1}"
        )


def _mark(tokens: Int32, valid: Bool, special: Iterable[int]) -> npt.NDArray[np.uint8]:
    is_special = np.isin(tokens, np.array(sorted(special), dtype=np.int32)) & valid
    return (valid * VALID + is_special * SPECIAL).astype(np.uint8)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    length = 0
    for document in documents:
        batch.append(document)
        length += len(document.text)
        if len(batch) == BATCH_DOCUMENTS or length >= BATCH_CHARACTERS:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch
