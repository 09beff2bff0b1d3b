"""A line-up as a person sees it, and what an answer came to. Before the answer, no page says what is real."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.pipeline.lineup import Lineup, LineupResult, ShownUnit
from autointerp.score.lineup import CONFIDENCE, N_REAL, LineupScore
from autointerp.show.layout import Column, sheet
from autointerp.show.text import safe


def lineup_page(lineup: Lineup) -> RenderableType:
    """The ten units, blind."""
    parts: list[RenderableType] = [
        safe(
            f"Line-up {lineup.number} of {lineup.dictionary}: which {N_REAL} are features that it has learned?", "bold"
        ),
        safe("Firing tokens stand between marks, with the strength: 9 is the strongest seen. The others were made up."),
    ]
    for unit in lineup.units:
        parts += [Text(), safe(f"Unit {unit.letter}", "bold"), *(safe(f"  {line}") for line in unit.excerpts)]
    return Group(*parts)


def result_page(result: LineupResult) -> RenderableType:
    """What was what, and the score."""
    units, named = result.lineup.units, set(result.named)
    columns = [
        Column("unit", [unit.letter for unit in units], key=True),
        Column("named", ["yes" if unit.letter in named else "" for unit in units]),
        Column("is", [_what(unit, result.lineup.dictionary) for unit in units]),
    ]
    parts: list[RenderableType] = [sheet(None, columns)]
    if result.score is not None:
        parts.append(safe(_sentence("this line-up", result.score)))
    if result.so_far is not None and result.so_far.n_lineups > 1:
        parts.append(safe(_sentence(f"{result.so_far.n_lineups} line-ups", result.so_far)))
    return Group(*parts)


def _what(unit: ShownUnit, dictionary: str) -> str:
    if unit.is_real:
        return f"{dictionary}/{unit.feature}"
    matched = f"as dense as {dictionary}/{unit.feature}"
    if unit.kind == "combination":
        return f"made up of {', '.join(map(str, unit.parents))}; {matched}"
    return f"made up: a random direction; {matched}"


def _sentence(of: str, score: LineupScore) -> str:
    most = score.n_lineups * N_REAL
    return (
        f"{of}: {score.n_right} of {most} right (chance {most / 2:g}), share {score.share:.2f} "
        f"[{score.low:.2f}, {score.high:.2f}] ({CONFIDENCE:.0%}, exact), p {score.p:.3g}"
    )


def results_page(dictionary: str, judge: str, results: Sequence[LineupResult]) -> RenderableType:
    """An LLM's answers."""
    columns = [
        Column("line-up", [str(result.lineup.number) for result in results], right=True, key=True),
        Column("named", ["".join(result.named) for result in results]),
        Column("real", [result.lineup.real for result in results]),
        Column("right", ["-" if r.score is None else f"{r.score.n_right} of {N_REAL}" for r in results]),
        Column("p", ["-" if result.score is None else f"{result.score.p:.3g}" for result in results], right=True),
        Column(
            "status",
            [result.status if not result.reason else f"{result.status}: {result.reason}" for result in results],
        ),
    ]
    parts: list[RenderableType] = [sheet(f"{dictionary}, asked of {judge}", columns)]
    total = next((result.so_far for result in reversed(results) if result.so_far is not None), None)
    if total is not None:
        parts.append(safe(_sentence(f"{total.n_lineups} line-ups of {dictionary} by {judge}", total)))
    return Group(*parts)
