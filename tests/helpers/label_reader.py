"""A reader of `lexical`'s labels that knows nothing but the text, the tokens' names and what docs/SCORES.md says."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence

import numpy as np
from gram_corpus import Gram

from autointerp.explain.lookup import Entries
from autointerp.records import ANY_TOKEN

_NAME = r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?(?:#\d+)?'
_PLACE = rf"{_NAME}(?: after {_NAME}(?: or {_NAME})*)?"
_GROUP = rf"(?P<places>{_PLACE}(?:, {_PLACE})*) \((?:strength )?(?P<strength>-?\d+)\)"
_UNNAMED = re.sub(r"\?P<\w+>", "", _GROUP)
_LABEL = re.compile(
    rf"(?:(?:Fires|Whichever the feature, fires) on|Promotes) ({_GROUP}(?:; {_UNNAMED})*)(?:\.(?= |$)|; by its dir)"
)


def strengths_in(text: str, vocabulary: Sequence[str]) -> dict[Gram, int]:
    """(previous or -1, token) -> strength."""
    if text.startswith("Fires on many tokens and none stands out."):
        return {}
    label = _LABEL.match(text)
    assert label is not None, text
    token_of = _tokens_by_name(vocabulary)
    found: dict[Gram, int] = {}
    for group in re.finditer(_GROUP, label[1]):
        for place in re.finditer(_PLACE, group["places"]):
            name, *before = (token_of[one] for one in re.findall(_NAME, place[0]))
            for previous in before or [ANY_TOKEN]:
                assert (previous, name) not in found, "said once"
                found[previous, name] = int(group["strength"])
    return found


def entries_in(text: str, vocabulary: Sequence[str]) -> Entries:
    """What a label predicts, from its text alone."""
    said = strengths_in(text, vocabulary)
    grams = list(said)
    return Entries(
        np.array([previous for previous, _ in grams], np.int32),
        np.array([token for _, token in grams], np.int32),
        np.array([strength / 10 for strength in said.values()], np.float32),
        np.array([1 - math.exp(-abs(strength) / 4) for strength in said.values()], np.float32),
    )


class _tokens_by_name(dict[str, int]):
    """`"a"`, or `"a"#7` where other tokens look like it: read, not looked up in the writer's table."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.of_text: dict[str, list[int]] = {}
        for token, text in enumerate(vocabulary):
            self.of_text.setdefault(text, []).append(token)

    def __missing__(self, name: str) -> int:
        quoted, _, number = name.rpartition("#") if re.search(r"#\d+$", name) else (name, "", "")
        if number:
            return int(number)
        [token] = self.of_text[ast.literal_eval(quoted)]
        return token
