"""Prompt templates: text files with named sections and placeholders, both checked when the file is read.

    ## system          what many prompts share (stands first, so that providers can cache it)
    ## prompt          what differs from prompt to prompt

Text before the first heading is a note to the reader of the file. `{name}` is filled in, `{{` and `}}` are braces.
A section or a placeholder too many or too few is an error that names it. What is filled in is never read again for
placeholders, so the text of a corpus cannot name one.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autointerp.errors import UserError, nearest
from autointerp.hashing import content_hash
from autointerp.resources import prompt_text
from autointerp.text_files import read_text

_HEADING = re.compile(r"^## (\w+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class PromptSection:
    """What a section of a template may and must hold."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    needed: bool = True  # the section itself


@dataclass(frozen=True)
class Template:
    """A checked template."""

    name: str
    sections: Mapping[str, str]

    @property
    def version(self) -> str:
        """Hash of all that can reach a model."""
        return content_hash(dict(self.sections), tag="prompt")

    def __contains__(self, section: str) -> bool:
        return section in self.sections

    def placeholders(self, section: str) -> frozenset[str]:
        """Names that a section asks for."""
        return _placeholders(self.name, section, self.sections[section])

    def fill(self, section: str, values: Mapping[str, str]) -> str:
        """A section with its placeholders filled in; values that it does not ask for are left out."""
        return self.sections[section].format(**{name: values[name] for name in self.placeholders(section)})


def read_template(name: str, wanted: Mapping[str, PromptSection], path: Path | None = None) -> Template:
    """A template of ours by its name in `prompts/` (`explain/default.md`), or a user's at `path`.

    Raises UserError naming the file and the section or placeholder that is missing or unknown.
    """
    if path is not None:
        try:
            text, name = read_text(path), str(path)
        except OSError as error:
            raise UserError(f'prompt "{path}" cannot be read: {error.strerror}') from error
    else:
        text = prompt_text(name)
    return parse_template(name, text, wanted)


def parse_template(name: str, text: str, wanted: Mapping[str, PromptSection]) -> Template:
    """As `read_template`, from the text itself."""
    _, *parts = _HEADING.split(text)
    titles = parts[::2]
    sections = {title: body.strip() for title, body in zip(titles, parts[1::2], strict=True)}
    for title in titles:
        if titles.count(title) > 1:
            raise UserError(f'prompt {name}: section "## {title}" is there twice')
        if title not in wanted:
            raise UserError(f'prompt {name}: unknown section "## {title}"' + nearest(title, wanted))
    for title, section in wanted.items():
        if title not in sections:
            if section.needed:
                raise UserError(f'prompt {name}: section "## {title}" is missing')
            continue
        placeholders = _placeholders(name, title, sections[title])
        if missing := sorted(section.required - placeholders):
            raise UserError(f'prompt {name}: section "## {title}" lacks the placeholder {{{missing[0]}}}')
        if unknown := sorted(placeholders - section.required - section.optional):
            known = sorted(section.required | section.optional)
            hint = nearest(unknown[0], known) or (f"; it may hold {', '.join(known)}" if known else "; it takes none")
            raise UserError(f'prompt {name}: section "## {title}" has the unknown placeholder {{{unknown[0]}}}{hint}')
    return Template(name, sections)


def _placeholders(name: str, section: str, text: str) -> frozenset[str]:
    names = set()
    try:
        for _, field, form, conversion in string.Formatter().parse(text):
            if field is None:
                continue
            if form or conversion or not field.isidentifier():
                raise UserError(
                    f'prompt {name}: section "## {section}" has {{{field}}}, which is no placeholder; '
                    "write {{ and }} for braces"
                )
            names.add(field)
    except ValueError as error:
        raise UserError(
            f'prompt {name}: section "## {section}" has a brace by itself ({error}); write {{{{ and }}}} for braces'
        ) from error
    return frozenset(names)
