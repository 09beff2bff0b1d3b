"""Judges that need no language model: one that follows a label to the letter, and some that read nothing.

The first applies the label's rule to what a question shows, and to nothing else. Where texts are asked for, it hands
over some of the corpus by the same rule. An item fits the label where the rule
fires on a token of its line; where tokens of it are marked, by the share of these that it fires on. Where it is asked
what a feature does to tokens, by the share of the line's tokens that the label says are promoted, suppressed, raised or
lowered.

What the others answer depends on how much is shown and where, never on what it says:

    none    nothing fits
    all     everything fits
    coin    by a hash
    first   the earlier ones fit
    long    the lines of more than the middle number of characters fit

A metric whose score these move away from chance rewards something else than reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from autointerp.explain.lookup import match
from autointerp.hashing import content_hash, hash01, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Bool, Float32, Float64
from autointerp.score.scorers.logit_effects import Truth
from autointerp.score.selftest.planted import Rule, RuleLabel
from autointerp.score.selftest.replies import CannotAnswer, answer_by, wants_texts
from autointerp.score.selftest.shown_lines import LineReader, ShownLine, question_of

BLIND_RULES = ("none", "all", "coin", "first", "long")
_KEY = re.compile(r"rule-\d+-[a-z]+")


class SelftestJudge(Protocol):
    """Answers a question."""

    def answer(self, ask: Ask) -> Answer:
        """Raises CannotAnswer."""
        ...


class RuleJudge:
    """Follows the label that a question shows. `truth`: what is asked about tokens; None: where the feature fires."""

    def __init__(
        self,
        reader: LineReader,
        labels: Iterable[RuleLabel],
        *,
        truth: Truth | None = None,
        stock: Mapping[str, ShownLine] | None = None,
    ) -> None:
        self.reader, self.truth, self.stock = reader, truth, stock or {}
        self._labels = {label.key: label for label in labels}

    def answer(self, ask: Ask) -> Answer:
        """By the label's rule."""
        if wants_texts(ask):
            strengths = self._strengths(self._named(ask), self.stock)
            return answer_by(ask, self.stock, {text: float(of.max(initial=0)) for text, of in strengths.items()}, {})
        lines = self.reader.lines(ask.prompt)
        strengths = self._strengths(self._named(ask), lines)
        fit = _fit if self.truth is None else _share
        return answer_by(ask, lines, {name: fit(line, strengths[name]) for name, line in lines.items()}, strengths)

    def _named(self, ask: Ask) -> RuleLabel:
        keys = {*_KEY.findall(ask.system), *_KEY.findall(ask.prompt)} & set(self._labels)
        if len(keys) != 1:
            raise CannotAnswer("its questions show no label" if not keys else f"its questions show {len(keys)} labels")
        return self._labels[keys.pop()]

    def _strengths(self, label: RuleLabel, lines: Mapping[str, ShownLine]) -> dict[str, Float32]:
        if self.truth is not None and lines:
            tokens = [line.tokens for line in lines.values()]
            named = np.isin(np.concatenate(tokens), label.names[self.truth]).astype(np.float32)
            return dict(zip(lines, np.split(named, np.cumsum([len(own) for own in tokens])[:-1]), strict=True))
        return dict(zip(lines, rule_on_lines(label.rule, list(lines.values())), strict=True))


class OddJudge:
    """Of the lines of a question it finds the one on which a label fires least like on the others."""

    def __init__(self, reader: LineReader, label: RuleLabel) -> None:
        self.reader, self.label = reader, label

    def answer(self, ask: Ask) -> Answer:
        """By how far each line is from the middle one of its question."""
        lines = self.reader.lines(ask.prompt)
        strengths = dict(zip(lines, rule_on_lines(self.label.rule, list(lines.values())), strict=True))
        fit = {name: _fit(line, strengths[name]) for name, line in lines.items()}
        questions: dict[str, list[float]] = {}
        for name, share in fit.items():
            questions.setdefault(question_of(name), []).append(share)
        odd = {name: abs(share - float(np.median(questions[question_of(name)]))) for name, share in fit.items()}
        return answer_by(ask, lines, odd, strengths)


def _fit(line: ShownLine, strength: Float32) -> float:
    fires: Bool = strength > 0
    return float(fires[line.marked].mean()) if line.marked.any() else float(fires.any())


def _share(_line: ShownLine, strength: Float32) -> float:
    return float(strength.mean()) if len(strength) else 0.0


def rule_on_lines(rule: Rule, lines: Sequence[ShownLine]) -> list[Float32]:
    """How strongly a rule fires on each token of some lines, as a share of the most it ever does; 0: it is silent."""
    if not lines:
        return []
    tokens, previous = (np.concatenate([getattr(line, name) for line in lines]) for name in ("tokens", "previous"))
    strength = np.append(rule.entries.value / rule.entries.value.max(initial=1e-30), np.float32(0))
    at = strength[match(rule.entries, tokens, previous)]
    if rule.context is not None:
        at = at * np.concatenate([line.states[rule.context] for line in lines])
    return np.split(at.astype(np.float32), np.cumsum([len(line.tokens) for line in lines])[:-1])


class BlindJudge:
    """Answers by one of BLIND_RULES."""

    def __init__(self, reader: LineReader, rule: str, stock: Mapping[str, ShownLine] | None = None) -> None:
        self.reader, self.rule, self.stock = reader, rule, stock or {}

    def answer(self, ask: Ask) -> Answer:
        """Without reading."""
        lines = self.stock if wants_texts(ask) else self.reader.lines(ask.prompt)
        key = stream_key(0, "blind", content_hash([ask.system, ask.prompt]))
        shares = dict(zip(lines, self._of_lines(list(lines.values()), key).tolist(), strict=True))
        of_tokens = {
            name: self._of_tokens(row, len(line.tokens), shares[name], key)
            for row, (name, line) in enumerate(lines.items())
        }
        return answer_by(ask, lines, shares, of_tokens)

    def _of_lines(self, lines: Sequence[ShownLine], key: int) -> Float64:
        n, length = len(lines), np.array([line.n_characters for line in lines])
        if self.rule == "coin":
            return hash01(key, np.arange(n))
        if self.rule == "first":
            return np.asarray(1.0 - np.arange(n) / max(n, 1), dtype=np.float64)
        if self.rule == "long":
            return np.asarray(length > np.median(length) if n else length, dtype=np.float64)
        return np.full(n, float(self.rule == "all"))

    def _of_tokens(self, row: int, n: int, share: float, key: int) -> Float32:
        """`coin` and `first` go by the token, the others by its line; below a half it is silent."""
        shares = np.full(n, share)
        if self.rule == "coin":
            shares = hash01(key, row, np.arange(n))
        elif self.rule == "first":
            shares = 1.0 - np.arange(n) / max(n, 1)
        return np.where(shares >= 0.5, shares, 0.0).astype(np.float32)
