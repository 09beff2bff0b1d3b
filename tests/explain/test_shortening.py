"""Prompts that do not fit into a context: the fewest exemplars go, the prompt says so; what cannot fit is refused."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import pytest

from autointerp.explain.evidence import Evidence, Exemplar
from autointerp.explain.presets import PRESETS
from autointerp.explain.prompt import explain_ask, style
from autointerp.explain.shortening import fitted, too_long
from autointerp.llm.asks import Ask
from autointerp.llm.lengths import room_for


def evidence() -> Evidence:
    draw = random.Random(5)

    def exemplar(stratum: str, number: int, value: float) -> Exemplar:
        tokens = tuple(" " + "x" * draw.randint(1, 9) + f"{stratum[0]}{number}_{i}" for i in range(16))
        return Exemplar(stratum, tokens, tuple(value if i == 8 else 0.0 for i in range(16)), 8)

    shown = [exemplar("top", n, 10 - n / 10) for n in range(20)]
    shown += [exemplar(f"quantile_{part:02d}", n, part + 0.5) for part in range(10) for n in range(4)]
    shown += [exemplar(f"interval_{part:02d}", n, part + 0.5) for part in range(12) for n in range(2)]
    shown += [exemplar("random", n, 0.0) for n in range(5)] + [exemplar("near_miss", n, 0.0) for n in range(10)]
    return Evidence("d", 3, 10.0, 0.01, tuple(shown), (" up", " on"), (" down",))


def slow(preset: str, context: int) -> int | None:
    """Every set of the longest exemplars, one more each time, until the prompt fits."""
    chosen, whole = style(preset, "both"), evidence()
    shown = [*chosen.preset.choose(whole), *chosen.preset.silent(whole)]
    best = max(shown, key=lambda one: max(one.activations))
    order = sorted((one for one in shown if one is not best), key=lambda one: -sum(map(len, one.tokens)))
    for n in range(len(shown) + 1):
        ask = explain_ask(chosen, replace(whole, left_out=tuple([*order, best][:n])))
        if room_for(ask) <= context:
            return n
    return None


@pytest.mark.parametrize("preset", PRESETS)
def test_the_fewest_exemplars_go(preset: str) -> None:
    chosen = style(preset, "both")
    ask_of = partial(explain_ask, chosen)
    whole = ask_of(evidence())
    full, least = room_for(whole), room_for(ask_of(replace(evidence(), left_out=evidence().exemplars)))
    assert fitted(chosen, evidence(), ask_of, None, None) == (whole, 0)
    assert fitted(chosen, evidence(), ask_of, full, None) == (whole, 0)
    for context in (full - 1, (full + least) // 2, least + 200, least):
        ask, gone = fitted(chosen, evidence(), ask_of, context, None)
        assert gone == slow(preset, context)
        assert room_for(ask) <= context
        assert too_long(ask, context, None) == ""
        said = "One further excerpt of this kind is left out" if gone == 1 else f"{gone} further excerpts of this kind"
        assert gone > 0
        assert said in ask.prompt
        kept = [one for one in evidence().exemplars if "".join(one.tokens[:4]) in ask.prompt]
        assert context == least or evidence().exemplars[0] in kept or "top" not in preset, "the strongest goes last"
    assert "left out" not in whole.prompt


def test_what_cannot_fit_says_both_figures() -> None:
    chosen = style("default", "both")
    ask, gone = fitted(chosen, evidence(), partial(explain_ask, chosen), 900, None)
    assert gone == 25, "all that the preset shows"
    why = too_long(ask, 900, None)
    assert f"take up to {room_for(ask):,} tokens, and the context has 900" in why
    assert too_long(ask, None, None) == ""


def test_the_reply_counts_as_the_run_file_has_it() -> None:
    chosen = style("default", "both")
    ask_of = partial(explain_ask, chosen)
    context = room_for(ask_of(evidence()))
    assert fitted(chosen, evidence(), ask_of, context, 4000)[1] > 0
    assert fitted(chosen, evidence(), ask_of, context, 100)[1] == 0


def test_a_style_without_exemplars_is_left_as_it_is() -> None:
    chosen = style("default", "output")
    calls: list[Ask] = []

    def ask_of(shown: Evidence) -> Ask:
        calls.append(explain_ask(chosen, shown))
        return calls[-1]

    assert fitted(chosen, evidence(), ask_of, 10, None) == (calls[0], 0)
    assert len(calls) == 1
    assert "the context has 10" in too_long(calls[0], 10, None)
