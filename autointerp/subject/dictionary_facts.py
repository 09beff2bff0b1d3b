"""What a dictionary's files say of how it was trained: the model, contexts, text. For a run file that asks less.

A fact is read where a file says it, guessed where names hint at it, or missing. Libraries call the same fact by
different keys; they are looked for in the settings of the dictionary, whatever the format, and in a `config.json` one
folder up, where some libraries keep the settings of a whole run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import load_dictionary, resolve_dictionary
from autointerp.subject.formats.common import read_json
from autointerp.subject.formats.hub import parse_hub
from autointerp.subject.formats.sae_lens_releases import PREFIX, look_up, model_of

MODEL_KEYS = ("hf_model_name", "model_name", "lm_name", "model_id", "base_model", "model")
CONTEXT_KEYS = ("context_size", "ctx_len", "context_length", "seq_len", "context_len")
DATA_KEYS = ("dataset_path", "dataset", "dataset_name")
SAID_BY_NOBODY: dict[str, Any] = {"hook": "blocks.0.hook_resid_post", "activation": "relu", "k": 1}
"""What a run file may have to say because the files do not, and what stands for it so that the rest can be read."""

FAMILIES = (
    (r"gpt2-small|gpt2", "openai-community/gpt2"),
    (r"(gpt2-(?:medium|large|xl))", r"openai-community/\1"),
    (r"(pythia-[\w.]+?(?:-deduped)?)(?:-v0)?", r"EleutherAI/\1"),
    (r"gemma-scope-(2b|9b|27b)-(?:pt)(?:-\w+)?", r"google/gemma-2-\1"),
    (r"gemma-scope-(9b|27b)-it(?:-\w+)?", r"google/gemma-2-\1-it"),
    (r"gemma-scope-2-270m-pt", "google/gemma-3-270m"),  # the only one without -pt
    (r"gemma-scope-2-(270m|1b|4b|12b|27b)-(pt|it)", r"google/gemma-3-\1-\2"),
    (r"(gemma-(?:2|3)?-?\w+(?:-it|-pt)?)", r"google/\1"),
    (r"[Ll]lama-?(3\.[12])-(\w+)", r"meta-llama/Llama-\1-\2"),
    (r"[Ll]lama3_1-8B-Base.*", "meta-llama/Llama-3.1-8B"),
    (r"(?i:qwen3)-([\d.]+)[bB]-(?i:base)", r"Qwen/Qwen3-\1B-Base"),
    (r"(?i:qwen3)-([\d.]+)[bB]", r"Qwen/Qwen3-\1B"),
)
"""Names that libraries give to models, or folders carry, and the models of the hub."""


@dataclass(frozen=True)
class Fact:
    """A value and where it comes from: said by the files, or guessed for a reason. No value: missing."""

    value: Any = None
    guessed: str | None = None

    @property
    def is_missing(self) -> bool:
        return self.value is None


@dataclass(frozen=True)
class DictionaryFacts:
    """All that a run file needs of a dictionary."""

    path: str
    sae: SparseAutoencoder
    unsaid: tuple[str, ...]
    """What of `SAID_BY_NOBODY` a person must say."""
    model: Fact
    processing: Fact
    context_length: Fact
    prepend_bos: Fact
    source: Fact


def run_path_of(what: str) -> str:
    """`hf:REPO/PATH` as run files write it; all else as it is."""
    return "hf://" + what.removeprefix("hf:") if re.match(r"hf:(?!//)", what) else what


def facts_of(what: str) -> DictionaryFacts:
    """Reads a dictionary and what its files say. Raises InputError where it cannot be read."""
    path = run_path_of(what)
    sae, unsaid = _read(path)
    settings = list(_settings(sae, path))
    model = _model(path, settings)
    bundled = isinstance(model.value, str) and model.value.startswith("bundled:")
    return DictionaryFacts(
        path=path,
        sae=sae,
        unsaid=unsaid,
        model=model,
        processing=Fact("raw", "no file says it; most dictionaries are trained on the model as it is")
        if sae.processing is None
        else Fact(sae.processing),
        context_length=_number(settings),
        prepend_bos=_flag(settings),
        source=Fact("bundled:corpus", "text that the bundled model was not trained on") if bundled else _data(settings),
    )


def _read(path: str) -> tuple[SparseAutoencoder, tuple[str, ...]]:
    """The dictionary, and what its reader asks a run file for, in the order of `SAID_BY_NOBODY`."""
    stated: dict[str, Any] = {}
    while True:
        try:
            return load_dictionary(path, **stated), tuple(key for key in SAID_BY_NOBODY if key in stated)
        except InputError as error:
            asked = re.search(r"give (hook|activation|k) = ", str(error))
            if asked is None or asked[1] in stated:
                raise
            stated[asked[1]] = SAID_BY_NOBODY[asked[1]]


def _settings(sae: SparseAutoencoder, path: str) -> Iterator[Mapping[str, Any]]:
    """The dictionary's settings, the innermost last, and those of its run."""
    yield from _nested(sae.config)
    place = resolve_dictionary(path)
    above = (place.parent if place.is_file() else place).parent / "config.json"
    if above.is_file():
        try:
            held = read_json(above, path)
        except InputError:  # of something else
            return
        if isinstance(held, dict):
            yield from _nested(held)


