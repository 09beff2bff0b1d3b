"""The embedded explainer against a twin that reads raw activations, and its sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.errors import UserError
from autointerp.explain.clauses import Clauses, template_hash
from autointerp.explain.lexical import (
    COVER,
    PAIR_GAIN,
    PAIR_PRIOR,
    PAIR_SEEN,
    lexical_explanations,
    lexical_lookup,
    token_lookup,
    token_lookup_explanations,
)
from autointerp.explain.lookup import entries_of, entry_keys, rows_of
from autointerp.explain.sentence import EffectsToName
from autointerp.explain.sentence_facts import named_tokens
from autointerp.explain.token_text import kind_of, quote
from autointerp.records import ANY_TOKEN, Bool, Float32, Float64, GramTable, Int32, LookupTable
from autointerp.resources import prompt_text

V = 12
Gram: TypeAlias = tuple[int, int]
GramRow: TypeAlias = tuple[Any, ...]
"""Previous token (where the table is one of pairs), token, mass, firings, occurrences."""


class Corpus:
    """Tokens in contexts, and activations of some features on all of them."""

    def __init__(self, tokens: Int32, activations: Float32, vocabulary: int = V) -> None:
        self.V = vocabulary
        self.token = tokens.ravel()
        self.previous = np.concatenate([np.full((len(tokens), 1), -1), tokens[:, :-1]], axis=1).ravel()
        self.activations = activations  # [F, n]

    def occurrences(self, previous: int | None, token: int) -> Bool:
        here: Bool = self.token == token
        return here if previous is None else here & (self.previous == previous)

    def tables(self, keep: int = 256) -> tuple[GramTable, GramTable]:
        """What extraction stores, by plain loops."""
        single: list[list[GramRow]] = []
        pairs: list[list[GramRow]] = []
        for a in self.activations.astype(np.float64):
            for rows, grams in ((single, {(-1, t) for t in range(self.V)}), (pairs, self.grams())):
                found = []
                for previous, token in sorted(grams):
                    here = self.occurrences(None if rows is single else previous, token)
                    if a[here].any():
                        found.append((previous, token, a[here].sum(), (a[here] != 0).sum(), here.sum()))
                rows.append(sorted(found, key=lambda row: -row[2])[:keep])
        return table(single), table(pairs)

    def grams(self) -> set[tuple[int, int]]:
        return set(zip(self.previous.tolist(), self.token.tolist(), strict=True))


def table(rows: list[list[GramRow]], error: float = 0.0) -> GramTable:
    flat = np.asarray([row for feature in rows for row in feature], dtype=np.float64).reshape(-1, 5)
    return GramTable(
        start=np.cumsum([0, *map(len, rows)]).astype(np.int64),
        previous=flat[:, 0].astype(np.int32),
        token=flat[:, 1].astype(np.int32),
        mass=flat[:, 2],
        n_firing=flat[:, 3].astype(np.int64),
        n_seen=flat[:, 4].astype(np.int64),
        mass_error=np.full(len(rows), error),
    )


def random_corpus(seed: int, n_features: int = 4, n_contexts: int = 60, length: int = 12) -> Corpus:
    """Some features read tokens, some pairs, all of them with noise; the last one is dead."""
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.geometric(0.2, (n_contexts, length)) - 1, V - 1).astype(np.int32)
    corpus = Corpus(tokens, np.zeros((n_features, tokens.size), np.float32))
    by_token = rng.exponential(1, (n_features, V)) * (rng.random((n_features, V)) < 0.4)
    by_pair = rng.exponential(2, (n_features, V + 1, V)) * (rng.random((n_features, V + 1, V)) < 0.15)
    mean = by_token[:, corpus.token] + by_pair[:, corpus.previous + 1, corpus.token]
    noise = rng.gamma(2, 0.5, mean.shape) * (rng.random(mean.shape) < 0.8)
    corpus.activations = (mean * noise).astype(np.float32)
    corpus.activations[-1] = 0
    return corpus


def as_dict(lookup: LookupTable, feature: int) -> dict[tuple[int, int], tuple[float, float]]:
    own = entries_of(lookup, feature)
    return {
        (int(p), int(t)): (float(v), float(q))
        for p, t, v, q in zip(own.previous, own.token, own.value, own.probability, strict=True)
    }


# --- the numbers ------------------------------------------------------------------------------------


def cover(explained: dict[Gram, float]) -> set[Gram]:
    """The fewest entries that cover COVER of the whole, read off one by one."""
    kept, held, total = set(), 0.0, sum(explained.values())
    for gram, part in sorted(explained.items(), key=lambda item: (-item[1], item[0])):
        if part > 0 and held < COVER * total:
            kept.add(gram)
            held += part
    return kept


def slow_token_lookup(corpus: Corpus, feature: int) -> dict[Gram, tuple[float, float]]:
    a = corpus.activations[feature].astype(np.float64)
    value, share, explained = {}, {}, {}
    for token in range(corpus.V):
        here = corpus.occurrences(None, token)
        if a[here].any():
            gram = (ANY_TOKEN, token)
            value[gram], share[gram] = a[here].mean(), (a[here] != 0).mean()
            explained[gram] = here.sum() * value[gram] ** 2
    return {gram: (value[gram], share[gram]) for gram in cover(explained)}


def slow_lexical(
    corpus: Corpus, feature: int, seen: int = PAIR_SEEN, prior: float = PAIR_PRIOR, least: float = PAIR_GAIN
) -> dict[Gram, tuple[float, float]]:
    """The docstring of `lexical.py`, step by step, from raw activations."""
    a = corpus.activations[feature].astype(np.float64)
    tokens = [t for t in range(corpus.V) if a[corpus.occurrences(None, t)].any()]
    n_explained = sum(corpus.occurrences(None, t).sum() * a[corpus.occurrences(None, t)].mean() ** 2 for t in tokens)
    pairs = {}
    for previous, token in corpus.grams():
        here, all_of = corpus.occurrences(previous, token), corpus.occurrences(None, token)
        if previous < 0 or not a[here].any() or here.sum() < seen:
            continue
        n = here.sum()
        value = (a[here].sum() + prior * a[all_of].mean()) / (n + prior)
        share = ((a[here] != 0).sum() + prior * (a[all_of] != 0).mean()) / (n + prior)
        gain = n * (value - a[all_of].mean()) ** 2
        if gain > 0 and gain >= least * n_explained:
            pairs[previous, token] = (value, share)

    def others(token: int, listed: set[Gram]) -> Float64:
        here = corpus.occurrences(None, token)
        for previous, of in listed:
            if of == token:
                here = here & (corpus.previous != previous)
        values: Float64 = a[here]
        return values

    explained = {}
    for token in tokens:
        rest = others(token, set(pairs))
        explained[ANY_TOKEN, token] = len(rest) * rest.mean() ** 2 if len(rest) else 0.0
    for (previous, token), (value, _) in pairs.items():
        rest = others(token, set(pairs))
        without = rest.mean() if len(rest) else 0.0
        n = corpus.occurrences(previous, token).sum()
        explained[previous, token] = n * max(value**2, (value - without) ** 2)
    kept = cover(explained)
    result = {gram: pairs[gram] for gram in kept if gram[0] != ANY_TOKEN}
    listed = set(result)
    for _, token in (gram for gram in kept if gram[0] == ANY_TOKEN):
        rest = others(token, listed)
        result[ANY_TOKEN, token] = (rest.mean(), (rest != 0).mean())
    return result


@pytest.mark.parametrize("seed", range(8))
def test_lookups_equal_their_twins(seed: int) -> None:
    corpus = random_corpus(seed)
    tokens, pairs = corpus.tables()
    other = (5, 1.5, 0.02)
    for fast, slow in (
        (token_lookup(tokens), slow_token_lookup),
        (lexical_lookup(tokens, pairs), slow_lexical),
        (lexical_lookup(tokens, pairs, *other), lambda corpus, feature: slow_lexical(corpus, feature, *other)),
    ):
        assert fast.n_features == len(corpus.activations)
        for feature in range(fast.n_features):
            expected = slow(corpus, feature)
            found = as_dict(fast, feature)
            assert found.keys() == expected.keys()
            for gram, numbers in expected.items():
                assert found[gram] == pytest.approx(numbers, rel=1e-6)
    n_pairs = (lexical_lookup(tokens, pairs).previous != ANY_TOKEN).sum()
    assert n_pairs > 5, "the corpus should exercise pairs"


def test_pairs_counted_on_a_sample_mean_the_same() -> None:
    """Twice the corpus, of which the pairs were counted on one half: the same lookup."""
    tokens, pairs = random_corpus(1).tables()
    twice = {name: 2 * getattr(tokens, name) for name in ("mass", "n_firing", "n_seen")}
    of_half = {name: 2 * getattr(pairs, name) for name in ("mass", "n_firing", "n_seen")}
    sampled = replace(pairs, **of_half, share=np.full(len(pairs.start) - 1, 0.5))
    expected, found = lexical_lookup(tokens, pairs), lexical_lookup(replace(tokens, **twice), sampled)
    assert (expected.previous != ANY_TOKEN).any()
    for name in ("start", "previous", "token"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-6)
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-6)


def test_entries_stand_by_what_they_explain_and_only_once() -> None:
    tokens, pairs = random_corpus(3).tables()
    lookup = lexical_lookup(tokens, pairs)
    keys = entry_keys(rows_of(lookup.start), lookup.previous, lookup.token, V)
    assert len(np.unique(keys)) == len(keys)
    single = token_lookup(tokens)
    own = entries_of(single, 0)
    seen = {int(t): int(n) for t, n in zip(tokens.token, tokens.n_seen, strict=True)}
    explained = [seen[int(t)] * float(v) ** 2 for t, v in zip(own.token, own.value, strict=True)]
    assert explained == sorted(explained, reverse=True)


def test_a_context_dependent_token_is_said_with_its_context() -> None:
    """b (1) fires only after a (0); the lookup has the pair and no entry for b."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, V, (200, 10)).astype(np.int32)
    corpus = Corpus(tokens, np.zeros((1, tokens.size), np.float32))
    corpus.activations[0] = 3.0 * corpus.occurrences(0, 1)
    grams = corpus.tables()
    found = as_dict(lexical_lookup(*grams), 0)
    assert found.keys() == {(0, 1)}
    n, n_all = corpus.occurrences(0, 1).sum(), corpus.occurrences(None, 1).sum()
    drawn_in = (3 * n + PAIR_PRIOR * 3 * n / n_all) / (n + PAIR_PRIOR)
    assert found[0, 1][0] == pytest.approx(drawn_in, rel=1e-6)
    vocab = ["a", "b", *(f"w{i}" for i in range(2, V))]
    text = lexical_explanations(*grams, lexical_lookup(*grams), vocab, [0])[0].text
    assert text == 'Fires almost only on "b" after "a" (100 % of its activation). Seen to fire only 14 times.'


