"""Explanations by an LLM or by the user's own explainer: evidence from the store, questions, drafts, rows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from autointerp.config import LLMExplainer, PythonExplainer
from autointerp.errors import AutointerpError, UserError
from autointerp.explain.controls import NO_DISJOINT, choose_donors
from autointerp.explain.evidence import Draft, Explainer, Failure
from autointerp.explain.lexical import lexical_lookup
from autointerp.explain.lookup import EMPTY, Entries, entries_of
from autointerp.explain.prompt import Style, explain_ask, style
from autointerp.explain.triggers import either, entries_of_triggers, tokens_by_text
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.again import Redo, first_sample
from autointerp.pipeline.explain_stage import REASONS
from autointerp.pipeline.feature_evidence import read_evidence
from autointerp.pipeline.judge_stage import Asker, Told, Unanswered
from autointerp.pipeline.work import JUDGED_ALWAYS, shuffled_of
from autointerp.records import Explanation, LookupTable
from autointerp.store.evidence import read_gram_tables, read_vocab
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction

_FEATURES = "SELECT feature, status FROM features WHERE dictionary = $dictionary ORDER BY feature"
_TOLD = """
SELECT e.feature, e.text, e.status, e.donor, e.promotes, e.triggers, l.previous, l.tokens FROM current_explanations e
LEFT JOIN (
    SELECT lookup, any_value(previous) AS previous, any_value(tokens) AS tokens FROM lookups GROUP BY lookup
) l USING (lookup)
WHERE e.dictionary = $dictionary AND e.explainer = $explainer ORDER BY e.feature
"""
_FIRST = """
SELECT feature, text, status, promotes, triggers FROM explanations
WHERE dictionary = $dictionary AND explainer = $explainer AND again = 0 ORDER BY feature
"""


@dataclass(frozen=True)
class Written:
    """An explanation with where it comes from."""

    explanation: Explanation
    reason: str = ""  # why there is none
    prompt: str | None = None
    request: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Asked:
    """What an explainer made of a dictionary."""

    written: list[Written]
    unanswered: Unanswered = field(default_factory=Unanswered)


def style_of(entry: LLMExplainer) -> Style:
    """How an LLM explainer is asked."""
    return style(entry.preset, entry.evidence, None if entry.prompt is None else Path(entry.prompt))


def features_to_explain(store: Queryable, dictionary: str, redo: Redo | None) -> dict[int, str]:
    """All features (of a request to explain again, those of it) by rising number, with their status: dead ones are not
    asked about."""
    found = {row["feature"]: row["status"] for row in store.rows(_FEATURES, dictionary=dictionary)}
    return found if redo is None else {feature: found[feature] for feature in redo.explained}


def explanation_of(name: str, feature: int, draft: Draft) -> Explanation:
    """A draft as an explanation."""
    return Explanation(feature, name, draft.text, "ok", promotes=draft.promotes, triggers=tuple(draft.triggers))


def ask_explainer(
    store: Queryable, dictionary: str, entry: LLMExplainer, asker: Asker, advance: Callable[[int], None],
    redo: Redo | None = None,
) -> Asked:  # fmt: skip
    """One question a feature that ever fires."""
    vocab, status = read_vocab(store), features_to_explain(store, dictionary, redo)
    chosen = style_of(entry)
    fit = [feature for feature, word in status.items() if word != "dead"]

    def asks() -> Iterator[Ask]:
        for evidence in read_evidence(store, dictionary, fit, vocab):
            ask = explain_ask(chosen, evidence, 0 if redo is None else first_sample(redo.number))
            yield replace(ask, about={**ask.about, "explainer": entry.name})

    found: dict[int, Written] = {}
    unanswered = Unanswered()
    for answer in asker.answers(asks(), entry):
        feature = answer.ask.about["feature"]
        found[feature] = _written(entry.name, feature, answer, chosen.version)
        unanswered.note(answer)
        advance(1)
    for feature in status:
        if feature not in fit:
            found[feature] = Written(Explanation(feature, entry.name, "", "dead"), prompt=chosen.version)
    return Asked([found[feature] for feature in status if feature in found], unanswered)


def _written(name: str, feature: int, answer: Answer, version: str) -> Written:
    if answer.status != "ok":
        said = Explanation(feature, name, "", answer.status)
    else:
        said = explanation_of(name, feature, cast(Draft, answer.data))
    return Written(said, answer.reason, version, answer.request, answer.model or None)


def run_explainer(
    store: Queryable, dictionary: str, entry: PythonExplainer, advance: Callable[[int], None], redo: Redo | None = None
) -> Asked:
    """The user's own explainer, feature by feature."""
    explainer = load_explainer(entry.python)
    vocab, status = read_vocab(store), features_to_explain(store, dictionary, redo)
    written = []
    fit = [feature for feature, word in status.items() if word != "dead"]
    for evidence in read_evidence(store, dictionary, fit, vocab):
        try:
            said = explainer.explain(evidence)
        except Exception as error:  # the user's code
            raise AutointerpError(
                f'explainer "{entry.python}" failed on {dictionary}/{evidence.feature}: {type(error).__name__}: {error}'
            ) from error
        if isinstance(said, Failure):
            word = said.status if said.status not in ("ok", "") else "failed"
            written.append(Written(Explanation(evidence.feature, entry.name, "", word), said.reason))
        elif isinstance(said, Explanation) and said.text.strip():
            written.append(Written(replace(said, feature=evidence.feature, explainer=entry.name, status="ok")))
        else:
            raise AutointerpError(
                f'explainer "{entry.python}" returned {said!r:.80} for {dictionary}/{evidence.feature}; return an '
                "Explanation with a text, or a Failure"
            )
        advance(1)
    written += [Written(Explanation(f, entry.name, "", "dead")) for f in status if f not in fit]
    return Asked(sorted(written, key=lambda one: one.explanation.feature))


