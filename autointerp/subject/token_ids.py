"""Special ids of a subject: from the tokenizer's own files where it has any, else from the model's configuration.

Libraries change a tokenizer that they are given: TransformerLens makes the EOS the BOS and the padding of one that
has none, and adds tokens. So ids are read before it sees the tokenizer, and it gets a copy. `config.json` and
`generation_config.json` repeat ids that may be another tokenizer's: they count only where there is no tokenizer, and
`disagreements` says where they differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.model_files import other_tokenizer
from autointerp.text_files import read_text

ROLES = ("bos", "eos", "pad")
TOKEN_FACTS = (*(f"{role}: " for role in ROLES), "added tokens: ")
"""How lines of `disagreements` begin that say which tokens are special; a run says these, `check` all."""
ALL_ROLES = (*ROLES, "unk", "sep", "cls", "mask")


def text_config(config: Any) -> Any:
    """The configuration of the language model inside one of several parts (text and images), else the whole."""
    inner = config.get_text_config() if hasattr(config, "get_text_config") else config
    return config if inner is None else inner


def token_ids(config: Any, tokenizer: Any | None) -> tuple[int | None, tuple[int, ...]]:
    """The BOS token, and the ids that are masked everywhere. Both lie in the model's vocabulary."""
    d_vocab = int(text_config(config).vocab_size)
    if tokenizer is None:
        of_role = {role: config_ids(config, role) for role in ROLES}
        bos = next(iter(of_role["bos"]), None)
        special = {id_ for ids in of_role.values() for id_ in ids}
    else:
        bos = tokenizer.bos_token_id
        special = special_of(tokenizer)
    return (
        int(bos) if isinstance(bos, int) and 0 <= bos < d_vocab else None,
        tuple(sorted(id_ for id_ in special if 0 <= id_ < d_vocab)),
    )


