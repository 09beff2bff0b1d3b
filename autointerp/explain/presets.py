"""Explainer presets: which exemplars an LLM sees of a feature, in which form, and how its reply is read.

    default   ours                  10 top, 10 across quantiles, no phrase twice; 5 near misses; the heaviest tokens;
                                    the answer is a sentence and a lexicon of tokens with strengths
    sentence  ours                  the same evidence; the answer is a longer sentence
    lexicon   ours                  the same evidence; the answer is a longer lexicon
    bills     Bills et al. 2023     5 top, a token a line with its activation from 0 to 10, the non-zero ones
                                    again where fewer than 20 % are
    bricken   Bricken et al. 2023   49 of nine tokens: 10 top, 2 of each of 12 intervals, 5 random, 10 of top tokens
                                    in other contexts, each with where it is from; 0 to 9; logits; 8 demonstrations
    delphi    Paulo et al. 2024     40 of 32 tokens, 4 of each of 10 quantiles, active tokens delimited and listed

The words of the prompts are those of `prompts/explain/`, our own; the constants are the published ones. Known
discrepancies: windows are the store's (32 tokens by default, Bills shows 64); the examples of bricken's top interval
are the store's top ones, and its "top tokens in other contexts" the near misses, which were measured to be silent;
a token beside a window is shown without a mark, whatever its activation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.errors import UserError, nearest
from autointerp.explain.drafts import (
    BOTH_SCHEMA,
    DRAFT_SCHEMA,
    LEXICON_SCHEMA,
    read_both,
    read_draft,
    read_last_line,
    read_lexicon,
    read_text,
)
from autointerp.explain.evidence import Draft, Evidence, Exemplar
from autointerp.explain.exemplar_text import delimited, marked, nine_tokens, token_lines
from autointerp.explain.marking import ANGLES, MARKS, TABS, Marks

PHRASE = 6
"""Tokens up to and with the peak: where they are the same, two exemplars show the same."""


@dataclass(frozen=True)
class Preset:
    """The constants of one way to ask."""

    name: str
    choose: Callable[[Evidence], list[Exemplar]]
    show: Callable[[Sequence[Exemplar], Marks, float], str]
    marks: tuple[Marks, ...]
    demonstrated: str
    """Stratum that its demonstrations are in; `interval`: each in its own."""
    n_demonstrations: int
    n_effects: int
    reply: Callable[[Any], Draft]
    say: Callable[[Mapping[str, Any]], str]
    """A demonstration's answer, as it is to be given."""
    schema: dict[str, Any] | None = None
    silent: Callable[[Evidence], list[Exemplar]] = lambda _: []
    max_tokens: int = 400
    rich: bool = False
    """Whether it shows the heaviest tokens, where in a context it fires, and how strong the logit effects are."""
    sections: str = ""
    """The preset whose sections for evidence it uses; empty: its own."""


# --- which exemplars --------------------------------------------------------------------------------


def _different(exemplars: Iterable[Exemplar], n: int | None = None) -> list[Exemplar]:
    """The first n, no window twice."""
    seen: dict[tuple[tuple[str, ...], tuple[str, ...]], Exemplar] = {}
    for exemplar in exemplars:
        seen.setdefault((exemplar.before, exemplar.tokens), exemplar)
    return list(seen.values())[:n]


def _first_of_each(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    """One exemplar of each stratum, then the second of each, and so on."""
    strata: dict[str, list[Exemplar]] = {}
    for exemplar in exemplars:
        strata.setdefault(exemplar.stratum, []).append(exemplar)
    longest = max(map(len, strata.values()), default=0)
    return [of[i] for i in range(longest) for of in strata.values() if i < len(of)]


def _by_strength(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    return sorted(exemplars, key=lambda one: -max(map(abs, one.activations)))


def _default(evidence: Evidence) -> list[Exemplar]:
    firing = [one for one in evidence.of("quantile") if one.fires]
    top = _unlike(evidence.of("top"), 10)
    return _by_strength(_unlike([*top, *_first_of_each(firing)], len(top) + 10))


def _unlike(exemplars: Iterable[Exemplar], n: int) -> list[Exemplar]:
    """The first n that show something else than those before: no phrase twice, no place of a document twice."""
    kept: list[Exemplar] = []
    phrases = set()
    for exemplar in _different(exemplars):
        phrase = exemplar.tokens[max(0, exemplar.peak - PHRASE + 1) : exemplar.peak + 1]
        if phrase not in phrases and not any(_overlap(exemplar, other) for other in kept):
            phrases.add(phrase)
            kept.append(exemplar)
    return kept[:n]


def _overlap(exemplar: Exemplar, other: Exemplar) -> bool:
    same = exemplar.document == other.document >= 0
    return same and abs(exemplar.offset - other.offset) < min(len(exemplar.tokens), len(other.tokens))


def _near_misses(evidence: Evidence) -> list[Exemplar]:
    """In the store's order: one of each usual token, the heaviest first, before any has a second."""
    return _different([one for one in evidence.of("near_miss") if not one.fires], 5)


def _bills(evidence: Evidence) -> list[Exemplar]:
    return _different(evidence.of("top"), 5)


def _bricken(evidence: Evidence) -> list[Exemplar]:
    chosen = [*evidence.of("top")[:10]]
    for number in range(12):
        chosen += evidence.of(f"interval_{number:02d}")[:2]
    return [*chosen, *evidence.of("random")[:5], *evidence.of("near_miss")[:10]]


def _delphi(evidence: Evidence) -> list[Exemplar]:
    return _first_of_each(one for one in evidence.of("quantile") if one.fires)[:40]


# --- the presets ------------------------------------------------------------------------------------


def _say_json(*names: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda answer: json.dumps({name: answer[name] for name in names}, ensure_ascii=False)


def _say_text(answer: Mapping[str, Any]) -> str:
    return str(answer["fires"])


def _say_marked(answer: Mapping[str, Any]) -> str:
    return f"[EXPLANATION]: {answer['fires']}"


def _ours(name: str, reply: Callable[[Any], Draft], says: tuple[str, ...], schema: dict[str, Any]) -> Preset:
    """One of our own label forms: the same evidence, another answer."""
    return Preset(
        name,
        _default,
        marked,
        MARKS,
        "top",
        3,
        10,
        reply,
        _say_json(*says),
        schema=schema,
        silent=_near_misses,
        max_tokens=1000,
        rich=True,
        sections="default",
    )


PRESETS = {
    preset.name: preset
    for preset in (
        _ours("default", read_both, ("fires", "lexicon", "promotes"), BOTH_SCHEMA),
        _ours("sentence", read_draft, ("fires", "promotes", "triggers"), DRAFT_SCHEMA),
        _ours("lexicon", read_lexicon, ("lexicon", "promotes"), LEXICON_SCHEMA),
        Preset("bills", _bills, token_lines, (TABS,), "top", 3, 10, read_text, _say_text, max_tokens=200),
        Preset("bricken", _bricken, nine_tokens, MARKS, "interval", 8, 10, read_text, _say_text, max_tokens=300),
        Preset("delphi", _delphi, delimited, (ANGLES, *MARKS), "quantile_00", 3, 10, read_last_line, _say_marked),
    )
}


def preset_named(name: str) -> Preset:
    """Raises UserError with the nearest name."""
    if name not in PRESETS:
        raise UserError(f'there is no preset "{name}"' + nearest(name, PRESETS) + f"; there is {', '.join(PRESETS)}")
    return PRESETS[name]
