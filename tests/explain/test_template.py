"""Templates: what is missing or unknown is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp.errors import UserError
from autointerp.explain.template import PromptSection, parse_template, read_template

WANTED = {
    "system": PromptSection(optional=frozenset({"open"})),
    "prompt": PromptSection(required=frozenset({"evidence"})),
    "extra": PromptSection(needed=False),
}
GOOD = 'A note {not read}.\n\n## system\nMarks: {open}.\n\n## prompt\nSee: {evidence} {{"a": 1}}\n'


def test_sections_are_filled_once_and_braces_kept() -> None:
    template = parse_template("t.md", GOOD, WANTED)
    assert template.fill("prompt", {"evidence": "{open} {x}", "open": "«"}) == 'See: {open} {x} {"a": 1}'
    assert template.fill("system", {"evidence": "", "open": "«"}) == "Marks: «."


def test_the_version_is_that_of_the_words_that_reach_a_model() -> None:
    template = parse_template("t.md", GOOD, WANTED)
    assert parse_template("other.md", GOOD.replace("A note", "Another note"), WANTED).version == template.version
    assert parse_template("t.md", GOOD.replace("See", "Look"), WANTED).version != template.version


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("## prompt\nSee: {evidence}", "## prompt\nSee:", r'section "## prompt" lacks the placeholder \{evidence\}'),
        ("{open}", "{opne}", r'unknown placeholder \{opne\}; the nearest is "open"'),
        ("## system", "## sytem", r'unknown section "## sytem"; the nearest is "system"'),
        ("## prompt\nSee: {evidence}", "", 'section "## prompt" is missing'),
        ("Marks:", "Marks {", "brace by itself|no placeholder"),
        ("{open}", "{open!r}", "no placeholder"),
        ("{open}", "{0}", "no placeholder"),
        ("{open}", "{open.x}", "no placeholder"),
        ("## prompt", "## system\nagain\n\n## prompt", "is there twice"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        parse_template("t.md", GOOD.replace(old, new), WANTED)
    assert "\n" not in str(error.value)


def test_a_users_file_is_named_when_it_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine\.md"):
        read_template("", WANTED, tmp_path / "mine.md")
    (tmp_path / "mine.md").write_bytes(b"\xff\xfa")
    with pytest.raises(UserError, match="not UTF-8"):
        read_template("", WANTED, tmp_path / "mine.md")
