"""The forms of `lexical` by evidence: what a feature reads, what it promotes directly, what measurably rises, or all.

    lexical_input      where it fires, as `lexical` says it; nothing of what it promotes
    lexical_direct     the tokens that its direction promotes and suppresses by the weights alone
    lexical_measured   the tokens that rise and fall where it is clamped, of those past MEASURABLE standard errors
    lexical_all        where it fires, what measurably rises and falls, and what else its direction promotes

1. Of a side the NAMED strongest tokens are named, of those that explainers are shown, each with a strength: its effect
   as a share of the strongest one's on that side, in tenths, rounded; what rounds to 0 is not named.
2. Each predicts what its sentence says, and no more. Those that say where it fires predict that, as `lexical` does.
   The others say nothing of where it fires. Where an activation is asked of them, they are read as a list of tokens: it
   fires on those that they say it promotes, by the strength that they say. So every number that they are scored by
   stands in the text.
3. What was not measured has no label and no row; where nothing rises measurably the status is `no_effect`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.explain.clauses import Clauses, join
from autointerp.explain.controls import Explained
from autointerp.explain.lexical import STRENGTHS, predicted
from autointerp.explain.lookup import EMPTY, Entries, from_lists
from autointerp.explain.sentence import strength_groups
from autointerp.records import ANY_TOKEN, Explanation, Int64
from autointerp.words import LEXICAL_ALL, LEXICAL_DIRECT, LEXICAL_INPUT, LEXICAL_MEASURED

NAMED = 10
"""Tokens of a side that are named, at most."""
MEASURABLE = 3.0
"""Standard errors from which on a change counts as one."""
NO_EFFECT = "no_effect"
NO_DIRECT_PATH = "no_direct_path"


@dataclass(frozen=True)
class StrongTokens:
    """The tokens that a feature moves most to one side, the strongest first, and by how much."""

    tokens: Sequence[int]
    effect: Sequence[float]


@dataclass(frozen=True)
class TwoSides:
    """What a feature raises and lowers."""

    up: StrongTokens
    down: StrongTokens


def input_label(inputs: Explained) -> Explained:
    """`inputs`: `lexical`'s, without what is promoted."""
    return Explained([_named(one, LEXICAL_INPUT) for one in inputs.explanations], inputs.lookup)


def direct_labels(features: Int64, n_features: int, effects: Mapping[int, TwoSides], names: Sequence[str]) -> Explained:
    """Of all `features`; `effects` of those that have a direct path."""
    return _of_effects(LEXICAL_DIRECT, features.tolist(), n_features, effects, names)


def measured_labels(n_features: int, measured: Mapping[int, TwoSides], names: Sequence[str]) -> Explained:
    """Of the features that were measured."""
    return _of_effects(LEXICAL_MEASURED, sorted(measured), n_features, measured, names)


def labels_of_all(
    inputs: Explained, measured: Mapping[int, TwoSides], effects: Mapping[int, TwoSides], names: Sequence[str]
) -> Explained:
    """Of the features that were measured: where each fires, as `inputs` says it, and what it does."""
    said = []
    for own in inputs.explanations:
        if own.feature in measured:
            of = effects.get(own.feature)
            text = " ".join([own.text, *_clauses(measured[own.feature], names, of)]) if own.status == "ok" else ""
            said.append(Explanation(own.feature, LEXICAL_ALL, text, own.status))
    return Explained(said, inputs.lookup)


def _of_effects(
    explainer: str, features: Sequence[int], n_features: int, effects: Mapping[int, TwoSides], names: Sequence[str]
) -> Explained:
    said, rows = [], [EMPTY] * n_features
    for feature in features:
        of = effects.get(feature)
        if of is None:
            said.append(Explanation(feature, explainer, "", NO_DIRECT_PATH))
            continue
        rows[feature] = named_entries(of.up)
        named = len(rows[feature]) > 0
        text = " ".join(_clauses(of, names)) if named else ""
        said.append(Explanation(feature, explainer, text, "ok" if named else NO_EFFECT))
    return Explained(said, from_lists(rows))


def named_entries(strong: StrongTokens) -> Entries:
    """Step 1: the tokens that are named, with what their strengths predict."""
    effect = np.abs(np.asarray(strong.effect, dtype=np.float64))[:NAMED]
    strength = np.rint(STRENGTHS * effect / max(effect.max(initial=0.0), 1e-30)).astype(np.int64)
    token = np.asarray(strong.tokens, dtype=np.int32)[:NAMED][strength > 0]
    value, probability = predicted(strength[strength > 0])
    return Entries(np.full(len(token), ANY_TOKEN, np.int32), token, value, probability)


def _clauses(of: TwoSides, names: Sequence[str], direct: TwoSides | None = None) -> list[str]:
    """What is promoted and what is suppressed; with `direct` also what the direction alone promotes besides."""
    words, parts = Clauses(), []
    up, down = named_entries(of.up), named_entries(of.down)
    known = set(up.token.tolist())
    alone = [names[token] for token in (direct.up.tokens[:NAMED] if direct else ()) if token not in known]
    if len(up):
        groups = _groups(up, names)
        parts.append(words("rises_all", groups=groups, tokens=join(alone)) if alone else words("rises", groups=groups))
    elif alone:
        parts.append(words("promotes", tokens=join(alone)))
    if len(down):
        parts.append(words("falls", groups=_groups(down, names)))
    return parts


def _groups(entries: Entries, names: Sequence[str]) -> str:
    return strength_groups(entries, np.rint(entries.value * STRENGTHS).astype(np.int64).tolist(), names)


def _named(said: Explanation, explainer: str) -> Explanation:
    return Explanation(said.feature, explainer, said.text, said.status)