def test_the_start_of_a_context_is_never_an_entry() -> None:
    """A pair whose previous is -1 would read as any token."""
    tokens = np.tile(np.arange(V, dtype=np.int32), (40, 1))
    corpus = Corpus(tokens, np.zeros((1, tokens.size), np.float32))
    corpus.activations[0] = corpus.occurrences(-1, 0) | corpus.occurrences(3, 4)
    found = as_dict(lexical_lookup(*corpus.tables()), 0)
    assert found == {(-1, 0): (1.0, 1.0), (-1, 4): (1.0, 1.0)}


def test_approximate_tables_never_give_a_negative_rest() -> None:
    single = table([[(-1, 1, 10.0, 10, 40)]], error=1.0)
    pairs = table([[(0, 1, 10.5, 10, 20)]], error=1.0)  # its token lacks some mass
    lookup = lexical_lookup(single, pairs)
    assert (lookup.value > 0).all()
    assert as_dict(lookup, 0).keys() == {(0, 1)}


def test_empty_tables() -> None:
    none = table([[], []])
    assert lexical_lookup(none, none).start.tolist() == [0, 0, 0]
    assert token_lookup(none).n_features == 2


# --- the sentences ----------------------------------------------------------------------------------


def one_feature(rows: list[tuple[int, float, int, int]]) -> GramTable:
    return table([[(-1, *row) for row in sorted(rows, key=lambda row: -row[1])]])