def special_of(tokenizer: Any) -> set[int]:
    """Ids that the tokenizer's files call special, by a role or by a mark.

    transformers lists others among them: every user-defined piece of a tokenizer.model (Gemma's line breaks and runs of
    blanks), which its own marks call ordinary.
    """
    added = {int(id_): token.special for id_, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    roles = {getattr(tokenizer, f"{role}_token_id", None) for role in ALL_ROLES}
    listed = {
        int(id_) for id_ in tokenizer.all_special_ids if id_ is not None and (id_ in roles or added.get(id_, True))
    }
    return listed | {id_ for id_, special in added.items() if special}


def config_ids(config: Any, role: str) -> tuple[int, ...]:
    """The ids that a configuration gives to a role: none, one or several."""
    for part in (config, text_config(config)):
        ids = as_ids(getattr(part, f"{role}_token_id", None))
        if ids:
            return ids
    return ()


def as_ids(value: Any) -> tuple[int, ...]:
    return tuple(int(id_) for id_ in (value if isinstance(value, list | tuple) else [value]) if isinstance(id_, int))


def disagreements(config: Any, tokenizer: Any | None, folder: Path | None) -> list[str]:
    """Where the configuration and the tokenizer differ, a line each; `folder` may hold a generation_config.json."""
    if tokenizer is None:
        other = "" if folder is None else other_tokenizer(str(folder))
        return [f"there is no tokenizer: special ids are those of config.json{other}"]
    lines = []
    generation = _generation(folder)
    special = special_of(tokenizer)
    for role in ROLES:
        named = getattr(tokenizer, f"{role}_token_id", None)
        for file, ids in (("config.json", config_ids(config, role)), ("generation_config.json", generation(role))):
            if not ids or (named is not None and named in ids and set(ids) <= special | {named}):
                continue
            ordinary = [id_ for id_ in ids if id_ not in special]
            lines.append(
                f"{role}: {file} says {_listed(ids)}, the tokenizer {'has none' if named is None else named}; "
                "the tokenizer's counts" + (f", and {_listed(ordinary)} stays an ordinary token" if ordinary else "")
            )
    d_vocab = int(text_config(config).vocab_size)
    for role in ROLES:
        named = getattr(tokenizer, f"{role}_token_id", None)
        if named is not None and named >= d_vocab:
            lines.append(
                f"{role}: the tokenizer's {named} {_text(tokenizer, named)} lies outside the model's vocabulary of "
                f"{d_vocab:,}, as if it had none"
            )
    lines += _of_files(tokenizer, folder)
    n_tokens = len(tokenizer)
    if n_tokens > d_vocab:
        lines.append(
            f"vocabulary: the tokenizer has {n_tokens:,} tokens, the model {d_vocab:,}; a text with one of the others "
            "is refused"
        )
    elif n_tokens < d_vocab:
        lines.append(
            f"vocabulary: the tokenizer has {n_tokens:,} tokens, the model {d_vocab:,}; the rest stands in no text"
        )
    return lines


def adds_bos(tokenizer: Any | None) -> bool | None:
    """Whether the tokenizer by itself puts a BOS in front of a text. None: there is no tokenizer, or it has no BOS."""
    if tokenizer is None or tokenizer.bos_token_id is None:
        return None
    return put_in_front(tokenizer)[:1] == [tokenizer.bos_token_id]


def put_in_front(tokenizer: Any) -> list[int]:
    """The ids that the tokenizer by itself puts before a text."""
    whole = list(tokenizer("a", add_special_tokens=True)["input_ids"])
    text = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    at = next((i for i in range(len(whole)) if whole[i : i + len(text)] == text), 0)
    return whole[:at] if text else []


def _of_files(tokenizer: Any, folder: Path | None) -> list[str]:
    """Where the tokenizer's own files contradict each other, or what has become of them."""
    lines = []
    said, written = _held(folder, "tokenizer_config.json"), _held(folder, "tokenizer.json")
    front = put_in_front(tokenizer)
    if front and front[0] != tokenizer.bos_token_id:
        bos = tokenizer.bos_token_id
        lines.append(
            f"bos: the tokenizer by itself puts {front[0]} {_text(tokenizer, front[0])} in front of a text, and calls "
            f"{'none' if bos is None else f'{bos} {_text(tokenizer, bos)}'} its BOS; that is what counts here"
        )
    adds = said.get("add_bos_token")
    if isinstance(adds, bool) and adds != bool(front):
        lines.append(
            f"bos: tokenizer_config.json says add_bos_token = {str(adds).lower()}, and the tokenizer by itself "
            f"{'adds one all the same' if front else 'adds none'}"
        )
    for id_, token in sorted((said.get("added_tokens_decoder") or {}).items()):
        content = token.get("content") if isinstance(token, dict) else None
        there = _text(tokenizer, int(id_)) if str(id_).isdigit() else None
        if isinstance(content, str) and there is not None and there != repr(content):
            lines.append(f"added tokens: tokenizer_config.json says {id_} is {content!r}, the tokenizer {there}")
    marked = {token.get("content") for token in written.get("added_tokens") or [] if isinstance(token, dict)}
    for role in ROLES if written else ():
        named, text = getattr(tokenizer, f"{role}_token_id", None), getattr(tokenizer, f"{role}_token", None)
        if named is not None and text not in marked and text in _pieces(written):
            lines.append(f"{role}: {named} {text!r} is an ordinary piece of tokenizer.json, and masked everywhere")
    return lines


def _pieces(written: dict[str, Any]) -> Any:
    vocabulary = (written.get("model") or {}).get("vocab") or {}
    return vocabulary if isinstance(vocabulary, dict) else {piece for piece, *_ in vocabulary}


def _text(tokenizer: Any, id_: int) -> str:
    return repr(tokenizer.convert_ids_to_tokens(id_))


def _held(folder: Path | None, name: str) -> dict[str, Any]:
    """A JSON object beside the model; empty where there is none."""
    if folder is None:
        return {}
    try:
        held = json.loads(read_text(folder / name))
    except (OSError, ValueError, InputError):
        return {}
    return held if isinstance(held, dict) else {}


def _generation(folder: Path | None) -> Any:
    held = _held(folder, "generation_config.json")
    return lambda role: as_ids(held.get(f"{role}_token_id"))


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(str(id_) for id_ in ids)
