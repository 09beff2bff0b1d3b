"""The page docs/RUN_FILE.md is the configuration's own account of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from autointerp.config import docs
from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel
from autointerp.config.loading import load_run
from autointerp.config.run_file import RunConfig
from autointerp.config.section import Section

ROOT = Path(__file__).resolve().parents[1]
TABLES = [*docs.sections_of(RunConfig), *docs.sections_of(LLMModel)]


def sections(model: type[Section] = Section) -> set[type[Section]]:
    """Every section that there is, found without following keys."""
    return {inner for below in model.__subclasses__() for inner in {below, *sections(below)}}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.model.__name__)
def test_every_key_has_a_meaning(table: docs.SectionTable) -> None:
    assert table.model.__doc__
    for key, field in docs.own_keys(table.model):
        assert field.description, f"{table.model.__name__}.{key} has no docstring under it"
        assert field.description.endswith("."), f"{table.model.__name__}.{key}: a meaning is a sentence"


def test_every_section_is_on_the_page() -> None:
    of_the_package = {model for model in sections() if model.__module__.startswith("autointerp.")}
    assert {table.model for table in TABLES} == of_the_package
    assert len({table.heading for table in TABLES}) == len(TABLES)
    assert not set(dict(docs.own_keys(Judge))) & set(LLMModel.model_fields)


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "RUN_FILE.md").read_text(encoding="utf-8")
    assert page == docs.run_file_page(), "run `make docs`"


def test_its_example_is_a_run_file() -> None:
    run = load_run(ROOT / "autointerp" / "config" / "example.toml")
    assert [dictionary.name for dictionary in run.dictionary] == ["res-jb", "random-cov"]
    assert run.evidence.left_of(run.tokens.window) == 23, "what the page says of evidence.left"


@pytest.mark.parametrize(
    ("annotation", "limits", "text"),
    [
        (str, [], "text"),
        (str | None, [], "text"),
        (int, Field(ge=1, le=4096).metadata, "whole number, at least 1, at most 4,096"),
        (bool | Annotated[int, Field(ge=0, lt=2**63)], [], "true or false; or whole number, at least 0, below 2^63"),
        (Literal["a", "b"], [], '`"a"`, `"b"`'),
        (list[Annotated[int, Field(gt=0)]], [], "list of: whole number, above 0"),
        (dict[str, str] | None, [], "table of text"),
        (Judge | None, [], "table"),
    ],
)
def test_types_are_written_in_words(annotation: object, limits: list[object], text: str) -> None:
    assert docs.type_text(annotation, limits) == text


def test_defaults_are_written_as_in_a_run_file() -> None:
    class Example(Section):
        needed: str
        text: str = "auto"
        there: bool = True
        many: int = 65_536
        few: int = 500
        names: list[str] = Field(default=["a", "b"])
        judge: Judge | None = None

    written = {key: docs.default_text(field) for key, field in Example.model_fields.items()}
    assert written == {
        "needed": "required",
        "text": '`"auto"`',
        "there": "`true`",
        "many": "`65_536`",
        "few": "`500`",
        "names": '`["a", "b"]`',
        "judge": "-",
    }
