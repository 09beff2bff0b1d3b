"""`autointerp lineup`: made once, stored as it is shown, answered by a person or an LLM, scored.

1. Line-up number n of a dictionary is decided by the seed, the dictionary and n. Its ten units come from a sample of
   activations (`extract/made_up.py`): the subject runs. Everybody who answers sees the same stored text.
2. An answer is scored at once (`score/lineup.py`) and stored; an LLM's by way of the same client, reply log, batches
   and files as a run's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autointerp.config.engine import BudgetSection
from autointerp.config.judging import Judge
from autointerp.config.run_file import RunConfig
from autointerp.errors import OverBudget, StoreError, UserError, Waiting
from autointerp.explain.marking import MARKS, Marks, choose_marks, mark
from autointerp.extract.made_up import LineupUnit, lineup_units, strengths
from autointerp.hashing import content_hash, hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.asker import AskerThatSettles, OpenClient
from autointerp.pipeline.asking.client import RunClient
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.pipeline.reopened import Reopened, norm_limits, reopen, stored_config, stored_facts
from autointerp.pipeline.stages.context import columns_of, now
from autointerp.progress import Reporter
from autointerp.records import Int64
from autointerp.score.lineup import LETTERS, N_REAL, LineupScore, lineup_ask, score_lineups
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.reader import open_reader
from autointerp.store.writer import StoreWriter
from autointerp.subject.baselines import sample_contexts, take_sample
from autointerp.words import PERSON

VERSION = 1
"""Raised when this code would make other line-ups."""
SAMPLE_TOKENS = 1 << 17
LEAST_FIRINGS = 50
"""A feature of a line-up fires so often on the sample, about, or more."""


@dataclass(frozen=True)
class ShownUnit:
    """A unit as it is shown, and what it is."""

    letter: str
    kind: str
    feature: int
    parents: tuple[int, ...]
    excerpts: tuple[str, ...]

    @property
    def is_real(self) -> bool:
        return self.kind == "real"


@dataclass(frozen=True)
class Lineup:
    """Ten units in the order of their letters."""

    id: str
    dictionary: str
    number: int
    units: tuple[ShownUnit, ...]

    @property
    def real(self) -> str:
        """The letters of the learned features."""
        return "".join(unit.letter for unit in self.units if unit.is_real)

    def n_right(self, named: Sequence[str]) -> int:
        """How many of the letters named are of learned features."""
        return len(set(named) & set(self.real))


@dataclass(frozen=True)
class LineupResult:
    """What an answer came to, and all answers of that judge about that dictionary so far."""

    lineup: Lineup
    named: tuple[str, ...]
    status: str
    reason: str
    score: LineupScore | None
    so_far: LineupScore | None


# --- making


def open_lineups(path: Path, dictionary: str, numbers: Sequence[int], report: Reporter) -> list[Lineup]:
    """The line-ups of these numbers: from the store, or made now, all that are missing from one sample.

    Raises UserError where the store has no such dictionary, or too few of its features fire often enough.
    """
    with open_reader(path) as store:
        dictionary_row(store, dictionary)
        missing = [number for number in numbers if read_lineup(store, dictionary, number) is None]
    if missing:
        _make(path, dictionary, missing, report)
    with open_reader(path) as store:
        return [lineup for number in numbers if (lineup := read_lineup(store, dictionary, number)) is not None]


def next_number(path: Path, dictionary: str, judge: str) -> int:
    """The first line-up that this judge has not answered."""
    with open_reader(path) as store:
        dictionary_row(store, dictionary)
        answered = {row["number"] for row in store.rows(_ANSWERED, dictionary=dictionary, judge=judge)}
    return next(number for number in range(len(answered) + 1) if number not in answered)


def read_lineup(store: Queryable, dictionary: str, number: int) -> Lineup | None:
    """A stored line-up; None where it was not made yet."""
    rows = store.rows(_LINEUP, dictionary=dictionary, number=number)
    if not rows:
        return None
    units = tuple(
        ShownUnit(row["letter"], row["kind"], row["feature"], tuple(row["parents"]), tuple(row["excerpts"]))
        for row in rows
    )
    return Lineup(rows[0]["lineup"], dictionary, number, units)


def _make(path: Path, dictionary: str, numbers: Sequence[int], report: Reporter) -> None:
    opened = reopen(path, [dictionary], report)
    prepared, tokens, chosen = opened.prepared, opened.tokens, opened.dictionaries[dictionary].dictionary
    seed, hook = prepared.config.seed, chosen.hook
    contexts = sample_contexts(tokens, seed, SAMPLE_TOKENS)
    n_tokens = int(tokens.scored(contexts).sum())
    with open_reader(path) as store:
        own_seeds = {number: stream_key(seed, "line-up", dictionary, number) >> 1 for number in numbers}
        features = {number: _choose(store, dictionary, own, n_tokens) for number, own in own_seeds.items()}
        limit = norm_limits(prepared, tokens, store, [hook]).get(hook)
    with report.stage("line-up: a sample of activations", n_tokens, "tokens") as advance:
        sample = take_sample(prepared.subject, tokens, [hook], seed, prepared.work_folder, SAMPLE_TOKENS, advance)
    rows: list[dict[str, Any]] = []
    for number, own in own_seeds.items():
        units = lineup_units(chosen, *features[number], sample.by_hook[hook], contexts, tokens, own, limit)
        order = np.argsort(hash64(stream_key(own, "letters"), np.arange(len(units))), kind="stable")
        identity = content_hash([VERSION, dictionary, prepared.work("extract", dictionary).key, number], tag="lineup")
        rows += _rows(opened, dictionary, number, identity, [units[i] for i in order.tolist()], n_tokens)
    with StoreWriter.open(path) as writer:
        known = {number for number in numbers if read_lineup(writer, dictionary, number) is not None}
        new = [row for row in rows if row["number"] not in known]  # another process may have been faster
        if new:
            writer.append("lineups", columns_of(new))


def _rows(
    opened: Reopened, dictionary: str, number: int, identity: str, units: Sequence[LineupUnit], n_tokens: int
) -> list[dict[str, Any]]:
    """A row a unit, in the order in which they are shown."""
    texts, marks = _texts(opened, units)
    return [
        {
            "lineup": identity,
            "dictionary": dictionary,
            "number": number,
            "letter": letter,
            "kind": unit.kind,
            "feature": unit.feature,
            "parents": list(unit.parents),
            "n_firing": unit.n_firing,
            "max_activation": unit.maximum,
            "n_tokens": n_tokens,
            "excerpts": _excerpt_lines(unit, texts, marks),
        }
        for letter, unit in zip(LETTERS, units, strict=True)
    ]


def _choose(store: Queryable, dictionary: str, seed: int, n_tokens: int) -> tuple[Int64, Int64]:
    """The five features, and those that combinations may be made of."""
    rows = store.rows(_FEATURES, dictionary=dictionary)
    often = np.array([row["feature"] for row in rows if row["density"] * n_tokens >= LEAST_FIRINGS], dtype=np.int64)
    if len(often) < N_REAL:
        raise StoreError(
            f'only {len(often)} features of "{dictionary}" fire on {LEAST_FIRINGS} or more of {n_tokens:,} tokens; a '
            f"line-up needs {N_REAL}"
        )
    order = often[np.argsort(hash64(stream_key(seed, "features"), often), kind="stable")]
    chosen, rest = order[:N_REAL], order[N_REAL:]
    return chosen, np.sort(rest)


def _texts(opened: Reopened, units: Sequence[LineupUnit]) -> tuple[list[str], Marks]:
    """The text of each token of the vocabulary, and marks that stand in none of those shown."""
    texts = opened.prepared.subject.vocabulary()
    shown = {token for unit in units for excerpt in unit.excerpts for token in excerpt.tokens}
    return texts, choose_marks((texts[token] for token in shown), MARKS)


def _excerpt_lines(unit: LineupUnit, texts: Sequence[str], marks: Marks) -> list[str]:
    lines = []
    for excerpt in unit.excerpts:
        values = strengths(excerpt.activation, unit.maximum)
        tokens = [texts[token] for token in excerpt.tokens]
        lines.append(mark(tokens, [value > 0 for value in values], marks, values, spell=True))
    return lines


# --- answering


def answer_lineup(path: Path, lineup: Lineup, named: str) -> LineupResult:
    """A person's answer: five letters. Raises UserError where it is none, or where this line-up was answered."""
    letters = sorted({letter for letter in named.upper() if not letter.isspace() and letter != ","})
    if len(letters) != N_REAL or not set(letters) <= set(LETTERS):
        raise UserError(f'"{named}": name {N_REAL} different units by their letters, {LETTERS[0]} to {LETTERS[-1]}')
    with StoreWriter.open(path) as store:
        if store.rows(_ANSWER, lineup=lineup.id, judge=PERSON):
            raise StoreError(f"line-up {lineup.number} of {lineup.dictionary} was answered already; answers are kept")
        return _keep(store, lineup, PERSON, letters, "ok", "", None)