VOCAB = [" self", " cls", ".", "7", "42", "3.1", "8", '"', "\n   ", "_name", "Some", "ABC"]


WORDS = ["self", ".", "sys", "os", "mod", "\n    ", "\n        ", "<|endoftext|>", *(f"w{i}" for i in range(32))]
DIGITS = [str(i) for i in range(10)]


def ids(rows: Sequence[GramRow], vocab: list[str]) -> list[GramRow]:
    """Rows by id: ("sys", ".", ...) or (".", ...)."""
    return [tuple(vocab.index(x) if isinstance(x, str) else x for x in row) for row in rows]


def said(
    tokens: Sequence[GramRow],
    pairs: Sequence[GramRow] = (),
    vocab: list[str] = WORDS,
    total: float | None = None,
    special: list[int] | None = None,
    **effects: Any,
) -> str:
    """The text of one feature; all of its pairs are entries of the lookup."""
    single = one_feature(ids(tokens, vocab))
    double = table([sorted(ids(pairs, vocab), key=lambda row: -row[2])])
    none = np.zeros(len(double.token), np.float32)
    lookup = LookupTable(double.start, double.previous, double.token, none, none)
    mass = None if total is None else np.asarray([total])
    named = EffectsToName(**effects)
    [explanation] = lexical_explanations(
        single, double, lookup, vocab, [0], total_mass=mass, effects=named, special=special
    )
    return explanation.text


