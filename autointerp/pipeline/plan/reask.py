"""Features that are asked about again: `run --features`, `run --where`.

1. A request names features in the store's terms. It gets a number, and for each explainer and dictionary the features
   that it means at that moment; it is entered in table `again` in the transaction that makes its work a run's work.
2. LLM and Python explainers explain these features again, an LLM under sample numbers of the request's own, so that the
   reply log is not replayed. The new rows stand beside the old ones, and the latest count (view current_explanations).
   Then these features are judged again; what was judged of all others is carried over as it is. Means follow.
3. The request is finished when the run that does its work comes to its end. Until then the same command goes on with it
   (so does one without --features), and pays nothing twice; after that the same command is a new request.

`--features failed` asks again only about what failed. A feature whose explanation failed, or whose drafts the judge
could not choose between, is explained and judged. One whose judgement failed is judged: by the scorers that failed
under sample numbers of the request's own, while the reply log has the answers to the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from autointerp.config.run_file import RunConfig
from autointerp.errors import StoreError, UserError, nearest
from autointerp.store.query import Queryable
from autointerp.store.reader import StoreReader, open_reader
from autointerp.words import NATURAL

SAMPLES = 100
"""Sample numbers that a request has to itself: those of request n begin at n times this."""
FAILED = "failed"
_SPEC = re.compile(rf"(?:(?P<dictionary>[^/]+)/)?(?P<which>{FAILED}|\d+:\d+|\d+(?:,\d+)*)")
Key = tuple[str, int, str]
"""Dictionary, feature, explainer."""


@dataclass(frozen=True)
class Wish:
    """What the options say."""

    features: tuple[str, ...] = ()
    """`sae/0:100`, `sae/7,9`, `failed`; the dictionary may be left out where there is one."""
    where: str | None = None
    """A condition over the columns of view `explained_features`."""

    def __bool__(self) -> bool:
        return bool(self.features) or self.where is not None

    @property
    def said(self) -> str:
        """The options."""
        where = [] if self.where is None else [f"--where {' '.join(self.where.split())}"]
        return " ".join([*(f"--features {one}" for one in self.features), *where])

    def spelt_out(self, names: Sequence[str]) -> Wish:
        """With the dictionary in each and none twice: the form by which the same command is known. Raises UserError
        where a dictionary is not among `names`."""
        parsed = {_parsed(spec, names) for spec in self.features}
        return Wish(tuple(sorted(which if name is None else f"{name}/{which}" for name, which in parsed)), self.where)


@dataclass(frozen=True)
class Redo:
    """What one request means for one explainer of one dictionary."""

    number: int
    said: str
    dictionary: str
    explainer: str
    explained: tuple[int, ...]
    """Features to explain again, rising."""
    judged: tuple[int, ...]
    """Features to judge again, those among them."""


@dataclass(frozen=True)
class Redos:
    """All requests of a store, and the one that is made now."""

    all: tuple[Redo, ...] = ()
    new: tuple[Redo, ...] = ()
    """Of `all`, those that are not in the store yet."""
    unfinished: Mapping[int, str] = field(default_factory=dict)
    """Requests that the run is to finish, with their words."""
    lines: tuple[str, ...] = ()
    """What is to be said of it."""

    def of(self, dictionary: str, explainer: str) -> list[Redo]:
        """The oldest first."""
        mine = [one for one in self.all if (one.dictionary, one.explainer) == (dictionary, explainer)]
        return sorted(mine, key=lambda one: one.number)


def first_sample(number: int) -> int:
    """The first sample number of a request; 0: of what was never asked again."""
    return number * SAMPLES


def redos_of(config: RunConfig, wish: Wish, path: Path) -> Redos:
    """What has been asked again in the store, with what `wish` asks now. Raises UserError, in one line, where nothing
    can be asked again so."""
    wish = wish.spelt_out(_names(config))
    if not path.exists():
        if wish:
            raise StoreError(
                f'{wish.said}: there is no store "{path}" yet; features are explained again that a run has explained'
            )
        return Redos()
    with open_reader(path) as store:
        known, unfinished = read_redos(store)
        mine = {one.number for one in known} - {one.number for one in known if not _is_of(config, one)}
        unfinished = {number: said for number, said in unfinished.items() if number in mine}
        if not wish or wish.said in unfinished.values():
            return Redos(known, unfinished=unfinished, lines=_going_on(unfinished))
        number = max([one.number for one in known], default=0) + 1
        new = tuple(_chosen(config, wish, store, number))
    if not new:
        return Redos(known, unfinished=unfinished, lines=(f"{wish.said}: nothing has failed",))
    return Redos((*known, *new), new, {**unfinished, number: wish.said}, (*_going_on(unfinished), _sum_up(new)))


def read_redos(store: Queryable) -> tuple[tuple[Redo, ...], dict[int, str]]:
    """The requests of a store, and which of them are not finished."""
    rows = store.rows(_AGAIN)
    finished = {row["number"] for row in rows if row["event"] == "finished"}
    known = tuple(
        Redo(
            row["number"],
            row["said"],
            row["dictionary"],
            row["explainer"],
            tuple(row["explained"]),
            tuple(row["judged"]),
        )
        for row in rows
        if row["event"] == "asked"
    )
    return known, {one.number: one.said for one in known if one.number not in finished}


def asked_rows(new: Sequence[Redo], at: datetime) -> dict[str, Any]:
    """Rows of `again`."""
    return {
        "number": [one.number for one in new],
        "event": "asked",
        "said": [one.said for one in new],
        "dictionary": [one.dictionary for one in new],
        "explainer": [one.explainer for one in new],
        "explained": [list(one.explained) for one in new],
        "judged": [list(one.judged) for one in new],
        "happened_at": at,
    }


def finished_rows(requests: Mapping[int, str], at: datetime) -> dict[str, Any]:
    """Rows of `again`."""
    return {
        "number": list(requests),
        "event": "finished",
        "said": list(requests.values()),
        "dictionary": None,
        "explainer": None,
        "explained": [[] for _ in requests],
        "judged": [[] for _ in requests],
        "happened_at": at,
    }


def _is_of(config: RunConfig, redo: Redo) -> bool:
    """Whether a run of this configuration does what was requested."""
    if redo.dictionary not in _names(config):
        return False
    if redo.explained:
        return redo.explainer in [entry.name for entry in config.explain.asking]
    return config.score.judge is not None


def _names(config: RunConfig) -> list[str]:
    names = [entry.name for entry in config.dictionary]
    return names + [entry.name + NATURAL for entry in config.dictionary if entry.natural]


def _going_on(unfinished: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(f"going on with request {number}: {said}" for number, said in sorted(unfinished.items()))


def _sum_up(new: Sequence[Redo]) -> str:
    parts = []
    for redo in new:
        explained = [f"{len(redo.explained):,} explained"] if redo.explained else []
        judged = [f"{len(redo.judged):,} judged where they are sampled"] if redo.judged else []
        parts.append(f"{redo.explainer} of {redo.dictionary}: {', '.join(explained + judged)}")
    return f"request {new[0].number}: {new[0].said}: again {'; '.join(parts)}"


# --- which features ---------------------------------------------------------------------------------


def _chosen(config: RunConfig, wish: Wish, store: StoreReader, number: int) -> list[Redo]:
    names = _names(config)
    asking = [entry.name for entry in config.explain.asking]
    if not asking and FAILED not in " ".join(wish.features):
        raise UserError(
            f"{wish.said}: the run file has no explainer that could say something else: LLMs and your own in Python can"
        )
    rows = {(row["dictionary"], row["feature"], row["explainer"]): row for row in store.rows(_LABELS)}
    keys = {key for key in rows if key[0] in names}
    if wish.where is not None:
        fit = store.filtered("explained_features", wish.where, "--where")
        keys &= set(zip(*(fit[name].to_pylist() for name in ("dictionary", "feature", "explainer")), strict=True))
    failed: set[Key] = set()
    broken: set[Key] = set()
    if wish.features:
        within: set[Key] = set()
        for spec in wish.features:
            name, which = _parsed(spec, names)
            there = {key for key in keys if name is None or key[0] == name}
            if which == FAILED:
                failed |= {key for key in there if _has_failed(rows[key])} | (there & _keys(store, _NOT_CHOSEN))
                broken |= {key for key in there if key not in failed} & _keys(store, _BROKEN)
            else:
                assert name is not None
                wanted = _numbers(spec, which, name, store)
                within |= {key for key in there if key[1] in wanted}
        keys = within | failed
    explained = {key for key in keys if key[2] in asking and rows[key]["status"] != "dead"}
    if config.score.judge is None:
        broken = set()
    if not explained | broken:
        if wish.features and all(_parsed(spec, names)[1] == FAILED for spec in wish.features):
            return []
        raise UserError(
            f"{wish.said}: there is no such feature that is alive and that {' or '.join(asking)} has explained"
        )
    return _redos(wish, number, explained, explained | broken if config.score.judge is not None else set())


def _redos(wish: Wish, number: int, explained: Iterable[Key], judged: Iterable[Key]) -> list[Redo]:
    sets: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for place, keys in enumerate((explained, judged)):
        for dictionary, feature, explainer in sorted(keys):
            sets.setdefault((dictionary, explainer), ([], []))[place].append(feature)
    return [Redo(number, wish.said, *name, tuple(mine[0]), tuple(mine[1])) for name, mine in sorted(sets.items())]


def _parsed(spec: str, names: Sequence[str]) -> tuple[str | None, str]:
    """Dictionary (none: all, of what failed) and which of its features."""
    parts = _SPEC.fullmatch(spec.strip())
    if parts is None:
        raise UserError(f'--features "{spec}": give DICT/0:100, DICT/7,9 or {FAILED}')
    name, which = parts["dictionary"], parts["which"]
    if name is None and which != FAILED:
        if len(names) > 1:
            raise UserError(
                f'--features "{spec}": say of which dictionary: {names[0]}/{which}; there is {", ".join(names)}'
            )
        name = names[0]
    if name is not None and name not in names:
        raise UserError(
            f'--features "{spec}": the run file has no dictionary "{name}"' + nearest(name, names, listed="it has")
        )
    return name, which


def _numbers(spec: str, which: str, name: str, store: Queryable) -> set[int]:
    rows = store.rows("SELECT n_features FROM dictionaries WHERE dictionary = $name", name=name)
    if not rows:
        raise UserError(f'--features "{spec}": nothing of "{name}" is in the store yet; run without --features first')
    first, colon, last = which.partition(":")
    numbers = set(range(int(first), int(last))) if colon else set(map(int, which.split(",")))
    n = rows[0]["n_features"]
    if not numbers or max(numbers) >= n:
        raise UserError(f'--features "{spec}": "{name}" has features 0 to {n - 1}')
    return numbers


def _has_failed(row: Mapping[str, Any]) -> bool:
    return row["explanation_status"] not in ("ok", "dead", "no_disjoint_feature")


def _keys(store: Queryable, sql: str) -> set[Key]:
    return {(row["dictionary"], row["feature"], row["explainer"]) for row in store.rows(sql)}


_AGAIN = "SELECT number, event, said, dictionary, explainer, explained, judged FROM again ORDER BY number"
_LABELS = """
SELECT e.dictionary, e.feature, e.explainer, e.status AS explanation_status, f.status
FROM current_explanations e JOIN features f USING (dictionary, feature)
"""
_NOT_CHOSEN = """
SELECT DISTINCT dictionary, feature, explainer FROM current_failures
WHERE stage = 'explain' AND starts_with(scorer, 'select:')
"""
_BROKEN = """
WITH judged AS (
    SELECT s.dictionary, s.feature, regexp_replace(s.explainer, '^permuted:', '') AS explainer FROM scores s
    JOIN current_works c ON c.stage = 'score' AND c.scorer IS NOT NULL AND c.work = s.run
    WHERE s.status = 'failed' OR s.n_failed > 0
)
SELECT DISTINCT dictionary, feature, explainer FROM judged
SEMI JOIN (FROM current_explanations WHERE status = 'ok') e USING (dictionary, feature, explainer)
"""
