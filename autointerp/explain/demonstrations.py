"""Made-up features with their answers, shown before the real one; `prompts/explain/demonstrations.json` holds them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from autointerp.explain.evidence import Evidence, Exemplar, HeavyToken
from autointerp.explain.marking import Marks, unescape, unmark
from autointerp.resources import prompt_text


@dataclass(frozen=True)
class Demonstration:
    """Evidence and answer of a made-up feature, shown before the real one."""

    evidence: Evidence
    answer: Mapping[str, Any]

    def tokens_shown(self) -> list[str]:
        shown = [token for one in self.evidence.exemplars for token in one.tokens]
        effects = self.evidence
        return [*shown, *effects.promoted, *effects.suppressed, *effects.risen, *effects.fallen]


_WORD = re.compile(r" ?\w+| ?[^\w\s]|\s+")
_WRITTEN = Marks("«", "»", "·")
"""Marks in the data file."""


@cache
def demonstrations(stratum: str) -> tuple[Demonstration, ...]:
    """All of them, with their exemplars in one stratum (`interval`: each in its own)."""
    made: list[Demonstration] = []
    for entry in json.loads(prompt_text("explain/demonstrations.json")):
        firing = [_written(text)[:2] for text in entry["exemplars"]]
        largest = max(max(values) for _, values in firing)
        exemplars = []
        for tokens, values in firing:
            best = max(values)
            own = f"interval_{min(11, int(12 * best / largest)):02d}" if stratum == "interval" else stratum
            exemplars.append(Exemplar(own, tokens, values, values.index(best)))
        for text in entry["silent"]:
            tokens, values, marked = _written(text)
            exemplars.append(Exemplar("near_miss", tokens, values, marked[0]))
        promoted, suppressed = (tuple(map(unescape, entry[name])) for name in ("promoted", "suppressed"))
        heavy = _heaviest(exemplars)
        evidence = Evidence(
            "demonstration", len(made), largest, 0.0, tuple(exemplars), promoted, suppressed,
            risen=promoted, fallen=suppressed, tokens=heavy,
        )  # fmt: skip
        answer = {name: entry[name] for name in ("fires", "promotes", "triggers")}
        made.append(Demonstration(evidence, answer | {"lexicon": _lexicon(entry["triggers"], heavy, largest)}))
    return tuple(made)


def _heaviest(exemplars: Sequence[Exemplar]) -> tuple[HeavyToken, ...]:
    """What carries the activation of the exemplars."""
    mass: dict[str, float] = {}
    n_firing, n_seen = Counter[str](), Counter[str]()
    for exemplar in exemplars:
        for token, value in zip(exemplar.tokens, exemplar.activations, strict=True):
            n_seen[token] += 1
            if value:
                n_firing[token] += 1
                mass[token] = mass.get(token, 0.0) + value
    total = sum(mass.values())
    return tuple(
        HeavyToken(token, held / total, n_firing[token], n_seen[token], held / n_firing[token])
        for token, held in sorted(mass.items(), key=lambda item: -item[1])
    )


def _lexicon(triggers: Sequence[str], heavy: Sequence[HeavyToken], largest: float) -> list[dict[str, Any]]:
    """The triggers with the strength that the evidence shows of each; of those it does not show, a middling one."""
    shown = {token.text: token.mean * token.n_firing / token.n_seen for token in heavy}
    usual = sorted(shown.values())[len(shown) // 2]
    strengths = [max(1, round(10 * shown.get(token, usual) / largest)) for token in triggers]
    return [{"token": token, "strength": strength} for token, strength in zip(triggers, strengths, strict=True)]


def _written(text: str) -> tuple[tuple[str, ...], tuple[float, ...], list[int]]:
    """`the bill was« vetoed·9»` as tokens and activations, and which tokens stand between marks."""
    tokens: list[str] = []
    values: list[float] = []
    marked: list[int] = []
    for piece in unmark(text, _WRITTEN):
        marked += [len(tokens)] * piece.marked
        parts = [piece.text] if piece.marked else _WORD.findall(piece.text)
        tokens += parts
        values += [float(piece.value or 0)] * len(parts)
    return tuple(tokens), tuple(values), marked
