"""`autointerp init`: a run file from a dictionary, with what its files say filled in.

What was guessed has a comment that begins with `guessed:`, and what is missing stands as a comment that says what to
fill in. The file is written at once or not at all.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.dictionary_facts import DictionaryFacts, Fact, facts_of
from autointerp.whole_files import whole_file

DEFAULT_N_TOKENS = 1_000_000
UNSAID = {
    "hook": ("where it reads, as TransformerLens calls it", '"blocks.8.hook_resid_post"'),
    "activation": ("what its values go through: relu, or topk with k", '"relu"'),
    "k": ("how many features fire at once", "64"),
}
"""What only a person knows of some dictionaries: what to fill in, and an example."""


@dataclass(frozen=True)
class NewRunFile:
    """What a new run file says, for a person."""

    file: Path
    read: list[str]
    guessed: list[str]
    missing: list[str]
    next_command: str


def write_run_file(what: str, file: Path | None, *, force: bool = False) -> NewRunFile:
    """Reads the dictionary and writes its run file. Raises InputError, and then writes nothing."""
    facts = facts_of(what)
    name = name_of(facts.path)
    file = Path(f"{name}.toml") if file is None else file
    if file.exists() and not force:
        raise InputError(f'"{file}" is there already; give -o ANOTHER, or --force to write over it')
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise InputError(
            f'"{file}" cannot be written: {"it is a folder" if file.is_dir() else "there is no such folder"}'
        )
    text, guessed, missing = render(name, facts)
    with whole_file(file) as stream:
        stream.write(text.encode())
    shown = shlex.quote(str(file))
    sae = facts.sae
    read = [_size(facts), *([] if "hook" in facts.unsaid else [f'hook = "{_comment(sae.hook)}"'])]
    filled = (
        ("model", facts.model),
        ("processing", facts.processing),
        ("context_length", facts.context_length),
        ("prepend_bos", facts.prepend_bos),
    )
    read += [f"{key} = {_toml(fact.value)}" for key, fact in filled if not fact.is_missing and fact.guessed is None]
    return NewRunFile(
        file,
        read,
        guessed,
        missing,
        f"autointerp run {shown} --dry-run" if not missing else f"edit {shown}, then: autointerp run {shown} --dry-run",
    )


def name_of(path: str) -> str:
    """A name for a run: the last parts of the path that tell one dictionary from its neighbours."""
    plain = path.partition("://")[2] or path.partition(":")[2] or path
    parts = [
        part for part in PurePosixPath(plain.partition("@")[0].replace("\\", "/")).parts if part not in ("/", "..")
    ]
    last = re.sub(r"\.(safetensors|npz|pth?|json|yaml)$", "", parts[-1] if parts else "run")
    if len(parts) > 1 and (len(last) < 4 or re.fullmatch(r"(ae|params|sae|average_l0_\d+|sae_weights|final)", last)):
        last = f"{parts[-2]}-{last}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-") or "run"


def render(name: str, facts: DictionaryFacts) -> tuple[str, list[str], list[str]]:
    """The run file, what it guesses and what it lacks, a line each."""
    guessed, missing = list[str](), list[str]()

    def line(key: str, fact: Fact, lacks: str | None, example: str = "") -> list[str]:
        """`lacks` says what to fill in; None: the default does."""
        if fact.is_missing:
            if lacks is None:
                return []
            missing.append(f"{key}: {lacks}")
            return [f"# {key} = {example}  # fill in: {lacks}"]
        if fact.guessed is None:
            return [f"{key} = {_toml(fact.value)}"]
        guessed.append(f"{key} = {_toml(fact.value)}: {_comment(fact.guessed)}")
        return [f"{key} = {_toml(fact.value)}  # guessed: {_comment(fact.guessed)}"]

    lines = [
        f"# Labels every feature of {_comment(facts.path)}.",
        f"# {_size(facts)}.",
        f"name = {_toml(name)}",
        "",
        "[subject]",
        *line("model", facts.model, "the model that it was trained on", '"a/folder/or/name-on-the-hub"'),
        *line("processing", facts.processing, None),
        "",
        "[tokens]",
        *line("source", facts.source, "the text to read", '"text:path/to/folder"'),
        *line("context_length", facts.context_length, None),
        *line("prepend_bos", facts.prepend_bos, None),
        f"n_tokens = {DEFAULT_N_TOKENS:_}  # more makes rare features sure; less is faster",
        "allow_fewer = true",
        "",
        "[[dictionary]]",
        f"name = {_toml(name)}",
        f"path = {_toml(facts.path)}",
        *_own_lines(facts, line),
        "",
        "# An LLM can write the labels and another can judge them; a key comes from the environment.",
        "# [explain]",
        '# explainers = ["lexical", { provider = "anthropic", model = "claude-haiku-5-5" }]',
        "# [score]",
        '# judge = { provider = "openai", model = "gpt-6-luna" }',
        "# features = { sample = 500 }",
        "# [budget]",
        "# max_usd = 5.0",
    ]
    return "\n".join(lines) + "\n", guessed, missing


def _size(facts: DictionaryFacts) -> str:
    sae = facts.sae
    activation = "" if {"activation", "k"} & set(facts.unsaid) else f" {_comment(sae.activation)},"
    return f"{sae.n_features:,} features of {sae.d_in:,} dimensions,{activation} format {sae.format}"


def _own_lines(facts: DictionaryFacts, line: Callable[..., list[str]]) -> list[str]:
    """What the files say of the hook points, and what they leave to the run file."""
    said = []
    if "hook" not in facts.unsaid:
        out = "" if facts.sae.hook_out is None else f", writes to {_comment(facts.sae.hook_out)}"
        said = [f"# its files say: reads {_comment(facts.sae.hook)}{out}"]
    return [*said, *(text for key in facts.unsaid for text in line(key, Fact(), *UNSAID[key]))]


def _toml(value: Any) -> str:
    """A TOML value: JSON's strings are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: object) -> str:
    """Text of a file or a name, on one line of a comment."""
    return "".join(character if character.isprintable() else "?" for character in str(text))