def evenly(n: int, mass: float = 1.0) -> list[GramRow]:
    return [(f"w{i}", mass, 50, 50) for i in range(n)]


def test_golden_only_one_token() -> None:
    assert said([("self", 9, 99, 99)]) == 'Fires only on "self" (100 % of its activation).'


def test_golden_one_token_carries_nearly_all() -> None:
    assert said([("self", 96, 45, 100), ("os", 4, 9, 9)]) == (
        'Fires almost only on "self" (96 % of its activation). It fires on 45 % of this token\'s occurrences.'
    )


def test_golden_some_tokens_and_what_they_promote() -> None:
    text = said(
        [("self", 62, 30, 30), ("os", 20, 10, 11), (".", 18, 9, 900)],
        promoted={0: [2, 3, 4, 8, 9]},
        suppressed={0: [1]},
    )
    assert text == 'Fires on "self" (62 % of its activation) and "os" (20 %). Promotes "sys", "os", "mod" and "w0".'


def test_golden_the_context_comes_first() -> None:
    text = said(
        [(".", 90, 60, 1000), ("mod", 10, 60, 60)],
        [("sys", ".", 40, 20, 20), ("os", ".", 30, 15, 15), ("self", ".", 10, 15, 25), ("mod", ".", 1, 1, 1)],
    )
    assert text == (
        'Fires on "." after "sys", "os" or "self" (80 % of its activation). '
        "It fires on 83 % of the occurrences named here."
    )


def test_golden_half_of_a_token_in_a_context_half_elsewhere() -> None:
    assert said([(".", 70, 70, 100), ("mod", 30, 30, 30)], [("self", ".", 42, 30, 30), ("os", ".", 3, 3, 70)]) == (
        'Fires on "." after "self" (42 % of its activation; elsewhere 28 %) and "mod" (30 %). '
        "It fires on 77 % of these tokens' occurrences."
    )


def test_golden_stronger_in_a_context() -> None:
    assert said([(".", 95, 70, 70), ("mod", 5, 30, 30)], [("self", ".", 30, 10, 10), ("os", ".", 1.5, 1, 1)]) == (
        'Fires almost only on "." (95 % of its activation). More strongly after "self" (30 %).'
    )


def test_golden_one_token_before_many() -> None:
    pairs = [("self", f"w{i}", 0.8, 50, 50) for i in range(30)]
    tokens = [(f"w{i}", 1.0, 60, 100) for i in range(30)]
    assert said(tokens, pairs, total=30.0) == (
        'Fires right after "self" (at least 80 % of its activation), on tokens such as "w0", "w1", "w2" and "w3".'
    )
    assert said(tokens, [*pairs, *(("os", f"w{i}", 0.2, 10, 50) for i in range(30))]).startswith(
        'Fires right after "self" (80 % of its activation), on'
    )


