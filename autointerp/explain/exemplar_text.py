"""Exemplars as text, in the form that each preset shows them in."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.explain.evidence import Exemplar, HeavyToken, TokenBefore
from autointerp.explain.marking import Marks, escape, mark, spelled

FEW_ACTIVE = 0.2
"""Bills et al.: below this share of non-zero activations, the non-zero ones are listed again."""
NONE = "(none)"
"""Where there is nothing of a kind to show."""


def level(activation: float, maximum: float, steps: int = 10) -> int:
    """An activation as it is shown (Bills et al.): min(steps, floor(10 relu(x) / maximum)); 0 without a maximum."""
    if maximum <= 0:
        return 0
    return min(steps, int(10 * max(activation, 0.0) / maximum))


def _levels(exemplar: Exemplar, maximum: float, steps: int = 10) -> list[int]:
    """Of the tokens that fire: at least 1, so that weak firing is seen."""
    return [max(1, level(abs(value), maximum, steps)) if value != 0 else 0 for value in exemplar.activations]


def marked(exemplars: Sequence[Exemplar], marks: Marks, maximum: float) -> str:
    lines = []
    for i, exemplar in enumerate(exemplars, start=1):
        fires = [value != 0 for value in exemplar.activations]
        lines.append(f"{i}. {mark(exemplar.tokens, fires, marks, _levels(exemplar, maximum), spell=True)}")
    return "\n".join(lines) or NONE


def token_lines(exemplars: Sequence[Exemplar], marks: Marks, maximum: float) -> str:
    """A token a line with its level; the non-zero ones again where few are."""
    parts = []
    for exemplar in exemplars:
        lines = [
            f"{marks.text(token)}\t{level(value, maximum)}"
            for token, value in zip(exemplar.tokens, exemplar.activations, strict=True)
        ]
        parts.append("\n".join(["<start>", *lines, "<end>"]))
    shown = [
        (marks.text(token), level(value, maximum))
        for exemplar in exemplars
        for token, value in zip(exemplar.tokens, exemplar.activations, strict=True)
    ]
    active = [f"{token}\t{value}" for token, value in shown if value > 0]
    if active and len(active) < FEW_ACTIVE * len(shown):
        parts.append("\n".join(["The same tokens with non-zero activations again:", *active]))
    return "\n".join(parts) or NONE


def nine_tokens(exemplars: Sequence[Exemplar], marks: Marks, maximum: float) -> str:
    lines = []
    for exemplar in exemplars:
        tokens = [*exemplar.before[-4:], *exemplar.tokens, *exemplar.after[:4]]
        values = [0.0] * len(exemplar.before[-4:]) + [*exemplar.activations] + [0.0] * len(exemplar.after[:4])
        peak = exemplar.peak + len(exemplar.before[-4:])
        cut = slice(max(0, peak - 4), peak + 5)
        kept = [max(1, level(abs(v), maximum, 9)) if v != 0 else 0 for v in values[cut]]
        text = mark(tokens[cut], [value != 0 for value in values[cut]], marks, kept)
        lines.append(f"{_whence(exemplar.stratum)}: {text}")
    return "\n".join(lines) or NONE


def _whence(stratum: str) -> str:
    """Where an example comes from, as it is shown."""
    kind, _, number = stratum.partition("_")
    if kind == "interval":
        return f"interval {int(number) + 1}"
    return {"top": "highest of all", "random": "random", "near": "usual token"}.get(kind, kind)


def delimited(exemplars: Sequence[Exemplar], marks: Marks, maximum: float) -> str:
    parts = []
    for i, exemplar in enumerate(exemplars, start=1):
        fires = [value != 0 for value in exemplar.activations]
        shown = zip(exemplar.tokens, _levels(exemplar, maximum), strict=True)
        active = ", ".join(f'("{escape(token, chr(34) + marks.escaped)}", {value})' for token, value in shown if value)
        parts.append(f"Example {i}: {mark(exemplar.tokens, fires, marks)}\nActivations: {active or NONE}")
    return "\n\n".join(parts) or NONE


def heavy_tokens(tokens: Sequence[HeavyToken], marks: Marks, maximum: float) -> str:
    """A line a token: its mean strength over all its occurrences, how many of them fire, its share of the activation if
    that is 1 %, and behind which tokens it does something else."""
    lines = []
    for heavy in tokens:
        share = "" if heavy.share < 0.01 else f", {heavy.share:.0%}".replace("%", " %")
        counts = f"{heavy.n_firing} of {heavy.n_seen}{share}"
        parts = [f"- {_named(heavy.text, marks)} {_tenths(heavy.expected, maximum)} ({counts})"]
        parts += [f"behind {_named(one.text, marks)} {_behind(one, maximum)}" for one in heavy.behind]
        if heavy.behind:
            parts.append(f"elsewhere {_behind(heavy.elsewhere, maximum)}")
        lines.append("; ".join(parts))
    return "\n".join(lines) or NONE


def _named(token: str, marks: Marks) -> str:
    return f'"{spelled(token, chr(34) + marks.escaped)}"'


def _tenths(activation: float, maximum: float) -> str:
    """A mean activation on the scale of strengths, not rounded to a whole one."""
    return f"{min(10.0, 10 * abs(activation) / maximum) if maximum > 0 else 0.0:.1f}"


def _behind(before: TokenBefore, maximum: float) -> str:
    return f"{_tenths(before.expected, maximum)} ({before.n_firing} of {before.n_seen})"


def with_strength(tokens: Sequence[str], z: Sequence[float], marks: Marks) -> str:
    """Tokens in double quotes, each with its z where these are known."""
    quoted = [_named(token, marks) for token in tokens]
    if len(z) >= len(quoted):
        quoted = [f"{token} {abs(value):.1f}" for token, value in zip(quoted, z, strict=False)]
    return ", ".join(quoted) or NONE


def listed(tokens: Sequence[str], marks: Marks) -> str:
    """Tokens in double quotes, which none of them can end."""
    return ", ".join(f'"{escape(token, chr(34) + marks.escaped)}"' for token in tokens) or NONE
