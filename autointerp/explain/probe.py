"""A second question about a feature: the explainer's own answer, and what the feature did on texts written from it.

The texts are the explainer's, so no held-out window is spent on them. `pipeline/asking/probes.py` has them written and
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from autointerp.explain.evidence import Draft, Evidence, Exemplar
from autointerp.explain.exemplar_text import NONE
from autointerp.explain.prompt import MARKED, Style, in_form, marks_for, marks_values, shown_evidence
from autointerp.explain.revise import said_again
from autointerp.explain.template import PromptSection, Template, read_template
from autointerp.hashing import content_hash
from autointerp.llm.asks import Ask

_GROUPS = ("hits", "misses", "alarms", "silent")
_SECTIONS = {"prompt": PromptSection(frozenset({"evidence", "answer", *_GROUPS}), MARKED)}


@dataclass(frozen=True)
class ProbeText:
    """A text that was written from an explanation, as the subject read it."""

    intended: bool
    """Whether it was written to make the feature fire."""
    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    """Of each token, in the dictionary's own scale; 0 where silent."""

    @property
    def maximum(self) -> float:
        """The largest activation; 0 without tokens."""
        return max(self.activations, default=0.0)

    @property
    def exemplar(self) -> Exemplar:
        """As windows are shown."""
        return Exemplar("probe", self.tokens, self.activations, self.activations.index(self.maximum))


@cache
def _template() -> Template:
    return read_template("explain/probe.md", _SECTIONS)


def probe_version(style: Style) -> str:
    """Hash of the words that the second answer is asked for in."""
    return content_hash([style.version, _template().version], tag="style")


def probe_ask(style: Style, evidence: Evidence, draft: Draft, texts: Sequence[ProbeText], sample: int = 0) -> Ask:
    """The question; answered in the preset's form. `sample` tells the rounds apart."""
    preset, answer = style.preset, said_again(style, draft)
    read = [text for text in texts if text.tokens]
    marks = marks_for(style, evidence, [*(token for text in read for token in text.tokens), answer])
    largest = max([evidence.maximum, *(text.maximum for text in read)])

    def fired(intended: bool) -> str:
        return preset.show([of.exemplar for of in read if of.intended == intended and of.maximum > 0], marks, largest)

    def silent(intended: bool) -> Iterable[str]:
        return (f"- {marks.text(''.join(of.tokens))}" for of in read if of.intended == intended and not of.maximum > 0)

    asked = _template().fill(
        "prompt",
        {
            "evidence": shown_evidence(style, evidence, marks),
            "answer": answer,
            "hits": fired(True),
            "misses": "\n".join(silent(True)) or NONE,
            "alarms": fired(False),
            "silent": "\n".join(silent(False)) or NONE,
            **marks_values(marks),
        },
    )
    return in_form(style, evidence, marks, asked, sample)
