"""Pages: the data that the store holds, and hostile text that never reaches a terminal."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, Group, RenderableType

from autointerp.errors import StoreError
from autointerp.show.card import feature_card, render_card
from autointerp.show.card_data import load_card
from autointerp.show.plot import bars, dot_and_interval
from autointerp.show.tables import compare_page, render_comparisons, render_status, render_summary, status_page, verdict
from autointerp.show.tables_data import load_comparisons, load_status, load_summary
from autointerp.show.text import escape_json, safe, visible
from autointerp.store.reader import StoreReader, open_reader


@pytest.fixture
def opened(built: tuple[Path, object]):
    with open_reader(built[0]) as reader:
        yield reader


def printed(page: RenderableType, *, colours: bool = False, width: int = 200) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=colours, color_system="truecolor" if colours else None).print(page)
    return stream.getvalue()


# --- text


@settings(max_examples=50)
@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert safe(text).plain == shown
    assert printed(safe(text), colours=True, width=100_000).rstrip("\n").replace("\x1b[0m", "") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"), ("a\nb\t\r", "a⏎b⇥␍"), ("\u202eabc", "\\u202eabc"), ("\x9b31m", "\\x9b31m"),
        ("[red]x[/red]", "[red]x[/red]"), (":smile:", ":smile:"), ("é日本", "é日本"), ("\u200b", "\\u200b"),
        ("\ud800", "\\ud800"), ("\U000e0001", "\\U000e0001"), ("plain", "plain"), ("", ""),
    ],
)  # fmt: skip
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_escaped_json_means_the_same(text: str) -> None:
    escaped = escape_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(escaped) == text
    assert not any("\x7f" <= c <= "\x9f" or c in "\u202e\u2028\ufeff" for c in escaped)


# --- plots


def test_bars_show_the_smallest_count() -> None:
    assert bars([0, 1, 1000]) == " ▁█"
    assert bars([0, 0]) == "  "
    assert bars([]) == ""
    assert " " not in bars([1, 10**9])


def test_dot_and_interval() -> None:
    assert dot_and_interval(0.5, 0.0, 1.0, (0, 1), 5, None) == "├─●─┤"
    assert dot_and_interval(0.75, 0.5, 1.0, (0, 1), 5, 0.0) == "┊ ├●┤"
    assert dot_and_interval(None, None, None, (0, 1), 3, None) == "   "
    assert dot_and_interval(0.5, 0.5, 0.5, (0.5, 0.5), 3, None).count("●") == 1


# --- the card


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
        truth = acts[exemplar.context, exemplar.window_start : exemplar.window_start + 8]
        assert [token.activation for token in exemplar.tokens] == truth[: len(exemplar.tokens)].tolist()
    assert [effect.text for effect in card.promoted] == [" w10", "\x1b[31m[red]\u202e\n", " w12"]
    assert card.match is None
    match = load_card(opened, "random", 2).match
    assert match is not None
    assert (match.dictionary, match.feature, match.status) == ("sae", 2, "matched")


def test_a_card_shows_its_parts(opened: StoreReader) -> None:
    page = printed(feature_card(opened, "sae", 1))
    for part in ("sae/1", "alive", "density", "lexical", "pearson", "[", "top", "promotes", "suppresses", "█", "⏎"):
        assert part in page
    assert "density as sae/5" in printed(feature_card(opened, "random", 5))


def test_hostile_tokens_and_labels_do_not_reach_the_terminal(opened: StoreReader) -> None:
    page = printed(feature_card(opened, "sae", 1))
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "\\x1b[31m[red]\\u202e⏎" in page  # a token: shown, not obeyed, not read as markup
    assert "[bold]\\x1b[2J" in page  # an explanation


def test_active_tokens_are_marked_by_colour_or_by_marks(opened: StoreReader) -> None:
    card = load_card(opened, "sae", 0)
    assert "48;2;255;" in printed(render_card(card), colours=True)
    marked = printed(render_card(card, marks=True))
    assert "« w5»" in marked
    assert "«" not in printed(render_card(card))


def test_dead_and_rare_features_have_a_card(opened: StoreReader) -> None:
    dead = printed(feature_card(opened, "sae", 4))
    assert "dead" in dead
    assert "no activation on the explain split" in dead
    assert "none: dead" in dead
    assert "rare" in printed(feature_card(opened, "sae", 5))


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


# --- tables


def test_status_tells_what_is_left(opened: StoreReader, built: tuple[Path, object]) -> None:
    page = load_status(opened, built[0])
    stages = {stage.stage: stage for stage in page.stages}
    assert stages["effects"].waiting == ("sae", "random")
    assert stages["extract"].waiting == ()
    assert stages["extract"].n_done == 2
    assert stages["explain"].n_failed == 8
    assert stages["score"].seconds == 150.0
    assert stages["tokens"].waiting == ()
    assert page.size_bytes == built[0].stat().st_size
    assert {split.split for split in page.splits} == {"explain", "select", "score"}
    assert sum(call.cost_usd for call in page.calls) == 0.25
    shown = printed(render_status(page))
    for part in ("effects", "sae, random", "2 min 30 s", "MB", "documents", "cost so far $0.25"):
        assert part in shown


def test_status_of_an_empty_store(tmp_path: Path) -> None:
    from autointerp.store.writer import StoreWriter

    path = tmp_path / "x.duckdb"
    StoreWriter.open(path).close()
    with open_reader(path) as reader:
        assert "no run yet" in printed(status_page(reader, path))
        assert "no scores yet" in printed(compare_page([("x", reader)]))


def test_summary_rows_come_best_first_with_their_denominators(opened: StoreReader) -> None:
    rows = load_summary(opened, "demo")
    census = [row for row in rows if row.design == "census"]
    assert [row.mean for row in census] == sorted((row.mean or 0 for row in census), reverse=True)
    assert {(row.n_scored, row.n_features, row.n_dead, row.n_rare) for row in census} == {(4, 6, 1, 1)}
    shown = printed(Group(*render_summary(census)))
    for part in ("pearson (census, simulation)", "4/6", "1, 1", "0.050", "●"):
        assert part in shown


def test_framed_scores_stand_beside_their_alarm_rate(opened: StoreReader) -> None:
    page = printed(compare_page([("demo", opened)]))
    assert "residual alarm rate 1.00% (at most 2.00%)" in page
    assert "pearson_framed (sample, simulation)" in page


def test_several_stores_get_a_column(opened: StoreReader) -> None:
    page = printed(compare_page([("one", opened), ("two", opened)]))
    assert "store" in page
    assert page.count("one") >= 10
    assert page.count("two") >= 10
    assert "store" not in printed(compare_page([("one", opened)]))


def test_verdicts_are_spelt_out(opened: StoreReader) -> None:
    rows = {row.explainer: row for row in load_comparisons(opened, "demo")}
    assert verdict(rows["lexical"]) == "A: sae"
    assert verdict(rows["token_lookup"]) == "equivalent (within 0.02)"
    assert verdict(rows["constant"]) == "undecided (could find 0.035)"
    shown = "".join(printed(part) for part in render_comparisons(list(rows.values())))
    for part in ("A: sae", "equivalent", "+0.300 [+0.290, +0.310]", "< 0.001", "4 pairs", "┊"):
        assert part in shown


def test_only_the_latest_comparison_of_a_pair_is_shown(store: Path) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute(
            "INSERT INTO stages SELECT * REPLACE ('compare-2' AS work, finished_at + INTERVAL 1 DAY AS finished_at) "
            "FROM stages WHERE work = 'compare-1'"
        )
        connection.execute(
            "INSERT INTO comparisons SELECT * REPLACE ('compare-2' AS run, 'B' AS verdict) FROM comparisons"
        )
    with open_reader(store) as reader:
        rows = load_comparisons(reader, "demo")
    assert [row.verdict for row in rows] == ["B"] * 3


def test_a_narrow_terminal_folds_and_loses_nothing(opened: StoreReader) -> None:
    page = printed(compare_page([("demo", opened)]), width=70)
    assert "…" not in page
    assert "".join(["residual", "alarm", "rate", "1.00%"]) in "".join(page.split())
