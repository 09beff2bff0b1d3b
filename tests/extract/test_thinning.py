"""Thinning against its slow twin, and its probabilities by simulation."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from autointerp.extract.thinning import LATE, PHRASE, Orders, phrases_of, thin
from autointerp.records import Float64, Int64


def twin(group: Int64, phrase: Int64, document: Int64, orders: Orders, each: int) -> dict[int, list[tuple[int, float]]]:
    """Group -> candidates in the order in which they are taken, each with its probability. One after the other."""
    found: dict[int, list[tuple[int, float]]] = {}
    for number in sorted(set(group.tolist())):
        mine = sorted(np.flatnonzero(group == number).tolist(), key=lambda i: (orders.in_phrase[i], i))
        alike = Counter(phrase[i] for i in mine)
        left = [i for n, i in enumerate(mine) if phrase[i] not in {phrase[j] for j in mine[:n]}]
        by_document: dict[int, list[int]] = defaultdict(list)
        for i in sorted(left, key=lambda i: orders.in_document[i]):
            by_document[int(document[i])].append(i)
        taken: list[int] = []
        turn, expected = 0, dict.fromkeys(by_document, 0.0)
        while any(len(some) > turn for some in by_document.values()) and len(taken) < each:
            here = [name for name, some in by_document.items() if len(some) > turn]
            room = each - len(taken)
            for name in here:
                expected[name] += min(1.0, room / len(here))
            here.sort(key=lambda name: orders.of_documents[by_document[name][turn]])
            taken += [by_document[name][turn] for name in here[:room]]
            turn += 1
        found[number] = [
            (i, expected[int(document[i])] / len(by_document[int(document[i])]) / alike[phrase[i]]) for i in taken
        ]
    return found


@pytest.mark.parametrize("each", [1, 3, 4, 50])
@pytest.mark.parametrize(("n", "n_phrases", "n_documents"), [(0, 1, 1), (40, 5, 3), (200, 60, 2), (300, 300, 40)])
def test_it_is_its_twin(each: int, n: int, n_phrases: int, n_documents: int) -> None:
    rng = np.random.default_rng(n + each)
    group = np.sort(rng.integers(0, 7, n))
    phrase, document = rng.integers(0, n_phrases, n), rng.integers(0, n_documents, n)
    orders = Orders(rng.permutation(n), rng.permutation(n), rng.permutation(n_documents)[document])
    found = thin(group, phrase, document, orders, each)
    slow = twin(group, phrase, document, orders, each)
    assert sum(map(len, slow.values())) == len(found.index)
    for number, wanted in slow.items():
        mine = group[found.index] == number
        assert found.index[mine].tolist() == [i for i, _ in wanted]
        assert found.rank[mine].tolist() == list(range(len(wanted)))
        np.testing.assert_allclose(found.probability[mine], [p for _, p in wanted])
        shown = phrase[found.index[mine]].tolist()
        assert len(set(shown)) == len(shown), "no phrase twice"


def test_many_rounds_of_one_document_are_its_twin() -> None:
    """More rounds than are put in order at once (LATE)."""
    rng = np.random.default_rng(3)
    n = 2 * LATE + 50
    document = np.minimum(rng.integers(0, 40, n), 2)  # nearly all of one
    orders = Orders(rng.permutation(n), rng.permutation(n), np.array([5, 1 << 40, 7])[document])
    candidates = np.zeros(n, np.int64), np.arange(n), document, orders, n - 20
    found = thin(*candidates)
    assert found.rank.max() > LATE
    assert found.index.tolist() == [i for i, _ in twin(*candidates)[0]]


def draws(each: int, n_draws: int) -> tuple[Float64, Float64, Float64]:
    """Of 60 candidates of one group: how often each was taken, its probability, and the estimates of a total."""
    rng = np.random.default_rng(each)
    n = 60
    document = rng.choice(9, n, p=np.array([0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03]))
    phrase = np.where(rng.random(n) < 0.4, 1000 + rng.integers(0, 4, n), np.arange(n))
    value = rng.exponential(size=n)
    taken, probability, totals = np.zeros(n), np.zeros(n), []
    for _ in range(n_draws):
        orders = Orders(rng.permutation(n), rng.permutation(n), rng.permutation(9)[document])
        found = thin(np.zeros(n, np.int64), phrase, document, orders, each)
        taken[found.index] += 1
        probability[found.index] += found.probability
        totals.append((value[found.index] / found.probability).sum())
    return taken / n_draws, probability / n_draws, np.array([*totals, value.sum()])


@pytest.mark.parametrize("each", [4, 12])
def test_the_probabilities_are_those_of_being_taken(each: int) -> None:
    n_draws = 4000
    taken, mean_probability, totals = draws(each, n_draws)
    assert (taken > 0).all()
    *estimates, truth = totals
    spread = np.std(estimates) / n_draws**0.5
    assert abs(np.mean(estimates) - truth) < 4 * spread
    assert spread < 0.03 * truth
    assert mean_probability.max() <= 1


def test_phrases_end_at_the_place(token_file: Any) -> None:
    rng = np.random.default_rng(0)
    context = rng.integers(0, token_file.n_contexts, 400)
    place = rng.integers(0, token_file.context_length, 400)
    found = phrases_of(token_file, context, place)
    texts = [
        tuple(token_file.tokens[c, max(0, p - PHRASE + 1) : p + 1].tolist())
        for c, p in zip(context.tolist(), place.tolist(), strict=True)
    ]
    for i in range(400):
        for j in range(i):
            assert (found[i] == found[j]) == (texts[i] == texts[j])
