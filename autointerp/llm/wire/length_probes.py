"""Texts of known length, and what a server's counts of them say: does it read a long prompt whole?

A probing text is one paragraph, `n` times. A server that reads all of it counts the first and then the same again for
each further one, whatever its tokenizer, its chat template or its way of estimating is. One that cuts counts less, or
the same for every long text.
"""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.llm.lengths import most_tokens, pieces

PARAGRAPH = """
Number {number}. It had rained all day, and the river ran high under the old bridge. |1|def|2| area|3|(|4|width|5|):
"We arrive on Tuesday," she wrote on 14 May 1912, "and stay for a week or two if the roads are good again."
"""
FEW = 4
"""Paragraphs of the second text; the first has one."""
TOLERANCE, TOLERATED = 0.05, 24
"""Share, and tokens, by which a whole text may be counted lower than the short ones say."""
NEAR_CAP = 0.98
"""A prompt that is counted so near to the most that a server has counted was cut, or has no room for its reply."""

_PIECES, _BYTES = pieces(PARAGRAPH), len(PARAGRAPH.encode())


def probing_text(n: int) -> str:
    """`n` paragraphs. It begins with their number, so that no cache knows its beginning."""
    body = "".join(PARAGRAPH.format(number=number) for number in range(1, n + 1))
    return f"{n} paragraphs follow.\n{body}\nWhich colour does the sky have on a clear day? Answer with one word."


def is_short(text: str) -> bool:
    """Whether a text is no longer than the probing texts that are tried first."""
    return len(text.encode()) <= FEW * _BYTES


def paragraphs_at_least(text: str) -> float:
    """Paragraphs that hold hardly more tokens than the text."""
    return min(pieces(text) / _PIECES, len(text.encode()) / _BYTES)


@dataclass(frozen=True)
class Counts:
    """What a server counts of short texts."""

    one: int
    """Tokens of a text of one paragraph, with all that the server puts around it."""
    few: int
    """Tokens of one of `FEW`."""

    @property
    def follow_length(self) -> bool:
        """Whether they are counts at all: some servers state the same number for everything."""
        return self.few > 1.5 * self.one or self.few - self.one > 60

    @property
    def no_counts(self) -> bool:
        """Whether they are the same for all texts, and too low or too high to be what is left of a cut one."""
        text = probing_text(1)
        return self.few <= self.one and not pieces(text) // 2 <= self.one <= len(text.encode())

    @property
    def a_paragraph(self) -> float:
        """Tokens of a further paragraph."""
        return (self.few - self.one) / (FEW - 1)

    def of(self, n: float) -> float:
        """Tokens of a text of `n` paragraphs that is read whole."""
        return self.one + (n - 1) * self.a_paragraph

    def paragraphs_at_most(self, text: str) -> float:
        """Paragraphs that hold at least as many tokens as the text: for tokenizers, and for who counts characters."""
        return max(most_tokens(text) / self.a_paragraph, len(text.encode()) / _BYTES)

    def whole(self, n: int, counted: int) -> bool:
        """Whether so many tokens are all of a text of `n` paragraphs."""
        return counted >= (1 - TOLERANCE) * self.of(n) - TOLERATED


@dataclass
class Reading:
    """How much of a prompt a server reads, as far as it has been seen."""

    counts: Counts | None = None
    states_no_counts: bool = False
    whole: float = 0.0
    """Paragraphs of the longest text that it read whole; infinite where it turns longer ones away and says so."""
    cut: tuple[int, int] | None = None
    """Paragraphs of the shortest text that it cut, and the tokens that it counted of it."""
    cap: int | None = None
    """The most that it counts of whatever text; None where what it cuts is counted otherwise each time."""

    def why_cut(self, text: str, counted: int) -> str | None:
        """Why a prompt must have been cut; empty where it was read whole; None where nothing is known of its length."""
        if self.counts is None:
            return "" if self.states_no_counts else None
        if self.counts.paragraphs_at_most(text) <= self.whole:
            return ""
        if self.cut is None:
            return None
        about = round(self.counts.of(paragraphs_at_least(text)))
        if self.cap is not None:
            return self._cut_line(counted, max(about, counted)) if counted >= NEAR_CAP * self.cap else ""
        return self._cut_line(counted, about) if paragraphs_at_least(text) >= self.cut[0] else None

    def _cut_line(self, counted: int, about: int) -> str:
        assert self.counts is not None
        assert self.cut is not None
        n, seen = self.cut
        most = "" if self.cap is None else f"; state context_tokens = {self.cap} of the model in the run file, or"
        return (
            f"the server read {counted:,} tokens of a prompt that has about {about:,}: it cut the prompt (of "
            f"one of {round(self.counts.of(n)):,} it read {seen:,}){most or ';'} start it with a longer context"
        )
