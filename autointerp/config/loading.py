"""Reading a run file: TOML in, a checked configuration or one line of what is wrong out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ValidationError,
)

from autointerp.config.features import FEATURE_CHOICES
from autointerp.config.own_code import OwnCode
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError, InputError, nearest
from autointerp.text_files import read_text
from autointerp.words import kind_of_word

ALIASES = {
    "fp32": "float32", "float": "float32", "single": "float32", "fp16": "float16", "half": "float16", "f16": "float16",
    "bf16": "bfloat16", "gpu": "cuda",
}  # fmt: skip
"""Other words for the same, whose letters are not near."""


def load_run(path: str | Path, *, store: str | Path | None = None) -> RunConfig:
    """Reads a run file. Raises ConfigError with one line: file, key, value, what to do."""
    path = Path(path)
    try:
        data = tomllib.loads(read_text(path))
    except FileNotFoundError as error:
        raise ConfigError(f'there is no run file "{path}"') from error
    except IsADirectoryError as error:
        raise ConfigError(f'"{path}" is a folder, not a run file') from error
    except (tomllib.TOMLDecodeError, InputError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    if store is not None:
        data["store"] = str(store)
    return parse_run(data, source=str(path))


def parse_run(data: dict[str, Any], *, source: str = "run") -> RunConfig:
    """Checks a run given as a dictionary, as `load_run` does."""
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_one_line(error)}") from error


def _one_line(error: ValidationError) -> str:
    """The first error, unknown keys before all else: a misspelt key also shows as a missing one."""
    errors = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    first = errors[0]
    where = _where(first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown_key(first["loc"])
    if first["type"] == "missing":
        return f'the key "{where}" is missing'
    message = FEATURE_CHOICES if "features" in first["loc"] else first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool) else ""
    if first["type"] == "literal_error" and isinstance(value, str):
        kind = kind_of_word(value)
        choices = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        shown = f" (it is {value!r}, which is {kind})" if kind else shown + nearest(ALIASES.get(value, value), choices)
    if first["type"] == "model_type" and first["ctx"].get("class_name") == OwnCode.__name__:
        message = 'give a class of your own: { python = "module:Class" }'
        message += "; what is built in is computed without being named" if "metrics" in first["loc"] else ""
    return f"{where}: {message}{shown}" if where else message


def _unknown_key(location: tuple[int | str, ...]) -> str:
    """The key, with where one of this name belongs, or else the nearest of its section."""
    *section, key = location
    within = _where(tuple(section))
    said = f'unknown key "{within}.{key}"' if within else f'unknown key "{key}"'
    elsewhere = [path for path in _all_keys(RunConfig) if path.rpartition(".")[2] == key]
    if elsewhere:
        return f"{said}; there is {' and '.join(elsewhere)}"
    return said + nearest(str(key), _keys_at(tuple(section)))


def _all_keys(section: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every key of a run file, as `tokens.window` and `dictionary[].hook`."""
    for name, field in section.model_fields.items():
        yield before + name
        inside = _section_in(field.annotation)
        if inside is not None:
            many = "[]" if get_origin(field.annotation) is list else ""
            yield from _all_keys(inside, f"{before}{name}{many}.")


def _where(location: tuple[int | str, ...]) -> str:
    """`tokens.n_tokens`, `dictionary[0].hook`; without the names pydantic gives to union members."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() and not part[0].isupper():
            text += f".{part}" if text else part
    return text


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] | None = RunConfig
    for part in location:
        if model is not None and part in model.model_fields:  # others: list indices, pydantic's names of union members
            model = _section_in(model.model_fields[str(part)].annotation)
    return list(model.model_fields) if model is not None else []


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section in `Section`, `list[Section]` or `Literal["all"] | Section`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)
