"""A prompt that does not fit into the model's context is shortened: the fewest exemplars are left out, and it says so.

1. Exemplars go one after the other, the longest first, so that as few as can be are lost; the strongest one goes last.
2. The smallest number is searched of which the prompt and its longest reply fit (`llm/lengths.py`: an upper bound on
   tokens, for a tokenizer that nobody knows).
3. Where not even a prompt without exemplars fits, there is none: the feature fails with both figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from autointerp.explain.evidence import Evidence, Exemplar
from autointerp.explain.prompt import SHOWS, Style
from autointerp.llm.asks import Ask
from autointerp.llm.lengths import room_for


def fitted(
    style: Style, evidence: Evidence, ask_of: Callable[[Evidence], Ask], context: int | None, max_tokens: int | None
) -> tuple[Ask, int]:
    """The question about a feature, and how many exemplars it leaves out. `ask_of` renders it from evidence; `context`
    is that of the model in tokens, None where it is not known; `max_tokens` the run file's for a reply.

    Even the question that leaves all out may not fit: see `too_long`.
    """
    whole = ask_of(evidence)
    if context is None or room_for(whole, max_tokens) <= context:
        return whole, 0
    order = _first_to_go(style, evidence)
    if not order:
        return whole, 0

    def without(n: int) -> Ask:
        return ask_of(replace(evidence, left_out=tuple(order[:n])))

    few, many = 0, len(order)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if room_for(without(middle), max_tokens) <= context else (middle, many)
    return without(many), many


def too_long(ask: Ask, context: int | None, max_tokens: int | None) -> str:
    """Why a question cannot be asked, in a line with both figures; empty where it can."""
    if context is None or (needed := room_for(ask, max_tokens)) <= context:
        return ""
    even = "without an exemplar " if ask.about.get("left_out") else ""
    return f"{even}the prompt and its reply take up to {needed:,} tokens, and the context has {context:,}"


def _first_to_go(style: Style, evidence: Evidence) -> list[Exemplar]:
    if style.evidence not in SHOWS["exemplars"]:
        return []
    shown = [*style.preset.choose(evidence), *style.preset.silent(evidence)]
    strongest = max(shown, key=lambda one: max(map(abs, one.activations), default=0.0), default=None)
    rest = [one for one in shown if one is not strongest]
    longest_first = sorted(rest, key=lambda one: -sum(map(len, (*one.before, *one.tokens, *one.after))))
    return longest_first if strongest is None else [*longest_first, strongest]
