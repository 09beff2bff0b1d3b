"""Stage explain: explanations of each dictionary, by embedded explainers, LLMs and the user's own; the controls too."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autointerp.config.explainers import LLMExplainer, PythonExplainer
from autointerp.errors import AutointerpError
from autointerp.explain.controls import Explained
from autointerp.explain.embedded import EMBEDDED, EvidenceTables, controls_of
from autointerp.explain.output_labels import MEASURABLE, StrongTokens, TwoSides
from autointerp.llm.asks import TOO_LONG
from autointerp.memory import give_back
from autointerp.pipeline.asking.drafts import Refined, refine
from autointerp.pipeline.asking.explaining import Asked, ask_explainer, load_embedded, run_explainer, shuffle
from autointerp.pipeline.asking.reading_texts import read_tokens
from autointerp.pipeline.plan.reask import Redo
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.draft_rows import write_refined
from autointerp.pipeline.rows.explanation_rows import (
    stored_lookups,
    write_explanations,
    write_failures,
    write_written,
)
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.records import Float64
from autointerp.store.evidence import read_gram_tables, read_vocab
from autointerp.store.query import Queryable
from autointerp.words import CONTROLS, shuffled_of

_FEATURES = "SELECT feature, mean * n_tokens AS mass FROM features WHERE dictionary = $dictionary ORDER BY feature"
_EFFECTS = """
SELECT feature, list(token ORDER BY rank) AS tokens, list(z ORDER BY rank) AS z FROM logit_effects
WHERE dictionary = $dictionary AND direction = 'promoted' AND rank <= 10 GROUP BY feature
"""


_DIRECT = """
SELECT feature, list(token ORDER BY rank) FILTER (direction = 'promoted') AS up,
       list(effect ORDER BY rank) FILTER (direction = 'promoted') AS up_effect,
       list(token ORDER BY rank) FILTER (direction = 'suppressed') AS down,
       list(effect ORDER BY rank) FILTER (direction = 'suppressed') AS down_effect
FROM logit_effects WHERE dictionary = $dictionary AND rank <= 10 GROUP BY feature
"""
_CHANGES = """
SELECT feature, list(token ORDER BY rank) FILTER (side = 'risen' AND change > $least * error) AS up,
       list(change ORDER BY rank) FILTER (side = 'risen' AND change > $least * error) AS up_effect,
       list(token ORDER BY rank) FILTER (side = 'fallen' AND change < -$least * error) AS down,
       list(change ORDER BY rank) FILTER (side = 'fallen' AND change < -$least * error) AS down_effect
