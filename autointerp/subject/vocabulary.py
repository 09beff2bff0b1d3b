"""The text of every token of a tokenizer.

A tokenizer's model writes its pieces in an alphabet of its own: byte-level BPE writes bytes as characters,
SentencePiece a space as U+2581 and bytes as <0x0A>. Tokens that were added to it are no such pieces. They are found in
the text as they are written, before the model sees it, and their text is what they are called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any


def token_texts(tokenizer: Any, d_vocab: int, special: Iterable[int]) -> list[str]:
    """Every token as text, [V]; bytes that are not UTF-8 on their own are written \\xNN.

    Ids without a token are `<7>`. `special`: ids whose text is what they are called, added or not.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    facts = json.loads(backend.to_str()) if backend is not None else {}
    byte_level = hasattr(tokenizer, "byte_decoder") or any(
        "ByteLevel" in json.dumps(facts.get(part)) for part in ("decoder", "pre_tokenizer")
    )
    known = [id_ for id_ in tokenizer.get_vocab().values() if id_ < d_vocab]
    pieces = tokenizer.convert_ids_to_tokens(list(range(max(known, default=-1) + 1)))
    as_called = {token: pieces[token] for token in special if token < len(pieces)}
    as_called |= _added(tokenizer, facts, byte_level)
    texts = [
        as_called.get(token) or (f"<{token}>" if piece is None else piece_text(piece, byte_level))
        for token, piece in enumerate(pieces)
    ]
    return texts + [f"<{token}>" for token in range(len(texts), d_vocab)]


def _added(tokenizer: Any, facts: dict[str, Any], byte_level: bool) -> dict[int, str]:
    """The tokens that were added, as they are written (the tokenizer gives some of them back normalised).

    SentencePiece's own user-defined pieces are listed among them (Gemma's runs of U+2581): they stand in the model's
    vocabulary too, and are pieces.
    """
    added = {id_: str(token.content) for id_, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    if byte_level:
        return added
    model = facts.get("model", {}).get("vocab", {})
    own = set(model) if isinstance(model, dict) else {piece for piece, _ in model}
    return {id_: content for id_, content in added.items() if content not in own}


def piece_text(piece: str, byte_level: bool) -> str:
    """The text of a vocabulary's piece, whose tokenizer writes bytes as characters (`byte_level`) or as <0x0A>."""
    if byte_level:
        table = _byte_of_character()
        data = b"".join(bytes([table[c]]) if c in table else c.encode() for c in piece)
        return data.decode("utf-8", "backslashreplace")
    as_byte = re.fullmatch(r"<0x([0-9A-F]{2})>", piece)
    if as_byte:
        return bytes([int(as_byte[1], 16)]).decode("utf-8", "backslashreplace")
    return piece.replace("\u2581", " ")


@cache
def _byte_of_character() -> dict[str, int]:
    """The table of byte-level BPE: printable bytes stand for themselves, the others from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}
