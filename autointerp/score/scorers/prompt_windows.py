"""What a simulator or judge is shown: a window's text, an explanation on one line, the templates of `prompts/score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autointerp.explain.marking import BARS, Marks, choose_marks, escape
from autointerp.explain.template import PromptSection, Template, read_template


@dataclass(frozen=True)
class ShownWindow:
    """A window's text. The simulator is not causal: it sees all of it."""

    tokens: tuple[str, ...]
    scored: tuple[bool, ...]
    before: tuple[str, ...] = ()
    """Tokens in front of it; not scored."""

    @property
    def n_scored(self) -> int:
        return sum(self.scored)

    @property
    def all_tokens(self) -> tuple[str, ...]:
        return (*self.before, *self.tokens)

    @property
    def all_scored(self) -> tuple[bool, ...]:
        return (*(False for _ in self.before), *self.scored)


def bars_for(windows: Sequence[ShownWindow]) -> Marks:
    """A mark for the numbers of tokens that stands in none of them."""
    return choose_marks((token for window in windows for token in window.all_tokens), BARS)


def one_line(text: str) -> str:
    """An explanation as it is shown: quoted and on one line, so that what it says cannot pass for the prompt."""
    return f'"{escape(text, chr(34))}"'


def template(name: str, **sections: Mapping[str, bool]) -> Template:
    """A template of `prompts/score/`; sections with their placeholders, True where required."""
    wanted = {
        section: PromptSection(
            frozenset(name for name, needed in holds.items() if needed),
            frozenset(name for name, needed in holds.items() if not needed),
        )
        for section, holds in sections.items()
    }
    return read_template(f"score/{name}.md", wanted)