def ask_lineups(
    path: Path,
    lineups: Sequence[Lineup],
    judge: Judge,
    max_usd: float | None,
    delivery: Delivery,
    report: Reporter,
    open_client: OpenClient | None = None,
) -> list[LineupResult]:
    """An LLM's answers to those that it has not answered yet; failures are kept as such, and asked again.

    Raises Waiting where replies are not there yet, OverBudget where the next request could pass `max_usd`.
    """
    with StoreWriter.open(path) as store:
        config = _client_config(store, path, lineups, judge, max_usd)
        delivery.check(config)
        left = [one for one in lineups if not store.rows(_GOOD_ANSWER, lineup=one.id, judge=judge.model)]
        client = open_client(store, config) if open_client is not None else RunClient(store, config, delivery)
        try:
            asks = [_ask(lineup, _times_asked(store, lineup, judge)) for lineup in left]
            if asks and delivery.sends:
                report.say(f"text of the corpus is sent to {judge.server} ({judge.model})")
                if not delivery.batch and isinstance(client, AskerThatSettles):
                    client.settle(judge, asks[:1])
            answers = list(client.answers(asks, judge))
        finally:
            client.close()
        by_id = {lineup.id: lineup for lineup in left}
        results = [_judged(store, by_id[answer.ask.about["lineup"]], judge, answer) for answer in answers]
    _refuse_unanswered(answers)
    return sorted((one for one in results if one is not None), key=lambda result: result.lineup.number)


