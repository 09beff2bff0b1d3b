"""A second question about a feature: the explainer's own answer, and where it misled a reader.

The counterexamples come from the select split. Which windows of it may be shown, and which decide whether the revision
is kept, is `score/scorers/select_exam.py`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from autointerp.explain.evidence import Draft, Evidence, Exemplar
from autointerp.explain.exemplar_text import NONE
from autointerp.explain.prompt import MARKED, Style, in_form, marks_for, marks_values, shown_evidence
from autointerp.explain.template import PromptSection, Template, read_template
from autointerp.hashing import content_hash
from autointerp.llm.asks import Ask

MOST_SHOWN = 6
"""Counterexamples of each kind that are shown."""
_SECTIONS = {"prompt": PromptSection(frozenset({"evidence", "answer", "misses", "false_alarms"}), MARKED)}


@dataclass(frozen=True)
class Counterexamples:
    """Windows of the select split in which a reader of the explanation was wrong, MOST_SHOWN of each kind at most."""

    misses: Sequence[Exemplar]
    """It fires there."""
    false_alarms: Sequence[Exemplar]
    """It is silent on every token."""

    def __bool__(self) -> bool:
        return bool(self.misses or self.false_alarms)

    def tokens(self) -> list[str]:
        """All that are shown."""
        return [token for one in (*self.misses, *self.false_alarms) for token in one.tokens]


@cache
def _template() -> Template:
    return read_template("explain/revise.md", _SECTIONS)


def revise_version(style: Style) -> str:
    """Hash of the words that revisions are asked in."""
    return content_hash([style.version, _template().version, MOST_SHOWN], tag="style")


def said_again(style: Style, draft: Draft) -> str:
    """A draft as the explainer is shown it: in the form that it was answered in."""
    lexicon = [entry._asdict() for entry in draft.lexicon]
    said = {"fires": draft.fires, "promotes": draft.promotes, "triggers": list(draft.triggers), "lexicon": lexicon}
    return style.preset.say(said)


def revise_ask(style: Style, evidence: Evidence, draft: Draft, wrong: Counterexamples, sample: int = 0) -> Ask:
    """The question; answered in the preset's form. `sample` tells the rounds apart."""
    preset, answer = style.preset, said_again(style, draft)
    marks = marks_for(style, evidence, [*wrong.tokens(), answer])
    largest = max([evidence.maximum, *(abs(value) for one in wrong.misses for value in one.activations)])
    asked = _template().fill(
        "prompt",
        {
            "evidence": shown_evidence(style, evidence, marks),
            "answer": answer,
            "misses": preset.show(wrong.misses, marks, largest),
            "false_alarms": "\n".join(f"- {marks.text(''.join(one.tokens))}" for one in wrong.false_alarms) or NONE,
            **marks_values(marks),
        },
    )
    return in_form(style, evidence, marks, asked, sample)