def _nested(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield config
    for value in config.values():
        if isinstance(value, Mapping):
            yield from _nested(value)


def _first(settings: list[Mapping[str, Any]], keys: tuple[str, ...], kind: type) -> Any:
    """The value of the first key of this type, looked for key by key in all settings."""
    for key in keys:
        for held in settings:
            value = held.get(key)
            if isinstance(value, kind) and not (kind is int and isinstance(value, bool)) and value not in ("", 0):
                return value
    return None


def _model(path: str, settings: list[Mapping[str, Any]]) -> Fact:
    named = _first(settings, MODEL_KEYS, str)
    if named is None and path.startswith(PREFIX):
        named = model_of(path)
    if named is not None:
        if "/" in named or named.startswith("bundled:") or Path(named).is_dir():
            return Fact(named)
        guess = hub_name(named)
        return Fact(named) if guess is None else Fact(guess, f'the files call it "{named}"')
    hub = look_up(path).hub if path.startswith(PREFIX) else path
    place = parse_hub(hub).place if hub.startswith("hf://") else resolve_dictionary(path).absolute().parts
    for name in reversed(place):
        for part in (name, *re.findall(r"(?i)(qwen3-[\d.]+b(?:-base)?|llama-3\.\d-\w+|gemma-\d-\w+)", name)):
            guess = hub_name(part)
            if guess is not None:
                return Fact(guess, f'a folder is called "{name}"')
    return Fact()


def hub_name(name: str) -> str | None:
    """A model of the hub by the name that libraries give to it; None where it is none that we know."""
    for pattern, model in FAMILIES:
        if matched := re.fullmatch(pattern, name):
            return matched.expand(model)
    return None


def _number(settings: list[Mapping[str, Any]]) -> Fact:
    value = _first(settings, CONTEXT_KEYS, int)
    return Fact(value) if value is not None and 2 <= value <= 65_535 else Fact()


def _flag(settings: list[Mapping[str, Any]]) -> Fact:
    values = [held["prepend_bos"] for held in settings if isinstance(held.get("prepend_bos"), bool)]
    return Fact(values[0]) if values else Fact()


def _data(settings: list[Mapping[str, Any]]) -> Fact:
    value = _first(settings, DATA_KEYS, str)
    if value is None or not re.fullmatch(r"[\w.-]+/[\w.-]+", value):
        return Fact()
    return Fact(f"hf:{value}", "the data that it was trained on; other text tells whether labels hold elsewhere")