def load_explainer(name: str) -> Explainer:
    """`module:Class`, made without arguments. Raises UserError where it cannot be imported or does not explain."""
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f'explainer "{name}" cannot be made: {error}') from error
    if not callable(getattr(made, "explain", None)):
        raise UserError(f'explainer "{name}" has no method explain(evidence)')
    return cast(Explainer, made)


def shuffle(store: Queryable, dictionary: str, explainer: str, seed: int) -> Asked:
    """The control: each explanation given to a feature that has nothing to do with it. It is made once, of what was
    said first: a control need not change where features are explained again."""
    said = {row["feature"]: row for row in store.rows(_FIRST, dictionary=dictionary, explainer=explainer)}
    tokens, pairs = read_gram_tables(store, dictionary)
    own = [Explanation(feature, explainer, row["text"] or "", row["status"]) for feature, row in said.items()]
    donors = choose_donors(own, lexical_lookup(tokens, pairs), tokens, seed)
    name, written = shuffled_of(explainer), []
    for old in own:
        donor = donors.get(old.feature)
        if donor is None:
            word = NO_DISJOINT if old.status == "ok" else old.status
            written.append(Written(Explanation(old.feature, name, "", word), REASONS.get(word, "")))
            continue
        row = said[donor]
        given = Explanation(
            old.feature, name, row["text"], "ok", donor, row["promotes"] or "", tuple(row["triggers"] or ())
        )
        written.append(Written(given))
    return Asked(written)


def write_written(transaction: Transaction, dictionary: str, written: Sequence[Written], again: int = 0) -> int:
    """Rows of `explanations` and, where there is none for a reason, of `failures`."""
    said = [one.explanation for one in written]
    rows: dict[str, Any] = {
        "dictionary": dictionary,
        "feature": [one.feature for one in said],
        "explainer": [one.explainer for one in said],
        "text": [one.text or None for one in said],
        "status": [one.status for one in said],
        "lookup": None,
        "donor": [one.donor for one in said],
        "promotes": [one.promotes or None for one in said],
        "triggers": [list(one.triggers) if one.status == "ok" else None for one in said],
        "prompt": [one.prompt for one in written],
        "request": [one.request for one in written],
        "model": [one.model for one in written],
        "again": again,
    }
    n = transaction.append("explanations", rows)
    failed = [one for one in written if one.explanation.status not in ("ok", "dead")]
    if failed:
        n += transaction.append(
            "failures",
            {
                "stage": "explain",
                "dictionary": dictionary,
                "feature": [one.explanation.feature for one in failed],
                "explainer": [one.explanation.explainer for one in failed],
                "scorer": None,
                "status": [one.explanation.status for one in failed],
                "reason": [one.reason or one.explanation.status for one in failed],
                "again": again,
            },
        )
    return n


def read_told(
    store: Queryable, dictionary: str, explainer: str, vocab: Sequence[str], lexical: LookupTable
) -> list[Told]:
    """Explanations as judges are shown them, with where a cheap simulator of each fires.

    That is the explainer's own list of triggers joined with the token and context lookup (of the donor, for a
    shuffled one); nothing for `constant`, its own lookup for `generic`.
    """
    by_text, told = tokens_by_text(vocab), []
    for row in store.rows(_TOLD, dictionary=dictionary, explainer=explainer):
        said = Explanation(
            row["feature"], explainer, row["text"] or "", row["status"], row["donor"], row["promotes"] or "",
            tuple(row["triggers"] or ()),
        )  # fmt: skip
        own = EMPTY
        if row["previous"]:
            ones = np.ones(len(row["tokens"]), np.float32)
            own = Entries(np.array(row["previous"], np.int32), np.array(row["tokens"], np.int32), ones, ones)
        if explainer not in JUDGED_ALWAYS and row["status"] == "ok" and not row["previous"]:
            own = entries_of(lexical, row["feature"] if row["donor"] is None else row["donor"])
        told.append(Told(said, either(own, entries_of_triggers(said.triggers, by_text))))
    return told
