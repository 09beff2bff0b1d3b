"""How many features a baseline has."""

from __future__ import annotations

from collections.abc import Callable

from autointerp.config.baseline_kinds import KindFacts, UnitCount
from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.errors import InputError
from autointerp.subject.baselines.registry import kind_of


def n_baseline_features(config: DictionaryEntry, d_in: int, n_target: int | None) -> int:
    """How many features a baseline has; `n_target`: those of the dictionary that it is matched to.

    Raises UserError where it cannot have as many as asked for, or is of the user's own kind and cannot be made.
    """
    facts = kind_of(config.kind).facts
    if n_target is None:
        return UNMATCHED[facts.units](config, facts, d_in)
    if config.n_features is not None and config.n_features > n_target:
        raise InputError(
            f'dictionary "{config.name}": n_features = {config.n_features}, but "{config.match}" has {n_target} '
            "features to match"
        )
    return config.n_features or n_target


def _both_signs(config: DictionaryEntry, facts: KindFacts, d_in: int) -> int:
    if config.n_features is not None:
        raise InputError(
            f'dictionary "{config.name}": unmatched {facts.plural} are all {2 * d_in} (both signs); choose with '
            "features = ..."
        )
    return 2 * d_in


def _at_most_the_width(config: DictionaryEntry, _facts: KindFacts, d_in: int) -> int:
    if config.n_features is not None and config.n_features > d_in:
        raise InputError(
            f'dictionary "{config.name}": n_features = {config.n_features}, but activations of width {d_in} have '
            f"{d_in} components at most"
        )
    return config.n_features or d_in


def _as_given(config: DictionaryEntry, _facts: KindFacts, _d_in: int) -> int:
    assert config.n_features is not None  # the run file gives it
    return config.n_features


UNMATCHED: dict[UnitCount, Callable[[DictionaryEntry, KindFacts, int], int]] = {
    "coordinates": _both_signs,
    "components": _at_most_the_width,
    "drawn": _as_given,
    "copied": _as_given,
}
