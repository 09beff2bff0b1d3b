"""The words of the embedded explainers' sentences: the clauses of `prompts/lexical.md`, one a heading."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from autointerp.errors import UserError
from autointerp.explain.token_text import KINDS
from autointerp.hashing import content_hash
from autointerp.resources import prompt_text

_CLAUSES = {
    "only": {"tokens"}, "almost_only": {"tokens"}, "fires": {"tokens"}, "mostly_kind": {"kind", "percent", "tokens"},
    "spread_kind": {"kind", "percent", "tokens"}, "spread": {"tokens"}, "right_after": {"where", "bound", "tokens"},
    "right_after_spread": {"where", "bound", "tokens"}, "exactly": {"percent"}, "at_least": {"percent"},
    "share": {"token", "percent"}, "share_first": {"token", "percent"}, "mostly": {"token", "percent", "where", "rest"},
    "mostly_first": {"token", "percent", "where", "rest"}, "place": {"token", "where"},
    "after": {"previous"}, "start": set(), "indentation": set(), "indentation_such_as": {"token"}, "others": set(),
    "many_others": set(), "kind": {"percent", "kind"}, "stronger": {"token", "where", "percent"},
    "stronger_one": {"where", "percent"}, "previous": {"bound", "where"},
    "promotes": {"tokens"}, "suppresses": {"tokens"}, "rate_one": {"percent"}, "rate_many": {"percent"},
    "rate_places": {"percent"}, "seen": {"n"}, "constant": set(), "generic": {"tokens"},
}  # fmt: skip
"""The clauses that the template must hold, each with its placeholders."""


def template_hash() -> str:
    """Version of the sentence's words."""
    return content_hash(prompt_text("lexical.md"), tag="prompt")


class Clauses:
    """The clauses of the template; a clause or a placeholder too many or too few is an error."""

    def __init__(self, template: str | None = None) -> None:
        parts = re.split(r"^## (\w+)$", template or prompt_text("lexical.md"), flags=re.MULTILINE)
        self._text = {name: " ".join(text.split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
        wanted = {**_CLAUSES, **{f"kind_{name}": set() for name, _ in KINDS}}
        if self._text.keys() != wanted.keys():
            wrong = sorted(self._text.keys() ^ wanted.keys())
            raise UserError(f"prompts/lexical.md: clauses {wrong} are too many or missing")
        for name, text in self._text.items():
            fields = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
            if fields != wanted[name]:
                names = f"must hold {sorted(wanted[name])}, not {sorted(fields)}"
                raise UserError(f'prompts/lexical.md: clause "{name}" {names}')

    def __call__(self, name: str, **values: str) -> str:
        return self._text[name].format(**values)


def percent_of(share: float) -> str:
    """A share in words: `12 %`."""
    return "<1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")


def join(parts: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
