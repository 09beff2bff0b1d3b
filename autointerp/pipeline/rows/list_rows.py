"""What explanations of each feature list, as rows of `sample_lists`, and back.

A feature's windows are drawn by what is listed of it (`score/sampled.py`), and they are drawn once: what has been
judged on them is not to be judged again because another explainer came. So lists have waves. All that is explained when
a feature is first tested makes its first wave, and shares its windows. What comes later, another explainer or a later
explanation by the same one, makes the next wave: it is tested on the windows of the waves before, and on some of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autointerp.explain.lookup import Entries
from autointerp.explain.triggers import any_of, entries_of_triggers
from autointerp.records import Int64
from autointerp.store.columns import to_csr
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.words import of_control

Waves = tuple[tuple[Entries, ...], ...]
"""What is listed of a feature: the lists of its first wave, those of the second, and so on."""


@dataclass(frozen=True)
class Listed:
    """What one explanation of a feature lists."""

    feature: int
    explainer: str
    again: int  # `explanations.again` of the explanation
    wave: int  # from 1
    entries: Entries
    lookup: str | None  # embedded explainers: the lookup that this is
    is_new: bool  # whether it is no row yet


@dataclass(frozen=True)
class SampleLists:
    """Of some features of one dictionary."""

    by_feature: Mapping[int, Sequence[Listed]]

    def waves(self, feature: int, explainer: str) -> Waves:
        """What decides the windows that a feature is tested on for an explainer: all waves up to its own. A control
        has those of whom it is a control; one of all explainers, and who lists nothing, the first."""
        of = of_control(explainer)
        mine = self.by_feature.get(feature, ())
        last = max((one.wave for one in mine if one.explainer == of), default=1)
        return tuple(tuple(one.entries for one in mine if one.wave == wave) for wave in range(1, last + 1))

    def written(self) -> SampleLists:
        """The same, all of it rows."""
        return SampleLists(
            {feature: [replace(one, is_new=False) for one in own] for feature, own in self.by_feature.items()}
        )

    @property
    def new(self) -> list[Listed]:
        """What is no row yet."""
        return [one for listed in self.by_feature.values() for one in listed if one.is_new]


NO_LISTS = SampleLists({})


def read_lists(
    store: Queryable,
    dictionary: str,
    features: Int64,
    explainers: Iterable[str],
    by_text: Mapping[str, Sequence[int]],
    table: Callable[[int], Entries] | None = None,
) -> SampleLists:
    """The stored lists of these features, and what the latest explanations by `explainers` list that are not among
    them: the next wave. `table`: what is listed of each feature beside these, in its first wave.
    """
    about = {"dictionary": dictionary, "features": features.tolist()}
    lookups = _read_lookups(store, about)
    listed: dict[int, list[Listed]] = {}
    for row in store.rows(_STORED, **about):
        key = row["lookup"]
        entries = lookups[key] if key is not None else any_of(row["tokens"])
        stored = Listed(row["feature"], row["explainer"], row["again"], row["wave"], entries, key, is_new=False)
        listed.setdefault(row["feature"], []).append(stored)
    known = {(one.feature, one.explainer, one.again) for own in listed.values() for one in own}
    last = {feature: max(one.wave for one in own) for feature, own in listed.items()}
    for row in store.rows(_SAID, **about, explainers=list(explainers)):
        feature, key = row["feature"], row["lookup"]
        if (feature, row["explainer"], row["again"]) in known:
            continue
        entries = lookups[key] if key is not None else entries_of_triggers(row["triggers"] or (), by_text)
        wave = last.get(feature, 0) + 1
        made = Listed(feature, row["explainer"], row["again"], wave, entries, key, is_new=True)
        listed.setdefault(feature, []).append(made)
    if table is not None:
        for feature in features.tolist():
            listed.setdefault(feature, []).append(Listed(feature, "", 0, 1, table(feature), None, is_new=False))
    return SampleLists(listed)


def write_lists(transaction: Transaction, dictionary: str, lists: Sequence[Listed]) -> int:
    """Rows of `sample_lists`: of an embedded explainer the lookup alone, which is a row of `lookups`."""
    return transaction.append(
        "sample_lists",
        {
            "dictionary": dictionary,
            "feature": [one.feature for one in lists],
            "explainer": [one.explainer for one in lists],
            "again": [one.again for one in lists],
            "wave": [one.wave for one in lists],
            "lookup": [one.lookup for one in lists],
            "tokens": [[] if one.lookup is not None else one.entries.token.tolist() for one in lists],
        },
    )


def _read_lookups(store: Queryable, about: dict[str, Any]) -> dict[str, Entries]:
    rows = store.query(_LOOKUPS, **about)
    start, previous = to_csr(rows["previous"])
    tokens, value, probability = (to_csr(rows[name])[1] for name in ("tokens", "value", "probability"))
    return {
        key: Entries(previous[first:last], tokens[first:last], value[first:last], probability[first:last])
        for key, first, last in zip(
            map(str, rows["lookup"].to_pylist()), start[:-1].tolist(), start[1:].tolist(), strict=True
        )
    }


_STORED = """
SELECT feature, explainer, again, wave, lookup, tokens FROM sample_lists
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) ORDER BY feature, wave, explainer
"""
_SAID = """
SELECT feature, explainer, again, lookup, triggers FROM current_explanations
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) AND status = 'ok'
      AND explainer IN (SELECT unnest($explainers))
ORDER BY feature, explainer
"""
_LOOKUPS = """
SELECT lookup, any_value(previous) AS previous, any_value(tokens) AS tokens, any_value(value) AS value,
       any_value(probability) AS probability
FROM lookups SEMI JOIN (
    SELECT lookup FROM explanations
    WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) AND NOT is_control
) USING (lookup) GROUP BY lookup
"""