def _client_config(
    store: Queryable, path: Path, lineups: Sequence[Lineup], judge: Judge, max_usd: float | None
) -> RunConfig:
    """The latest run file, with this judge and what may be spent."""
    config = stored_config(store, path, sorted({lineup.dictionary for lineup in lineups}))
    budget = stored_facts(store, path)["budget"] if max_usd is None else {"max_usd": max_usd}
    section = BudgetSection.model_validate(budget)
    return config.model_copy(update={"score": config.score.model_copy(update={"judge": judge}), "budget": section})


def stored_judge(path: Path) -> Judge | None:
    """The judge of the store's latest run."""
    with open_reader(path) as store:
        facts = stored_facts(store, path)
    given = facts["score"].get("judge")
    return None if given is None else Judge.model_validate(given)


def _ask(lineup: Lineup, sample: int) -> Ask:
    ask = lineup_ask(shown_text(lineup), _marks_of(lineup))
    return replace(ask, sample=sample, about={"lineup": lineup.id, "dictionary": lineup.dictionary})


def _times_asked(store: Queryable, lineup: Lineup, judge: Judge) -> int:
    """Earlier answers that were none: another draw is asked for then."""
    return len(store.rows(_ANSWER, lineup=lineup.id, judge=judge.model))


def shown_text(lineup: Lineup) -> str:
    """All ten units as an LLM reads them."""
    return "\n\n".join(
        "\n".join([f"Unit {unit.letter}", *(f"{i}. {line}" for i, line in enumerate(unit.excerpts, 1))])
        for unit in lineup.units
    )


def _marks_of(lineup: Lineup) -> dict[str, str]:
    """What stands around firing tokens in it: of the sets of marks the one that all of its excerpts hold."""
    lines = [line for unit in lineup.units for line in unit.excerpts]
    marks = next(one for one in MARKS if all(one.open in line and one.close in line for line in lines))
    return {"open": marks.open, "close": marks.close, "separator": marks.separator}


def _judged(store: StoreWriter, lineup: Lineup, judge: Judge, answer: Answer) -> LineupResult | None:
    if answer.status in ("waiting", "over_budget"):
        return None
    named = list(answer.data) if answer.status == "ok" else []
    return _keep(store, lineup, judge.model, named, answer.status, answer.reason, answer.request)


def _refuse_unanswered(answers: Sequence[Answer]) -> None:
    for answer in answers:
        if answer.status == "over_budget":
            raise OverBudget(answer.reason or "max_usd is reached")
    waiting = [answer.reason for answer in answers if answer.status == "waiting"]
    if waiting:
        raise Waiting(f"{len(waiting)} {'request' if len(waiting) == 1 else 'requests'} {waiting[0]}")


def _keep(
    store: StoreWriter,
    lineup: Lineup,
    judge: str,
    named: Sequence[str],
    status: str,
    reason: str,
    request: str | None,
) -> LineupResult:
    n_right = lineup.n_right(named) if status == "ok" else None
    score = None if n_right is None else score_lineups([n_right])
    row = {
        "lineup": lineup.id,
        "dictionary": lineup.dictionary,
        "judge": judge,
        "named": list(named),
        "n_right": n_right,
        "value": None if score is None else score.share,
        "ci_low": None if score is None else score.low,
        "ci_high": None if score is None else score.high,
        "p": None if score is None else score.p,
        "status": status,
        "reason": reason,
        "request": request,
        "answered_at": now(),
    }
    store.append("lineup_answers", columns_of([row]))
    right = [row["n_right"] for row in store.rows(_RIGHT, dictionary=lineup.dictionary, judge=judge)]
    return LineupResult(lineup, tuple(named), status, reason, score, score_lineups(right) if right else None)


_FEATURES = """
SELECT feature, density FROM features WHERE dictionary = $dictionary AND status = 'alive' ORDER BY feature
"""
_LINEUP = "SELECT * FROM lineups WHERE dictionary = $dictionary AND number = $number ORDER BY letter"
_ANSWERED = """
SELECT DISTINCT l.number FROM lineup_answers a JOIN lineups l USING (lineup)
WHERE l.dictionary = $dictionary AND a.judge = $judge AND a.status = 'ok'
"""
_ANSWER = "SELECT 1 FROM lineup_answers WHERE lineup = $lineup AND judge = $judge"
_GOOD_ANSWER = "SELECT 1 FROM lineup_answers WHERE lineup = $lineup AND judge = $judge AND status = 'ok' LIMIT 1"
_RIGHT = """
SELECT n_right FROM lineup_answers
WHERE dictionary = $dictionary AND judge = $judge AND status = 'ok' ORDER BY answered_at
"""