FROM current_token_changes
WHERE dictionary = $dictionary AND split = 'explain' AND direction = 'feature' AND rank <= 10 GROUP BY feature
"""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """Embedded explainers first: they cost nothing, and the controls are made of them."""
    known = (CONTROLS, *context.config.explain.embedded)
    _explain_embedded(context, [work for work in works if work.explainer in known])
    for name, mine in by_dictionary(works).items():
        for work in mine:
            if work.explainer not in known:
                _explain_asking(context, name, work)
    context.publish()


# --- embedded


def _explain_embedded(context: StageContext, works: Sequence[Work]) -> None:
    if not works:
        return
    missing = by_dictionary(works)
    lookups = stored_lookups(context.store)
    with context.report.stage("explaining", context.n_features(missing), "features") as advance:
        for name, mine in missing.items():
            begun = time.monotonic()
            tables = evidence_tables(context.store, name, context.config.seed)
            shared = (time.monotonic() - begun) / len(mine)
            with context.store.transaction() as transaction:
                for work in mine:
                    begun = time.monotonic()
                    explained = _embedded(context, str(work.explainer), tables)
                    n = write_explanations(transaction, name, explained, lookups)
                    n += write_failures(transaction, name, explained)
                    context.mark_done(transaction, work, n, shared + time.monotonic() - begun)
            del tables, explained
            give_back()
            advance(context.n_features([name]))
    context.publish()


def _embedded(context: StageContext, explainer: str, tables: EvidenceTables) -> list[Explained]:
    if explainer == CONTROLS:
        return controls_of(tables)
    if explainer in EMBEDDED:
        return [EMBEDDED[explainer](tables)]
    [entry] = [entry for entry in context.config.explain.own_embedded if entry.name == explainer]
    try:
        made = load_embedded(entry.python).explain_all(tables)
    except Exception as error:  # the user's code
        raise AutointerpError(
            f'explainer "{entry.python}" failed on {explainer}: {type(error).__name__}: {error}'
        ) from error
    known, said = set(tables.features.tolist()), [one.feature for one in made.explanations]
    if set(said) != known or len(said) != len(known) or made.lookup.n_features != len(tables.tokens.start) - 1:
        raise AutointerpError(
            f'explainer "{entry.python}" returned {len(said)} explanations and a lookup of {made.lookup.n_features} '
            f"features for {len(known)} of {len(tables.tokens.start) - 1}: one explanation a feature, a row a feature"
        )
    return [Explained([replace(one, explainer=explainer) for one in made.explanations], made.lookup)]


def evidence_tables(store: Queryable, dictionary: str, seed: int) -> EvidenceTables:
    """What embedded explainers see of a dictionary. Reads evidence (explain split) only."""
    tokens, pairs = read_gram_tables(store, dictionary)
    rows = store.rows(_FEATURES, dictionary=dictionary)
    features = np.array([row["feature"] for row in rows], dtype=np.int64)
    mass = np.zeros(len(tokens.start) - 1)
    mass[features] = [row["mass"] for row in rows]
    effects: list[dict[str, Any]] = store.rows(_EFFECTS, dictionary=dictionary)
    return EvidenceTables(
        vocabulary=read_vocab(store),
        special=[row["token"] for row in store.rows("SELECT token FROM vocab WHERE is_special")],
        features=features,
        tokens=tokens,
        pairs=pairs,
        total_mass=mass,
        promoted={row["feature"]: row["tokens"] for row in effects},
        promoted_z={row["feature"]: row["z"] for row in effects},
        seed=seed,
        direct=_two_sides(store.rows(_DIRECT, dictionary=dictionary)),
        measured=_two_sides(store.rows(_CHANGES, dictionary=dictionary, least=MEASURABLE)),
    )


def _two_sides(rows: Sequence[Mapping[str, Any]]) -> dict[int, TwoSides]:
    """By feature."""
    return {
        row["feature"]: TwoSides(
            StrongTokens(row["up"] or (), row["up_effect"] or ()),
            StrongTokens(row["down"] or (), row["down_effect"] or ()),
        )
        for row in rows
    }


# --- LLMs and the user's own


def _explain_asking(context: StageContext, name: str, work: Work) -> None:
    """The explanations of one explainer of one dictionary, and those of it that are asked for again."""
    for link in context.links_left(work):
        if not _explain_link(context, name, link):
            return


def _explain_link(context: StageContext, name: str, work: Work) -> bool:
    begun = time.monotonic()
    entries = {entry.name: entry for entry in context.config.explain.asking}
    assert work.explainer is not None
    entry = entries.get(work.explainer)
    if entry is None:
        imported = context.config.explain.imported
        of = next(name for name in (*entries, *imported) if shuffled_of(name) == work.explainer)
        made_by = None if of in imported else context.prepared.work("explain", name, of).links[0]
        if made_by is not None and not context.store.done("explain", made_by.key):
            context.asking.unexplained.add((name, work.explainer))
            return False
        made, refined = shuffle(context.store, name, of, context.config.seed), None
    else:
        made, refined = _explained(context, name, entry, work.redo)
    if not context.asking.whole(made.unanswered):
        context.asking.unexplained.add((name, work.explainer))
        return False
    again = 0 if work.redo is None else work.redo.number
    with context.store.transaction() as transaction:
        n = write_written(transaction, name, made.written, again)
        if refined is not None:
            n += write_refined(transaction, name, work.explainer, context.config.score.judge, refined, again)
        context.mark_done(transaction, work, n, time.monotonic() - begun)
    context.publish_at_times()
    return True


def _explained(
    context: StageContext, name: str, entry: LLMExplainer | PythonExplainer, redo: Redo | None
) -> tuple[Asked, Refined | None]:
    title = f"explaining {name} by {entry.name}"
    entry = context.asking.with_context(entry) if isinstance(entry, LLMExplainer) else entry
    if isinstance(entry, LLMExplainer) and entry.refines:
        judge = context.asking.judge() if entry.chooses else None

        def read(texts: Sequence[tuple[int, str]]) -> Sequence[tuple[Sequence[int], Float64]]:
            prepared, selected = context.prepared, context.open([name])[name]
            return read_tokens(prepared.subject, selected, texts, prepared.tokens.bos, prepared.tokens.context_length)

        with context.report.stage(title, None, "answers") as advance:
            refined = refine(
                context.store,
                context.materials.corpus,
                name,
                entry,
                judge,
                context.asking.client(),
                advance,
                read,
                redo,
            )
        made = refined.asked
        for line in [*_of_room(made, entry), *refined.lines()] if not made.unanswered.waiting else ():
            context.report.say(f"{title}: {line}")
        return made, refined
    n = context.n_features([name]) if redo is None else len(redo.explained)
    with context.report.stage(title, n, "features") as advance:
        if isinstance(entry, LLMExplainer):
            made = ask_explainer(context.store, name, entry, context.asking.client(), advance, redo)
            for line in _of_room(made, entry) if not made.unanswered.waiting else ():
                context.report.say(f"{title}: {line}")
            return made, None
        return run_explainer(context.store, name, entry, advance, redo), None


def _of_room(made: Asked, entry: LLMExplainer) -> list[str]:
    """What is to be said of prompts that did not fit into the model's context."""
    counts = [one.left_out for one in made.written if one.left_out]
    lines = []
    if counts:
        lines.append(
            f"{len(counts):,} prompts leave out exemplars, {sum(counts) / len(counts):.1f} on average: the context has "
            f"{entry.context_tokens:,} tokens (explanations.exemplars_left_out)"
        )
    long = [one for one in made.written if one.explanation.status == TOO_LONG]
    if long:
        lines.append(f"{len(long):,} features cannot be asked about: {long[0].reason}")
    return lines
