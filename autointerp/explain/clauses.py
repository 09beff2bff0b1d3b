"""The words of the embedded explainers' texts: the clauses of `prompts/lexical.md`, one a heading."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from autointerp.errors import UserError
from autointerp.hashing import content_hash
from autointerp.resources import prompt_text

_CLAUSES = {
    "fires": {"groups"}, "spread": set(), "strength_first": {"tokens", "strength"}, "strength": {"tokens", "strength"},
    "after": {"token", "previous"}, "promotes": {"tokens"}, "rises": {"groups"},
    "rises_all": {"groups", "tokens"}, "falls": {"groups"}, "seen": {"n"},
    "context_table": {"n", "tokens"}, "token_table": {"n", "tokens"}, "constant": set(), "generic": {"groups"},
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
        if self._text.keys() != _CLAUSES.keys():
            wrong = sorted(self._text.keys() ^ _CLAUSES.keys())
            raise UserError(f"prompts/lexical.md: clauses {wrong} are too many or missing")
        for name, text in self._text.items():
            fields = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
            if fields != _CLAUSES[name]:
                names = f"must hold {sorted(_CLAUSES[name])}, not {sorted(fields)}"
                raise UserError(f'prompts/lexical.md: clause "{name}" {names}')

    def __call__(self, name: str, **values: str) -> str:
        return self._text[name].format(**values)


def join(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