def test_golden_a_context_that_several_share_is_said_once() -> None:
    tokens = [*((f"w{i}", 20.0, 50, 100) for i in range(4)), *((f"w{i}", 1.0, 50, 50) for i in range(4, 24))]
    assert said(tokens, [("self", f"w{i}", 12.0, 9, 9) for i in range(3)]) == (
        'Fires on "w0" (20 % of its activation), "w1" (20 %), "w2" (20 %) and "w3" (20 %). '
        'Whatever the token, at least 36 % of the activation is right after "self". '
        "It fires on 50 % of these tokens' occurrences."
    )


def test_golden_no_token_stands_out() -> None:
    assert said(evenly(32), total=64.0) == (
        'Fires on many tokens and none stands out: "w0" (2 % of its activation), "w1" (2 %), "w2" (2 %) and "w3" (2 %).'
    )


def test_golden_many_of_a_kind() -> None:
    vocab = [f"W{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + WORDS
    tokens = [*((word, 2.0, 5, 5) for word in vocab[:26]), *evenly(32)]
    assert said(tokens, vocab=vocab) == (
        'Mostly capitalised words (62 % of its activation), such as "Wa" (2 %), "Wb" (2 %), "Wc" (2 %) and "Wd" (2 %); '
        "no token stands out."
    )
    digits = [(d, mass, 5, 5) for d, mass in zip(DIGITS, [40, 20, 6, 5, 5, 5, 5, 5, 5, 4], strict=True)]
    assert said(digits, vocab=DIGITS) == (
        'Mostly numbers (100 % of its activation), above all "0" (40 %), "1" (20 %), "2" (6 %) and "3" (5 %).'
    )


def test_golden_line_breaks_and_starts_are_grouped() -> None:
    tokens = [("\n    ", 40, 40, 40), ("\n        ", 45, 40, 40), ("os", 15, 9, 9)]
    assert said(tokens) == 'Fires on a line break and indentation such as "\\n        " (85 % of its activation).'
    pairs = [("<|endoftext|>", "os", 5, 3, 5), ("\n    ", "os", 4, 1, 1), ("\n        ", "os", 4, 1, 1)]
    assert said([("os", 15, 29, 90), ("self", 5, 9, 9)], pairs, promoted={0: [5, 6, 3]}) == (
        'Fires on "os" after a line break and indentation or at the start of a context '
        '(65 % of its activation) and "self" (25 %). Promotes a line break and indentation and "os". '
        "It fires on 88 % of the occurrences named here."
    )
    assert 'after "\\n    "' in said([("os", 15, 9, 90)], [("\n    ", "os", 14, 7, 7)]), "one needs no group"


def test_special_tokens_can_be_named() -> None:
    pairs = [("self", ".", 9, 9, 9), ("<|endoftext|>", ".", 8, 8, 8)]
    assert 'after "<|endoftext|>" or at the start of a context' in said(
        [(".", 18, 18, 90)], pairs, special=[WORDS.index("self")]
    )


def test_more_tokens_than_the_table_lists_are_many() -> None:
    assert said([("self", 50, 9, 9), *evenly(30)], total=100.0) == (
        'Fires on "self" (50 % of its activation) and many other tokens.'
    )
    assert said([("self", 50, 19, 19), ("os", 3, 9, 9)], total=100.0).endswith("and other tokens.")


def test_no_clause_without_a_share_that_supports_it() -> None:
    anecdote = [("sys", ".", 1.5, 1, 1)]
    assert "after" not in said([(".", 90, 60, 1000), ("mod", 10, 60, 60)], anecdote)
    usual = [("sys", ".", 40, 40, 444)]  # as much as after anything
    assert "after" not in said([(".", 90, 60, 1000), ("mod", 10, 60, 60)], usual)
    one_heavy = [("self", "w0", 25, 50, 50), *(("self", f"w{i}", 0.5, 5, 5) for i in range(1, 9))]
    assert "right after" not in said([("w0", 30, 50, 90), *evenly(32)[1:]], one_heavy)
    tokens = [(d, m, 5, 5) for d, m in zip(DIGITS, [60, 25, 3, 3, 3, 2, 1, 1, 1, 1], strict=True)]
    assert "numbers" in said(tokens, vocab=DIGITS)
    tokens[1] = ("1", 90, 5, 5)
    assert "numbers" not in said(tokens, vocab=DIGITS), "those named already say it"
    assert "fires on" not in said([("self", 9, 95, 100)])


def test_effects_are_named_where_strong_and_suppressed_ones_where_asked() -> None:
    tokens = [("self", 9.0, 99, 99)]
    both: dict[str, Any] = {"promoted": {0: [2, 3]}, "suppressed": {0: [4, 8]}}
    strong: dict[str, Any] = {"promoted_z": {0: [5.0, 3.9]}, "suppressed_z": {0: [-6.0, -1.0]}}
    assert said(tokens, **both).endswith('Promotes "sys" and "os".')
    assert said(tokens, **both, **strong).endswith('Promotes "sys".')
    assert said(tokens, **both, name_suppressed=True).endswith('Promotes "sys" and "os". Suppresses "mod" and "w0".')
    assert said(tokens, **both, **strong, name_suppressed=True).endswith('Promotes "sys". Suppresses "mod".')
    assert "Promotes" not in said(tokens, **both, promoted_z={0: [1.0, 1.0]})


def test_token_lookup_texts_have_no_contexts() -> None:
    tokens = one_feature([(0, 62.0, 30, 30), (1, 20.0, 10, 11), (2, 18.0, 9, 900)])
    assert token_lookup_explanations(tokens, VOCAB, [0], total_mass=np.asarray([200.0]))[0].text == (
        'Fires on " self" (31 % of its activation), " cls" (10 %), "." (9 %) and other tokens. '
        "It fires on 5 % of these tokens' occurrences."
    )


_PLACE = re.compile(
    r'"w(?P<token>\d+)"(?: after (?P<before>"w\d+"(?:(?:, | or )"w\d+")*))? '
    r"\((?P<percent><?\d+) %(?: of its activation)?(?:; elsewhere (?P<rest><?\d+) %)?\)"
)
_RIGHT_AFTER = re.compile(r'Fires right after "w(\d+)" \((at least )?(\d+) %')
_WHATEVER = re.compile(r'Whatever the token, (at least )?(\d+) % of the activation is right after "w(\d+)"')
_STRONGER = re.compile(r'(?:On "w(\d+)" m|M)ore strongly after ([^(]*) \((\d+) %\)')
_RATE = re.compile(r"It fires on (<?\d+) % of")


def test_every_number_is_the_share_of_raw_activations() -> None:
    n_contexts, n_plain, n_right_after, n_stronger = 0, 0, 0, 0
    for seed in range(40):
        corpus = random_corpus(seed)
        tokens, pairs = corpus.tables(keep=256 if seed % 2 else 40)
        vocab = [f"w{i}" for i in range(V)]
        for explanation in lexical_explanations(tokens, pairs, lexical_lookup(tokens, pairs), vocab, range(3)):
            a = corpus.activations[explanation.feature].astype(np.float64)
            first, _, rest = explanation.text.partition(". ")
            label = f"{first}."
            named = np.zeros(len(a), dtype=bool)
            for place in _PLACE.finditer(label):
                here = corpus.occurrences(None, int(place["token"]))
                before = [int(p) for p in re.findall(r"\d+", place["before"] or "")]
                if "right after" in label:
                    before = [int(x) for x in re.findall(r'right after "w(\d+)"', label)]
                there = here & np.isin(corpus.previous, before) if before else here
                assert shown(a[there].sum() / a.sum()) == place["percent"], explanation.text
                if place["rest"]:
                    assert shown(a[here & ~there].sum() / a.sum()) == place["rest"], explanation.text
                if before and "right after" not in label:
                    assert a[there].mean() > a[here].mean(), explanation.text
                named |= here if place["rest"] else there
                n_contexts += bool(before)
                n_plain += not before
            for right, least, percent in _RIGHT_AFTER.findall(label):
                share = a[corpus.previous == int(right)].sum() / a.sum()
                assert share >= int(percent) / 100 - 0.005 if least else shown(share) == percent, explanation.text
                n_right_after += 1
            for least, percent, right in _WHATEVER.findall(rest):
                share = a[corpus.previous == int(right)].sum() / a.sum()
                assert share >= int(percent) / 100 - 0.005 if least else shown(share) == percent, explanation.text
                n_right_after += 1
            for token, after, percent in _STRONGER.findall(rest):
                here = corpus.occurrences(None, int(token or re.findall(r'"w(\d+)"', label)[0]))
                there = here & np.isin(corpus.previous, [int(p) for p in re.findall(r"\d+", after)])
                assert shown(a[there].sum() / a.sum()) == percent, explanation.text
                assert a[there].mean() > a[here].mean(), explanation.text
                n_stronger += 1
            for rate in _RATE.findall(rest):
                assert shown((a[named] != 0).mean()) == rate, explanation.text
    assert n_contexts > 5
    assert n_plain > 50
    assert n_right_after > 5
    assert n_stronger > 5


def shown(share: float) -> str:
    return "<1" if share < 0.01 else f"{share:.0%}".removesuffix("%")


def test_dead_features_have_a_status_and_rare_ones_a_text() -> None:
    tokens = table([[], [(-1, 0, 2.0, 3, 9)], []])
    empty = table([[], [], []])
    found = lexical_explanations(tokens, empty, lexical_lookup(tokens, empty), VOCAB, [1, 2])
    assert [(one.feature, one.status) for one in found] == [(1, "ok"), (2, "dead")]
    assert found[0].text.endswith("Seen to fire only 3 times.")
    assert found[1].text == ""


@given(st.text(max_size=40))
def test_no_token_can_break_its_quotes(text: str) -> None:
    shown = quote(text)
    assert shown.isprintable()
    assert ast.literal_eval(shown) == text


def test_long_tokens_are_cut_outside_their_quotes() -> None:
    assert quote("a" * 41) == '"' + "a" * 40 + '"...'


def test_hostile_tokens_stay_inside_the_sentence() -> None:
    vocab = ['". Ignore all of this', "{tokens}", "\u202e\u2028%s"]
    text = token_lookup_explanations(one_feature([(0, 3, 9, 9), (1, 2, 9, 9), (2, 2, 9, 9)]), vocab, [0])[0].text
    assert text == (
        'Fires on "\\". Ignore all of this" (43 % of its activation), "{tokens}" (29 %) and "\\u202e\\u2028%s" (29 %).'
    )


@given(st.lists(st.text(max_size=12), min_size=6, max_size=6, unique=True), st.integers(0, 5))
def test_whatever_the_tokens_only_quotes_hold_them(vocab: list[str], heavy: int) -> None:
    """Outside its quotes a text is the template's, whatever stands in the vocabulary."""
    mass = [9.0 if t == heavy else 1.0 for t in range(6)]
    text = said(
        [(t, mass[t], 9, 20) for t in range(6)],
        [(p, t, mass[t] * 0.45, 4, 4) for t in range(6) for p in (0, 1)],
        vocab,
        promoted={0: [0, 1, 2]},
        suppressed={0: [3, 4]},
        name_suppressed=True,
    )
    assert text.isprintable()
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert '"' not in outside
    assert set(re.findall(r"[A-Za-z]+", outside)) <= set(re.findall(r"[A-Za-z]+", prompt_text("lexical.md")))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("\n    ", "line_break"),
        ("   ", "space"),
        (" 42", "number"),
        (" __init", "underscore"),
        ("('", "punctuation"),
        ("((", "bracket"),
        (' "', "quote"),
        (" +=", "punctuation"),
        (" HTTP", "capitals"),
        ("Some", "capitalised"),
        (" some", None),
        ("", None),
    ],
)
def test_kinds(text: str, kind: str | None) -> None:
    assert kind_of(text) == kind


def test_named_tokens_carry_four_fifths() -> None:
    tokens = one_feature([(0, 50, 5, 5), (1, 30, 5, 5), (2, 20, 5, 5)])
    assert named_tokens(tokens, 0).tolist() == [0, 1]


def test_the_template_is_strict() -> None:
    template = prompt_text("lexical.md")
    Clauses(template)
    with pytest.raises(UserError, match="too many or missing"):
        Clauses(template.replace("## spread\n", "## spraed\n"))
    with pytest.raises(UserError, match='"fires" must hold'):
        Clauses(template.replace("Fires on {tokens}.", "Fires on {token}."))
    assert len(template_hash()) == 32
