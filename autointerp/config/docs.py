"""The page `docs/RUN_FILE.md`, made from the configuration itself: every key with its type, default and meaning.

    python -m autointerp.config.docs docs/RUN_FILE.md            writes the page
    python -m autointerp.config.docs docs/RUN_FILE.md --check    exit status 1 where it is out of date

1. Walk the sections of a run file in the order of its keys, each once.
2. A section is a heading, the first paragraph of its docstring, and a table with a row for each key.
3. A type is written in a reader's words, with its limits; a default as it would stand in a run file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from autointerp.config.explainers import ImportedExplainer, LLMExplainer, PythonExplainer
from autointerp.config.features import FeatureSample
from autointerp.config.judging import Judge
from autointerp.config.llm_model import CapabilityChanges, LLMModel, Price
from autointerp.config.run_file import RunConfig
from autointerp.config.section import Section
from autointerp.generated import NOTE, cell, write_or_check

TABLES = {
    RunConfig: "The top of the file",
    LLMExplainer: "An entry of `explain.explainers`: an LLM",
    PythonExplainer: "An entry of `explain.explainers`: a Python class",
    ImportedExplainer: "An entry of `explain.explainers`: imported labels",
    Judge: "`score.judge`",
    LLMModel: "A model: the keys that `score.judge` and an LLM in `explain.explainers` share",
    FeatureSample: "`features = { sample = 500 }`, of a dictionary or of `[score]`",
    CapabilityChanges: "`capabilities` of a model",
    Price: "`price` of a model",
}
"""Headings of the sections that are not called by the way to their key."""

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


@dataclass(frozen=True)
class SectionTable:
    """A section of the page."""

    model: type[Section]
    heading: str


def run_file_page(_: str = "") -> str:
    """The whole page."""
    example = (Path(__file__).parent / "example.toml").read_text(encoding="utf-8")
    sections = "\n\n".join(_section(table) for table in [*sections_of(RunConfig), *sections_of(LLMModel)])
    note = NOTE.format(source="`autointerp/config/`")
    return f"{note}\n\n{_INTRODUCTION}\n```toml\n{example}```\n\n{sections}\n"


_INTRODUCTION = """# The run file

A run file is a TOML file that says what a run does: `autointerp run mine.toml`. It needs `name`, `subject.model`,
`tokens.source` and one `[[dictionary]]`; all else has a default. An unknown key is an error that names the
nearest one. `autointerp run mine.toml --dry-run` checks that everything is there, says what is left to do and what it
costs, and writes nothing.

`required` stands where a key has no default. `-` stands where a key is not set unless you set it; its meaning then says
what happens.

## An example
"""


def sections_of(model: type[Section], path: str = "") -> list[SectionTable]:
    """This section and all that it holds, in the order of their keys, each once."""
    tables = {model: SectionTable(model, TABLES.get(model, f"`{path}`"))}
    for key, field in own_keys(model):
        for inner, many in _sections_in(field.annotation):
            below = f"{path.strip('[]')}.{key}" if path else f"[[{key}]]" if many else f"[{key}]"
            for table in sections_of(inner, below):
                tables.setdefault(table.model, table)
    return list(tables.values())


def own_keys(model: type[Section]) -> list[tuple[str, FieldInfo]]:
    """The keys of a section, without those that it shares with every LLM."""
    shared = LLMModel.model_fields if issubclass(model, LLMModel) and model is not LLMModel else {}
    return [(field.alias or name, field) for name, field in model.model_fields.items() if name not in shared]


def _sections_in(annotation: Any, many: bool = False) -> Iterator[tuple[type[Section], bool]]:
    """The sections that an annotation names, and whether it is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, many
    for part in get_args(annotation):
        yield from _sections_in(part, many or get_origin(annotation) is list)


def _section(table: SectionTable) -> str:
    lines = [f"## {table.heading}", "", cell((table.model.__doc__ or "").partition("\n\n")[0])]
    if issubclass(table.model, LLMModel) and table.model is not LLMModel:
        lines += ["", "Beside these keys it takes all those of a model, below."]
    lines += ["", "| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in own_keys(table.model):
        kind = cell(type_text(field.annotation, field.metadata))
        lines.append(f"| `{key}` | {kind} | {cell(default_text(field))} | {cell(field.description or '')} |")
    return "\n".join(lines)


# --- types ------------------------------------------------------------------------------------------


def type_text(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """A type in a reader's words, with its limits: `whole number, at least 1`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        parts = [type_text(part, metadata) for part in arguments if part is not NoneType]
        return "; or ".join(dict.fromkeys(parts))
    if origin is Literal:
        return ", ".join(f"`{_toml(value)}`" for value in arguments)
    if origin in (list, tuple):
        return f"list of: {type_text(arguments[0])}"
    if origin is dict:
        return "table of text"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return ", ".join([_WORDS[annotation], *_limits(metadata)])


def _limits(metadata: list[Any] | tuple[Any, ...]) -> list[str]:
    """The limits of a number or the length of a text; patterns are left to the meaning."""
    limits = []
    for entry in metadata:
        match entry:
            case FieldInfo(metadata=inner):
                limits += _limits(inner)
            case Ge(ge=limit):
                limits.append(f"at least {_number(limit)}")
            case Gt(gt=limit):
                limits.append(f"above {_number(limit)}")
            case Le(le=limit):
                limits.append(f"at most {_number(limit)}")
            case Lt(lt=limit):
                limits.append(f"below {_number(limit)}")
    return limits


def _number(value: Any) -> str:
    return "2^63" if value == 2**63 else f"{value:,}"


def default_text(field: FieldInfo) -> str:
    """A default as it would stand in a run file; `-` where the key is not set, `required` where there is none."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None:
        return "-"
    if isinstance(default, BaseModel) and not default.model_fields_set:
        return "as below"
    return f"`{_toml(default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, BaseModel):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.model_dump().items())} }}"
    return f"{value:_}" if isinstance(value, int) and value >= 10_000 else str(value)


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], run_file_page, __doc__))
