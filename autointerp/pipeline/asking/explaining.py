"""Explanations by an LLM or by the user's own explainer: evidence from the store, questions, drafts, rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from autointerp.config.explainers import LLMExplainer, PythonExplainer
from autointerp.errors import AutointerpError
from autointerp.explain.context_lookup import context_lookup
from autointerp.explain.controls import NO_DISJOINT, choose_donors
from autointerp.explain.embedded import EmbeddedExplainer
from autointerp.explain.evidence import Draft, Explainer, Failure
from autointerp.explain.prompt import Style, explain_ask, style
from autointerp.explain.shortening import fitted
from autointerp.llm.asks import TOO_LONG, Answer, Ask
from autointerp.own_code import load_own
from autointerp.pipeline.asking.asker import Asker, Unanswered
from autointerp.pipeline.asking.evidence import clamped_features, read_evidence
from autointerp.pipeline.asking.room import answers_in_room
from autointerp.pipeline.plan.reask import Redo, first_sample
from autointerp.pipeline.rows.explanation_rows import REASONS, Written
from autointerp.records import Explanation
from autointerp.store.evidence import read_gram_tables, read_vocab
from autointerp.store.query import Queryable
from autointerp.words import shuffled_of

_FEATURES = "SELECT feature, status FROM features WHERE dictionary = $dictionary ORDER BY feature"
_FIRST = """
SELECT feature, text, status, promotes, triggers FROM explanations
WHERE dictionary = $dictionary AND explainer = $explainer AND again = 0 ORDER BY feature
"""


@dataclass(frozen=True)
class Asked:
    """What an explainer made of a dictionary."""

    written: list[Written]
    unanswered: Unanswered = field(default_factory=Unanswered)


def style_of(entry: LLMExplainer) -> Style:
    """How an LLM explainer is asked."""
    return style(entry.preset, entry.evidence, None if entry.prompt is None else Path(entry.prompt))


def features_to_explain(
    store: Queryable, dictionary: str, redo: Redo | None, *, clamped: bool = False
) -> dict[int, str]:
    """All features (of a request to explain again, those of it) by rising number, with their status: dead ones are not
    asked about. `clamped`: of those of which it was measured what rises."""
    status_of = {row["feature"]: row["status"] for row in store.rows(_FEATURES, dictionary=dictionary)}
    if clamped:
        known = clamped_features(store, dictionary)
        status_of = {feature: word for feature, word in status_of.items() if feature in known}
        return status_of if redo is None else {f: status_of[f] for f in redo.explained if f in status_of}
    return status_of if redo is None else {feature: status_of[feature] for feature in redo.explained}


def explanation_of(name: str, feature: int, draft: Draft) -> Explanation:
    """A draft as an explanation."""
    return Explanation(feature, name, draft.text, "ok", promotes=draft.promotes, triggers=tuple(draft.triggers))


def ask_explainer(
    store: Queryable,
    dictionary: str,
    entry: LLMExplainer,
    asker: Asker,
    advance: Callable[[int], None],
    redo: Redo | None = None,
) -> Asked:
    """One question a feature that ever fires."""
    vocab, status = read_vocab(store), features_to_explain(store, dictionary, redo, clamped=entry.sees_measured)
    chosen = style_of(entry)
    sample = 0 if redo is None else first_sample(redo.number)
    room, reply = entry.context_tokens, entry.max_tokens
    fit = [feature for feature, word in status.items() if word != "dead"]

    written: dict[int, Written] = {}

    def asks() -> Iterator[Ask]:
        for evidence in read_evidence(store, dictionary, fit, vocab):
            ask, gone = fitted(chosen, evidence, lambda shown: explain_ask(chosen, shown, sample), room, reply)
            yield replace(ask, about={**ask.about, "explainer": entry.name, "left_out": gone})

    unanswered = Unanswered()
    for answer in answers_in_room(asker, asks(), entry):
        feature = answer.ask.about["feature"]
        written[feature] = _written(entry.name, feature, answer, chosen.version)
        unanswered.note(answer)
        advance(1)
    for feature in status:
        if feature not in fit:
            written[feature] = Written(Explanation(feature, entry.name, "", "dead"), prompt=chosen.version)
    return Asked([written[feature] for feature in status if feature in written], unanswered)


def _written(name: str, feature: int, answer: Answer, version: str) -> Written:
    if answer.status != "ok":
        said = Explanation(feature, name, "", answer.status)
    else:
        said = explanation_of(name, feature, cast(Draft, answer.data))
    left_out = None if answer.status == TOO_LONG else answer.ask.about["left_out"]
    return Written(said, answer.reason, version, answer.request or None, answer.model or None, left_out)


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


def load_explainer(python: str) -> Explainer:
    """The user's own explainer. Raises UserError where it cannot be imported or does not explain."""
    return cast(Explainer, load_own(python, "explainer", ("explain(evidence)",)))


def load_embedded(python: str) -> EmbeddedExplainer:
    """The user's own explainer of whole dictionaries. Raises UserError likewise."""
    return cast(EmbeddedExplainer, load_own(python, "explainer", ("explain_all(tables)",)))


def shuffle(store: Queryable, dictionary: str, explainer: str, seed: int) -> Asked:
    """The control: each explanation given to a feature that has nothing to do with it. It is made once, of what was
    said first: a control need not change where features are explained again."""
    said = {row["feature"]: row for row in store.rows(_FIRST, dictionary=dictionary, explainer=explainer)}
    tokens, pairs = read_gram_tables(store, dictionary)
    own = [Explanation(feature, explainer, row["text"] or "", row["status"]) for feature, row in said.items()]
    donors = choose_donors(own, context_lookup(tokens, pairs), tokens, seed)
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
