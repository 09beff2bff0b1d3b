"""Special ids of a subject: from the tokenizer's own files where it has any, else from the model's configuration.

Libraries change a tokenizer that they are given: TransformerLens makes the EOS the BOS and the padding of one that
has none, and adds tokens. So ids are read before it sees the tokenizer, and it gets a copy. `config.json` and
`generation_config.json` repeat ids that may be another tokenizer's: they count only where there is no tokenizer, and
`disagreements` says where they differ.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROLES = ("bos", "eos", "pad")


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
    """Ids that the tokenizer's files call special, by a role or by a mark."""
    marked = {int(id_) for id_, token in getattr(tokenizer, "added_tokens_decoder", {}).items() if token.special}
    return marked | {int(id_) for id_ in tokenizer.all_special_ids if id_ is not None}


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
        return ["there is no tokenizer: special ids are those of config.json"]
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
    ids = tokenizer("a", add_special_tokens=True)["input_ids"]
    return bool(ids) and ids[0] == tokenizer.bos_token_id


def _generation(folder: Path | None) -> Any:
    held: Any = {}
    if folder is not None:
        with contextlib.suppress(OSError, ValueError):
            held = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    held = held if isinstance(held, dict) else {}
    return lambda role: as_ids(held.get(f"{role}_token_id"))


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(str(id_) for id_ in ids)
