"""Made-up features with their answers, shown before the real one; `prompts/explain/demonstrations.json` holds them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from autointerp.explain.evidence import Evidence, Exemplar, HeavyToken, TokenBefore
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
        lexicon = _lexicon(entry["triggers"], entry.get("after", {}), heavy, largest)
        made.append(Demonstration(evidence, answer | {"lexicon": lexicon}))
    return tuple(made)


def _heaviest(exemplars: Sequence[Exemplar]) -> tuple[HeavyToken, ...]:
    """What carries the activation of the exemplars, and behind which tokens, where one is silent elsewhere."""
    values: dict[str, list[tuple[str, float]]] = {}
    for exemplar in exemplars:
        for previous, token, value in zip(("", *exemplar.tokens), exemplar.tokens, exemplar.activations, strict=False):
            values.setdefault(token, []).append((previous, value))
    mass = {token: sum(value for _, value in seen) for token, seen in values.items()}
    total = sum(mass.values())
    return tuple(
        _heavy(token, values[token], total) for token in sorted(mass, key=lambda token: -mass[token]) if mass[token]
    )


def _heavy(token: str, seen: Sequence[tuple[str, float]], total: float) -> HeavyToken:
    fired = [value for _, value in seen if value]
    in_front = dict.fromkeys(previous for previous, value in seen if value and previous)
    behind = []
    for front in in_front if len(fired) < len(seen) else ():
        mine = [value for previous, value in seen if previous == front]
        behind.append(TokenBefore(front, sum(map(bool, mine)), len(mine), sum(mine) / len(mine)))
    return HeavyToken(token, sum(fired) / total, len(fired), len(seen), sum(fired) / len(fired), tuple(behind))


def _lexicon(
    triggers: Sequence[str], after: Mapping[str, str], heavy: Sequence[HeavyToken], largest: float
) -> list[dict[str, Any]]:
    """The triggers with the strength that the evidence shows of each; of those it does not show, a middling one."""
    shown = {token.text: token.mean if token.text in after else token.expected for token in heavy}
    usual = sorted(shown.values())[len(shown) // 2]
    return [
        {
            "token": token,
            "after": after.get(token, ""),
            "strength": max(1, round(10 * shown.get(token, usual) / largest)),
        }
        for token in triggers
    ]


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
