"""What a run finds in a store that other configurations have written into: what it keeps, adds and does again.

Rows of evidence and explanations are there once, under the name of their dictionary and explainer. So another
dictionary of a name that the store holds is refused, as is another corpus. Scores, means and comparisons have their
history: other ones are added, and the latest count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autointerp.errors import StoreError
from autointerp.pipeline.plan.prepare import Prepared
from autointerp.pipeline.plan.work import BUILDS_ON, What, Work, done_keys
from autointerp.store.query import Queryable

ONCE = ("tokens", "extract", "effects", "diagnostics", "explain", "census")
"""Stages whose rows are there once: they cannot be made again in another way."""

_LATEST = """
SELECT c.stage, c.dictionary, c.explainer, c.scorer, any_value(w.decided_by) AS decided_by
FROM current_works c JOIN works w USING (stage, work) GROUP BY ALL
"""
_LATEST_RUN = "SELECT run FROM runs ORDER BY started_at DESC LIMIT 1"


class StoreDiff:
    """What of a run is in a store already."""

    def __init__(self, prepared: Prepared, store: Queryable) -> None:
        self._works, self._judge = prepared.works, prepared.config.score.judge
        self._path = prepared.store_path
        self._done = done_keys(store)
        self._latest: dict[What, dict[str, Any]] = {
            (row["stage"], row["dictionary"], row["explainer"], row["scorer"]): json.loads(row["decided_by"])
            for row in store.rows(_LATEST)
        }
        runs = store.rows(_LATEST_RUN)
        self.goes_on = not runs or runs[0]["run"] == prepared.run
        """True where the store is new, or this very configuration wrote into it last."""

    def done(self, work: Work) -> bool:
        """Whether a piece of work is in the store."""
        return work.key in self._done

    def links_left(self, work: Work) -> list[Work]:
        """Its links that are left to do, the oldest first."""
        return work.links_left(self._done)

    def refuse_mixing(self) -> None:
        """Raises StoreError, naming the difference, where rows of two definitions would share a name."""
        self._refuse_namesake()
        for last in self._works:
            work = last.links[0]
            if self.done(work) or work.stage not in ONCE or work.what not in self._latest:
                continue
            changed = "; ".join(self._changed(work)) or "what it builds on"
            if work.stage == "tokens":
                raise StoreError(f'the store "{self._path}" is about something else: {changed}; give another --store')
            what = f'dictionary "{work.dictionary}"'
            if work.explainer is not None:
                what = f'explainer "{work.explainer}" of {what}'
            raise StoreError(
                f'the store "{self._path}" holds another {what}: {changed}; '
                "rows of the two are not mixed: give it another name, or another --store"
            )

    def _refuse_namesake(self) -> None:
        """A judge of this one's name elsewhere, whose scores would stand beside: they are not made again here."""
        judge, mine = self._judge, {work.what for work in self._works}
        for what, facts in self._latest.items() if judge is not None else ():
            other = facts.get("judge") or {}
            if what[0] != "judge" or what in mine or judge is None or other.get("model") != judge.model:
                continue
            if other.get("server") != judge.server:
                raise StoreError(
                    f'the store "{self._path}" holds judgements of dictionary "{what[1]}" (explainer "{what[2]}") by '
                    f'"{judge.model}" at {other.get("server")}, and this run\'s of that name is at {judge.server}: '
                    "scores of the two would share a name; keep that dictionary and explainer in the run file, so that "
                    "they are judged again, or give another --store"
                )

    def _changed(self, work: Work) -> list[str]:
        """`evidence.top 20 -> 3`, for each key of its own in which it differs from what is in the store."""
        old, new = (_flat(facts) for facts in (self._latest[work.what], _as_json(work.decided_by)))
        return [
            f"{key} {_shown(old.get(key))} -> {_shown(new.get(key))}"
            for key in dict.fromkeys([*old, *new])
            if old.get(key) != new.get(key) and key != "again"
        ]

    def describe(self) -> list[str]:
        """What a changed run file does, in plain lines; none where nothing has changed."""
        if self.goes_on:
            return []
        left = [work for work in self._works if not self.done(work)]
        kept = [work for work in self._works if self.done(work)]
        lines = [f"kept: {len(kept)} of {len(self._works)} pieces of work{_of(kept)}"] if kept else []
        reasons: dict[str, list[Work]] = {}
        for work in left:
            reasons.setdefault(self._reason(work), []).append(work)
        follows = reasons.pop("", [])  # nothing of its own has changed, but what it builds on
        lines += [f"{reason}: {_sum_up(works)}" for reason, works in reasons.items()]
        lines += [f"after that again: {_sum_up(follows)}"] if follows else []
        mine = {work.dictionary for work in self._works}
        gone = sorted({name for _, name, _, _ in self._latest if name is not None and name not in mine})
        if gone:
            lines.append(f"not in this run: {', '.join(gone)}; what the store holds of them stays")
        return lines if left or gone else [*lines, "nothing is left to do"]

    def _reason(self, work: Work) -> str:
        if work.redo is not None and self.done(work.links[0]):
            return work.redo.said
        if work.what in self._latest:
            changed = [change for change in self._changed(work) if not change.startswith("compared ")]
            return ", ".join(changed)
        scorers = {scorer for _, _, _, scorer in self._latest}
        if work.dictionary is None:
            known = any(what[0] == work.stage for what in self._latest)
            new = self._new(work, {what[2] for what in self._latest if what[0] == work.stage}, scorers)
            return new if known else "not done yet"
        if ("extract", work.dictionary, None, None) not in self._latest:
            return "new dictionaries"
        return self._new(work, {explainer for _, _, explainer, _ in self._latest}, scorers)

    def _new(self, work: Work, explained: set[str | None], scorers: set[str | None]) -> str:
        if work.explainer not in {None, *explained}:
            return f"new explainer {work.explainer}"
        return f"new scorer {work.scorer}" if work.scorer not in {None, *scorers} else "not done yet"


def _of(works: Iterable[Work]) -> str:
    names = list(dict.fromkeys(work.dictionary for work in works if work.dictionary is not None))
    return f", on {', '.join(names)}" if names else ""


def _sum_up(works: Sequence[Work]) -> str:
    """`score, means of a, b; compare`."""
    single, whole = (
        list(dict.fromkeys(work.stage for work in works if (work.dictionary is None) == about_all))
        for about_all in (False, True)
    )
    names = list(dict.fromkeys(work.dictionary for work in works if work.dictionary is not None))
    about = ", ".join(names) if len(names) <= 3 else f"{len(names)} dictionaries"
    return "; ".join([*([f"{', '.join(single)} of {about}"] if single else []), *([", ".join(whole)] if whole else [])])


def _as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as `evidence.top`; what a piece of work builds on left out."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if key == BUILDS_ON:
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _shown(value: Any) -> str:
    """Short: a hash by its first digits."""
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value)
    if len(text) == 32 and not set(text) - set("0123456789abcdef"):
        return f"content {text[:8]}"
    return text if len(text) <= 60 else f"{text[:57]}..."
