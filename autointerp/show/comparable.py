"""Whether stores can be compared: what decides their numbers, and in what it differs.

Two stores are comparable where they are about the same subject and text, cut alike and with the same seed, and where
what they share was made alike: an explainer of one name, the version of a metric, the judge of a scorer. What only one
of them has makes no difference. Dictionaries may differ: they are what is compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from autointerp.store.query import Queryable

_DECIDED = """
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs)
SELECT DISTINCT w.stage, w.explainer, w.scorer, w.decided_by FROM works w SEMI JOIN latest USING (run)
WHERE w.stage IN ('tokens', 'explain', 'judge', 'score') ORDER BY ALL
"""

_WORDS = {
    "seed": "seed",
    "subject": "subject",
    "tokens.context_length": "context length",
    "tokens.window": "window",
    "tokens.prepend_bos": "beginning-of-sequence token",
    "tokens.splits": "splits",
    "tokens.chat": "chat template",
    "tokens.tokenizer": "tokenizer",
}
"""Keys of what a store is about, the longest match first; all other keys of tokens: the corpus."""
CORPUS = "corpus"

Facts = dict[str, dict[str, Any]]
"""What is said of a difference -> key -> value."""


def differences(stores: Sequence[tuple[str, Queryable]]) -> list[str]:
    """In what the stores differ from the first one, each in some words with both values; none where they are
    comparable. A store without a run differs in nothing."""
    facts = [(name, _facts(store)) for name, store in stores]
    known = [(name, of) for name, of in facts if of]
    return [line for other in known[1:] for line in _between(known[0], other)]


def _between(left: tuple[str, Facts], right: tuple[str, Facts]) -> list[str]:
    (first, base), (name, of) = left, right
    return [
        f"{what} ({first}: {_shown(mine, of[what], what)}; {name}: {_shown(of[what], mine, what)})"
        for what, mine in base.items()
        if what in of and mine != of[what]
    ]


def _facts(store: Queryable) -> Facts:
    facts: Facts = {}
    for row in store.rows(_DECIDED):
        decided = json.loads(row["decided_by"])
        if row["stage"] == "tokens":
            for key, value in _flat({name: decided.get(name) for name in ("seed", "subject", "tokens")}).items():
                facts.setdefault(_word(key), {})[key] = value
        elif row["stage"] == "explain" and "explainer" in decided:
            facts[f"explainer {row['explainer']}"] = _flat(decided["explainer"])
        elif row["stage"] == "judge":
            told = {name: decided.get(name) for name in ("judge", "prompts")}
            facts[f"judge of {row['scorer']}"] = _flat(told)
        elif row["stage"] == "score":
            for metric, version in decided.get("metrics", {}).items():
                facts[f"version of metric {metric}"] = {"version": version}
    return facts


def _word(key: str) -> str:
    for known, word in _WORDS.items():
        if key == known or key.startswith(known + "."):
            return word
    return CORPUS


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _shown(mine: Mapping[str, Any], other: Mapping[str, Any], what: str) -> str:
    """The values that differ, those of the corpus with their keys; a hash by its first digits."""
    parts = []
    for key in dict.fromkeys([*mine, *other]):
        if mine.get(key) == other.get(key):
            continue
        value = mine.get(key)
        text = "none" if value is None else value if isinstance(value, str) and value else json.dumps(value)
        if len(text) >= 32 and not set(text) - set("0123456789abcdef"):
            text = text[:8]
        text = text if len(text) <= 60 else f"{text[:57]}..."
        parts.append(f"{key.rpartition('.')[2]} {text}" if what == CORPUS else text)
    return ", ".join(parts)
