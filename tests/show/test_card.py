"""The card of a feature: the data that the store holds, on a page that fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest
from rich.cells import cell_len

from autointerp.errors import StoreError
from autointerp.score.metric_registry import METRICS, metrics_for
from autointerp.score.scorers.registry import SCORERS as REGISTRY
from autointerp.show.card import feature_card, render_card
from autointerp.show.card_data import (
    CardDiagnostics,
    ExplanationLine,
    FeatureCard,
    LogitEffect,
    Neighbour,
    ScoreLine,
    load_card,
)
from autointerp.show.card_exemplars import CardExemplar, ShownToken
from autointerp.show.good_example import good_example
from autointerp.show.picture import draw
from autointerp.store.reader import StoreReader, open_reader
from autointerp.words import LEXICAL_CONTROLS, SCORERS, explainer_order

Printed = Callable[..., str]


def test_the_card_holds_what_the_store_holds(opened: StoreReader, built: tuple[Path, SimpleNamespace]) -> None:
    world = built[1]
    card = load_card(opened, "sae", 1, top=3, each=2)
    acts = world.truth["sae"][1]
    assert card.status == "alive"
    assert card.n_firing == int((acts[world.split == "explain"] > 0).sum())
    assert card.max_activation == acts[world.split == "explain"].max()
    assert sum(card.histogram_log) == card.n_firing
    assert [line.explainer for line in card.explanations] == ["lexical", "token_lookup", "shuffled", "constant"]
    assert [(score.metric, score.status) for score in card.explanations[0].scores] == [("pearson", "ok")]
    assert [exemplar.stratum for exemplar in card.exemplars] == ["top"] * 3 + ["interval_01"] * 2 + ["random"] * 2
    assert [exemplar.rank for exemplar in card.exemplars] == [0, 1, 2, 0, 1, 0, 1]
    for exemplar in card.exemplars:
        start = exemplar.window_start
        truth = acts[exemplar.context, start : start + 8]
        assert [token.activation for token in exemplar.tokens] == truth[: len(exemplar.tokens)].tolist()
        assert exemplar.tokens[exemplar.peak].activation == exemplar.max_activation
        document = [
            opened.rows("SELECT text FROM vocab WHERE token = $t", t=int(t))[0]["text"]
            for t in world.tokens[exemplar.context][: world.length[exemplar.context]]
        ]
        shown = [*exemplar.before, *(token.text for token in exemplar.tokens), *exemplar.after]
        assert shown == document[max(start - 12, 0) : start + 8 + 12]
    assert [effect.text for effect in card.promoted] == [" w10", "\x1b[31m[red]\u202e\n", " w12"]
    [depends], [behind] = card.contexts.depends, card.contexts.behind
    assert (depends.text, depends.alone) == (behind.texts and " w6", 0.25)
    assert [token.place for token in depends.tokens] == [-2, -1]
    assert [token.lost for token in depends.tokens] == pytest.approx([0.1, 0.6])
    assert [(pair.lost, round(pair.beyond, 6)) for pair in depends.pairs] == [(1.0, 0.3)]
    exemplar = next(exemplar for exemplar in card.exemplars if exemplar.changes)
    assert (exemplar.context, exemplar.window_start + exemplar.peak) == (behind.context, behind.peak)
    changes = exemplar.changes[len(exemplar.before) :]
    assert len(changes) == len(exemplar.tokens) + len(exemplar.after)
    assert not any(changes[: exemplar.peak + 1])
    assert changes[exemplar.peak + 1] == pytest.approx(-0.8)
    assert card.match is None
    match = load_card(opened, "random", 2).match
    assert match is not None
    assert (match.dictionary, match.feature, match.status) == ("sae", 2, "matched")


def test_quantiles_are_read_where_asked_for(store: Path) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE exemplars SET stratum = 'quantile_03' WHERE stratum = 'interval_01'")
    with open_reader(store) as reader:
        assert {e.stratum for e in load_card(reader, "sae", 1).exemplars} == {"top", "random"}
        assert "quantile_03" in {e.stratum for e in load_card(reader, "sae", 1, quantiles=True).exemplars}


def test_a_span_off_the_grid_is_shown_as_it_is(store: Path, builder: SimpleNamespace) -> None:
    world = builder.make_world()
    with duckdb.connect(str(store)) as connection:
        connection.execute(
            "UPDATE exemplars SET stratum = 'near_miss', window_start = 3, n_tokens = 5, peak = 6, positions = [], "
            "activations = [] WHERE stratum = 'random' AND window_start = 0"
        )
    with open_reader(store) as reader:
        text = {row["token"]: row["text"] for row in reader.rows("SELECT token, text FROM vocab")}
        card = load_card(reader, "sae", 1, each=3)
    [*spans] = (exemplar for exemplar in card.exemplars if exemplar.stratum == "near_miss")
    assert spans
    for one in spans:
        shown = [*one.before, *(token.text for token in one.tokens), *one.after]
        places = world.tokens[one.context, : world.length[one.context]]
        assert shown == [text[token] for token in places]
        assert (len(one.before), len(one.tokens), one.peak) == (3, 5, 3)


def test_explainers_come_in_one_order() -> None:
    names = ["generic", "token_lookup", "lexical", "shuffled", "claude/default/both", "context_lookup", "constant"]
    names.append("person")
    assert sorted(names, key=explainer_order) == [
        "claude/default/both",
        "person",
        "lexical",
        "context_lookup",
        "token_lookup",
        *LEXICAL_CONTROLS,
    ]


def test_a_card_shows_its_parts(opened: StoreReader, printed: Printed) -> None:
    page = printed(feature_card(opened, "sae", 1))
    for part in ("sae/1", "alive", "fires on", "lexical", "pearson, census", "[", "top", "promotes", "suppresses", "█"):
        assert part in page
    assert "density matched to sae/5" in printed(feature_card(opened, "random", 5))


def test_a_ceiling_is_named_one_and_each_description_has_its_length(opened: StoreReader, printed: Printed) -> None:
    page = printed(feature_card(opened, "sae", 1), width=120)
    assert "token_lookup (ceiling, no label)" in page
    assert "lexical (ceiling" not in page
    lengths = {line.explainer: line.description_length for line in load_card(opened, "sae", 1).explanations}
    assert lengths["token_lookup"] == 3 + (lengths["lexical"] or 0), "the same text, and a table of one entry"
    for n in lengths.values():
        assert f" · {n} tokens" in page
    [row] = opened.rows("SELECT description_length FROM feature_cards WHERE dictionary = 'sae' AND feature = 1")
    assert row["description_length"] == lengths["lexical"]


def test_controls_are_shown_where_asked_for(opened: StoreReader, printed: Printed) -> None:
    page = printed(feature_card(opened, "sae", 1))
    assert "shuffled" not in page
    assert "constant" not in page
    everything = printed(feature_card(opened, "sae", 1, everything=True))
    assert everything.count("shuffled") == 2  # its text and its score
    assert "0.000 [-0.05, 0.04] constant" in everything


def test_a_text_that_another_begins_with_is_not_repeated(printed: Printed) -> None:
    lines = (
        ExplanationLine("lexical", "Fires on a. And more.", "ok", ()),
        ExplanationLine("token_lookup", "Fires on a.", "ok", ()),
    )
    page = printed(render_card(replace(full_card(), explanations=lines)))
    assert page.count("Fires on a.") == 1
    assert "the beginning of the text above" in page


def test_a_match_says_what_it_is(opened: StoreReader, printed: Printed) -> None:
    card = load_card(opened, "random", 2)
    assert card.match is not None
    for status, words in (("unmatched", "not matched to sae/2 (too few firings"), ("natural", "natural density")):
        assert words in printed(render_card(replace(card, match=replace(card.match, status=status))))


def test_a_card_says_what_the_diagnostics_found(opened: StoreReader, printed: Printed) -> None:
    card = load_card(opened, "sae", 1)
    found = card.diagnostics
    assert found is not None
    assert (found.alone_correlation, found.neuron, found.neuron_correlation) == (0.95, 3, -0.92)
    assert found.density_cluster == "main"
    assert [activation for _, activation in found.alone] == [0.5, 0.5]
    assert found.alone[0][0] == " w6"
    assert [(one.feature, one.cosine, one.correlation) for one in card.neighbours] == [(2, 0.7, 0.25)]
    page = printed(render_card(card))
    for part in (
        "token alone r 0.95",
        "nearest neuron blocks.0.mlp.hook_post/3 r -0.92",
        "2 cos 0.70 r 0.25",
        "by place",
    ):
        assert part in page
    assert "of the ultralow-density cluster" in printed(feature_card(opened, "sae", 5))
    without = replace(card, diagnostics=replace(found, neuron=None, neuron_correlation=None, neuron_status="no_mlp"))
    assert "nearest neuron none: no_mlp" in printed(render_card(without))


def test_a_store_before_its_diagnostics_has_cards(store: Path, printed: Printed) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("DELETE FROM feature_diagnostics")
        connection.execute("DELETE FROM feature_neighbours")
    with open_reader(store) as reader:
        card = load_card(reader, "sae", 1)
        assert (card.diagnostics, card.neighbours) == (None, ())
        assert "nearest neuron" not in printed(render_card(card))


def test_firings_by_place_are_shares_of_the_tokens_there(opened: StoreReader, built: tuple[Path, Any]) -> None:
    world = built[1]
    explain = world.split == "explain"
    fires, scored = (world.truth["sae"][1][explain] > 0).sum(axis=0), world.scored[explain].sum(axis=0)
    shares = load_card(opened, "sae", 1).position_shares
    assert shares[0] != shares[0], "nothing counts at the BOS"
    assert list(shares[1:]) == pytest.approx((fires[1:] / scored[1:]).tolist())


def test_hostile_tokens_and_labels_do_not_reach_the_terminal(opened: StoreReader, printed: Printed) -> None:
    for width in (40, 80, 200):
        page = printed(feature_card(opened, "sae", 1), width=width)
        assert "\x1b" not in page
        assert "\u202e" not in page
    assert "\\x1b[31m[red]\\u202e⏎" in page  # a token: shown, not obeyed, not read as markup
    assert "[bold]\\x1b[2J" in page  # an explanation


def test_active_tokens_are_marked_by_colour_or_by_marks(opened: StoreReader, printed: Printed) -> None:
    card = load_card(opened, "sae", 0)
    assert "48;2;255;" in printed(render_card(card), colours=True)
    marked = printed(render_card(card, marks=True))
    assert "« w5»" in marked
    assert "«" not in printed(render_card(card))


def test_dead_and_rare_features_have_a_card(opened: StoreReader, printed: Printed) -> None:
    dead = printed(feature_card(opened, "sae", 4))
    assert "dead" in dead
    assert "no activation on the explain split" in dead
    assert "none: dead" in dead
    assert "rare" in printed(feature_card(opened, "sae", 5))


# --- a card as full as a real one


def window(stratum: str, rank: int, peak: int, texts: list[str], active: set[int]) -> CardExemplar:
    tokens = tuple(ShownToken(text, 1.5 if i in active else 0.0, True) for i, text in enumerate(texts))
    before = ("日本語 ", "b" * rank) if rank else ()
    return CardExemplar(stratum, rank, "d", 0, 0, 1.5, peak, before, tokens, (" after",))


def full_card() -> FeatureCard:
    """Top exemplars, twelve intervals, a near miss, a random window; four metrics; ten effects each way."""
    texts = [f" tok{i}" for i in range(30)] + ["\n            ", "日本"]
    strata = [("top", i) for i in range(8)] + [(f"interval_{i:02d}", 0) for i in range(11, -1, -1)]
    exemplars = [window(name, rank, 3 * rank + 4, texts, {3 * rank + 4, 3 * rank + 5, 31}) for name, rank in strata]
    exemplars += [window("near_miss", 0, 2, texts, set()), window("random", 0, 0, ["\x1b[2J", "x"], set())]
    text = "Fires on " + ", ".join(f'" token{i}" ({i} %)' for i in range(24)) + "."
    scores = tuple(
        ScoreLine("simulation", metric, design, 0.5, low, high, "ok")
        for metric, design, low, high in (
            ("pearson", "census", 0.4, 0.6),
            ("auprc", "census", None, None),
            ("f1", "census", None, None),
            ("pearson_framed", "sample", 0.4, 0.6),
            ("spearman_intervals", "sample", None, None),
        )
    )
    return FeatureCard(
        dictionary="mlp-1k",
        kind="sae",
        hook="blocks.0.mlp.hook_post",
        feature=7,
        status="alive",
        density=0.01,
        max_activation=1.5,
        n_firing=3_000,
        n_tokens=300_000,
        token_entropy=1.2,
        single_token_share=0.8,
        planted_label=None,
        histogram_log=(0,) * 4 + (1, 5, 9) + (0,) * 25,
        match=None,
        position_shares=(float("nan"), *(0.01 * i for i in range(15))),
        diagnostics=CardDiagnostics(
            alone=tuple((f" tok{i}", 1.0) for i in range(4)),
            alone_correlation=0.97,
            alone_status="ok",
            neuron_hook="blocks.0.mlp.hook_post",
            neuron=812,
            neuron_correlation=-0.93,
            neuron_status="ok",
            n_firing=700,
            density_cluster="ultralow",
        ),
        neighbours=tuple(Neighbour(1000 + i, 0.8, None if i else 0.7) for i in range(5)),
        explanations=(
            ExplanationLine("lexical", text, "ok", scores),
            ExplanationLine("token_lookup", "Other.", "ok", scores),
        ),
        exemplars=tuple(exemplars),
        promoted=tuple(LogitEffect(f" promoted{i}", 1.0, 3.0) for i in range(10)),
        suppressed=tuple(LogitEffect("\n    ", -1.0, -3.0) for _ in range(10)),
    )


@pytest.mark.parametrize("marks", [False, True])
@pytest.mark.parametrize("width", [80, 100, 132])
def test_a_full_card_is_a_page(width: int, marks: bool, printed: Printed) -> None:
    lines = printed(render_card(full_card(), marks=marks), width=width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert len(lines) <= (50 if width >= 100 else 54)


@pytest.mark.parametrize("width", [80, 100])
def test_no_word_of_a_card_is_broken(width: int, printed: Printed) -> None:
    card = replace(full_card(), exemplars=())  # windows are cut at both ends
    whole = {word for line in printed(render_card(card), width=500).splitlines() for word in line.split()}
    words = {word for line in printed(render_card(card), width=width).splitlines() for word in line.split()}
    assert words <= whole


@pytest.mark.parametrize("marks", [False, True])
def test_exemplars_stand_in_a_column(marks: bool, printed: Printed) -> None:
    """Whatever stands before it, also in wide characters: the token each was chosen for begins in one column."""
    lines = printed(render_card(full_card(), marks=marks), width=100).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("exemplars"))
    column = cell_len(lines[head].split("▾")[0] + "▾" + lines[head].split("▾")[1])
    expected = [*(f" tok{3 * rank + 4}" for rank in range(8)), *[" tok4"] * 12, " tok2", "\\x1b[2J"]
    for line, token in zip(lines[head + 1 :], expected, strict=True):
        start = next(i for i in range(len(line) + 1) if cell_len(line[:i]) >= column)
        assert line[start:].removeprefix("«").startswith(token), line


def test_the_token_chosen_has_marks_of_its_own(printed: Printed) -> None:
    card = replace(full_card(), exemplars=(window("top", 0, 2, ["a", "b", "c", "d", "e"], {0, 1, 2, 4}),))
    assert "«ab»«c»d«e» after" in printed(render_card(card, marks=True))


# --- many scores


def judged_card() -> FeatureCard:
    """Every metric of a card, by long-named LLMs; a lookup on the windows of each, one of which says something else."""
    metrics = [metric for metric in METRICS if metric.on_card and metric.reads != "published"]
    lines = []
    for at, llm in enumerate(("gpt-6-luna/default/both", "gpt-6-luna/default/both/best2+revise1")):
        scores = [
            ScoreLine(f"{scorer}:gpt-6-luna", metric.name, metric.design, 0.111 * at, None, None, "ok")
            for metric in metrics
            if metric.design == "sample"
            for scorer in SCORERS
            if metric in metrics_for(SHAPES[scorer], scorer)
        ]
        lines.append(ExplanationLine(llm, "Fires.", "ok", tuple(scores)))
    census = [
        ScoreLine("simulation", one.name, "census", 0.5, 0.4, 0.6, "ok") for one in metrics_for("counted", "simulation")
    ]
    own = [ScoreLine("simulation", "pearson_framed", "sample", 0.7, 0.6, 0.8, "ok")]
    beside = [
        ScoreLine(f"simulation:lookup@{lines[at].explainer}", "pearson_framed", "sample", value, 0.6, 0.8, "ok")
        for at, value in ((0, 0.7), (1, 0.75))
    ]
    lines.append(ExplanationLine("lexical", "Fires.", "ok", (*census, *own, *beside)))
    return replace(full_card(), explanations=tuple(lines), exemplars=())


SHAPES = {name: scorer.shape for name, scorer in REGISTRY.items()}


@pytest.mark.parametrize("width", [80, 100, 132])
def test_scores_of_all_scorers_fit_a_page(width: int, printed: Printed) -> None:
    page = printed(render_card(judged_card()), width=width)
    lines = page.splitlines()
    assert all(cell_len(line) <= width for line in lines)
    start = next(i for i, line in enumerate(lines) if "score" in line.split())
    table = lines[start : next(i for i, line in enumerate(lines) if line.startswith("judged by"))]
    assert len(table) < 75
    assert page.count("0.500 [0.40, 0.60]") == sum(metric.on_card for metric in metrics_for("counted", "simulation"))
    assert page.count("0.111") == len(judged_card().explanations[1].scores) > 15, "every score stands there once"


def test_no_row_of_a_card_is_empty_and_none_says_what_another_says(printed: Printed) -> None:
    page = printed(render_card(judged_card()), width=600)
    rows = [line for line in page.splitlines() if line.startswith(("gpt-6-luna/", "lexical"))]
    scores = [line for line in rows if re.search(r"\d\.\d{3}", line)]
    assert rows[-len(scores) :] == scores, "behind the explanations"
    assert page.count("lexical on the windows of gpt-6-luna/default/both/best2+revise1") == 1
    assert not re.search(r"windows of gpt-6-luna/default/both +0", page)
    everything = printed(render_card(judged_card(), everything=True), width=600)
    assert re.search(r"windows of gpt-6-luna/default/both +0", everything)


@pytest.mark.parametrize("width", [80, 132, 200])
def test_headings_are_broken_wherever_a_table_does_not_fit(width: int, printed: Printed) -> None:
    """Whole, the first metrics of the scorers take more cells than any of these."""
    lines = printed(render_card(judged_card()), width=width).splitlines()
    assert not any("choice_accuracy, discrimination" in line for line in lines)
    heads = [line for line in lines if line.startswith("score ")]
    assert len(heads) <= {80: 6, 132: 4, 200: 3}[width], (
        "fifteen scorers, beside one for each with more than one metric"
    )
    assert any(
        "choice_accuracy, discrimination" in line
        for line in printed(render_card(judged_card()), width=800).splitlines()
    )


# --- pictures


def test_pictures_are_whole_and_fetch_nothing(built: tuple[Path, object], tmp_path: Path) -> None:
    paths = draw(built[0], tmp_path / "docs", "sae/1")
    assert [path.name for path in paths] == ["card.svg", "compare.svg"]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "@font-face" not in text
        assert "url(http" not in text
        assert len(text) < 200_000
        assert "\x1b" not in text
    assert "sae/1" in paths[0].read_text(encoding="utf-8")


def test_a_good_example_is_one_that_context_explains(opened: StoreReader) -> None:
    found = good_example(opened)
    gains = opened.rows(
        "SELECT feature FROM score_table l JOIN score_table t USING (dictionary, feature, metric, design) "
        "WHERE l.explainer = 'lexical' AND t.explainer = 'token_lookup' AND dictionary = 'sae' AND l.value >= 0.8 "
        "ORDER BY l.value - t.value DESC, l.value DESC"
    )
    assert found == ("sae", gains[0]["feature"])


# --- what is not there


@pytest.mark.parametrize(
    ("dictionary", "feature", "message"),
    [
        ("sea", 0, r'no dictionary "sea"; the nearest is "sae"'),
        ("sae", 6, r'feature 6 is out of range: "sae" has features 0 to 5'),
        ("sae", -1, "out of range"),
    ],
)
def test_what_is_not_there_is_said(opened: StoreReader, dictionary: str, feature: int, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        load_card(opened, dictionary, feature)


def test_features_that_were_not_extracted_are_told_from_those_out_of_range(store: Path) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("DELETE FROM features WHERE dictionary = 'random' OR feature IN (2, 3)")
    with open_reader(store) as reader:
        with pytest.raises(StoreError, match=r"feature 3 of \"sae\" is not among those .* near it: 4, 1, 5"):
            load_card(reader, "sae", 3)
        with pytest.raises(StoreError, match="not been extracted yet"):
            load_card(reader, "random", 3)
