"""A store from Python: what a feature shows, what tables hold, and that nothing is held or written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from judged import LABELLED, LUNA
from stored import rows

import autointerp
from autointerp.errors import StoreError, UserError
from autointerp.notebook.stored import Store
from autointerp.show.text import running, visible
from autointerp.store.writer import StoreWriter


class Reader(HTMLParser):
    """Tags, attributes and text of what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("rect", "meta"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_feature_shows_all_that_its_card_knows(opened: Store) -> None:
    feature = opened.feature("mlp-1k", LABELLED)
    html = feature._repr_html_()
    seen = Reader(html)
    assert not seen.open
    assert set(seen.tags) <= {
        "style", "section", "h2", "h3", "p", "span", "b", "bdi", "div", "details", "summary", "figure", "figcaption",
        "svg", "g", "rect", "title",
    }, seen.tags  # fmt: skip
    assert not [name for name, _ in seen.attributes if name in ("src", "href") or name.startswith("on")]
    assert 'Fires on "self".' in seen.text
    card = feature.card
    for window in card.exemplars:
        assert "".join(running(token.text) for token in window.tokens) in seen.text
    for effect in (*card.promoted, *card.suppressed):
        assert effect.text.strip() == "" or visible(effect.text.strip()) in seen.text
    scores = [score.value for line in card.explanations for score in line.scores if score.metric == "pearson"]
    assert scores
    assert f"{next(value for value in scores if value is not None):.3f}" in seen.text
    assert all(str(near.feature) in seen.text for near in card.neighbours)
    assert len(html) < 60_000


def test_the_plain_form_is_the_card_of_the_terminal(
    opened: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from autointerp.cli import main

    monkeypatch.delenv("COLUMNS", raising=False)
    plain = repr(opened.feature("mlp-1k", LABELLED))
    main(["show", str(opened.path), f"mlp-1k/{LABELLED}", "--top", "12", "--each", "3"])
    shown = capsys.readouterr().out
    assert "\x1b" not in plain
    assert 'Fires on "self".' in plain
    assert shown.splitlines()[:6] == plain.splitlines()[:6]


HOSTILE = '<script>alert(1)</script> </section> & "q" \x1b[31m \u202e'


def test_hostile_text_stays_text(judged_store: Path, tmp_path: Path) -> None:
    from autointerp.cli import main

    path = Path(shutil.copy(judged_store, tmp_path / "hostile.duckdb"))
    main(["label", str(path), "mlp-1k/7", HOSTILE])
    store = autointerp.open_store(path)
    whole = store.feature("mlp-1k", 7)._repr_html_()
    listed = store.features("mlp-1k", explainer="human")._repr_html_()
    for html in (whole, listed):
        seen = Reader(html)
        assert not seen.open
        assert "script" not in seen.tags
        assert visible(" ".join(HOSTILE.split())) in seen.text
        assert "\x1b" not in html
        assert "\u202e" not in html
    assert "\x1b" not in repr(store.feature("mlp-1k", 7))
    strange = '<img src=x onerror="alert(1)">'
    table = store.sql(f"SELECT 1 AS \"{strange.replace(chr(34), chr(34) * 2)}\", '<b>' AS text")
    assert "img" not in Reader(table._repr_html_()).tags
    assert table["text"] == ["<b>"]


_KNOWN = """
SELECT feature, text, value FROM score_table JOIN current_explanations USING (dictionary, feature, explainer)
WHERE dictionary = 'mlp-1k' AND explainer = 'lexical' AND metric = 'pearson' AND design = 'census'
      AND scorer = 'simulation'
"""


def test_features_are_the_rows_of_the_list(opened: Store, judged_store: Path) -> None:
    table = opened.features("mlp-1k", explainer="lexical", sort="score", order="down")
    assert len(table) == 16
    values = [value for value in table["score"] if value is not None]
    assert values == sorted(values, reverse=True)
    known = {
        row["feature"]: row
        for row in rows(
            judged_store,
            _KNOWN,
        )
    }
    for row in table:
        if row["feature"] in known:
            assert (row["label"], row["score"]) == (known[row["feature"]]["text"], known[row["feature"]]["value"])
    assert opened.features("mlp-1k", status="dead").rows() == [
        row for row in opened.features("mlp-1k") if row["status"] == "dead"
    ]
    few = opened.features("mlp-1k", explainer="lexical", score_from=0.5)
    assert 0 < len(few) < 16
    assert min(few["score"]) >= 0.5


def test_arrow_and_pandas_hold_the_same(opened: Store) -> None:
    table = opened.features("resid-1k")
    assert isinstance(table.arrow, pa.Table)
    frame = table.pandas()
    assert type(frame).__name__ == "DataFrame"
    assert list(frame.columns) == table.columns
    assert frame["feature"].tolist() == table["feature"]
    assert pa.table(table).equals(table.arrow)


def test_without_pandas_it_is_said(opened: Store) -> None:
    check = f"""
import sys
sys.modules["pandas"] = None
import autointerp
from autointerp.errors import UserError
table = autointerp.open_store({str(opened.path)!r}).features("mlp-1k")
assert len(table) == 16 and "mlp" in repr(autointerp.open_store({str(opened.path)!r}))
try:
    table.pandas()
except UserError as error:
    assert "pip install pandas" in str(error)
else:
    raise AssertionError
assert not {{"torch", "jinja2", "starlette"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", check], check=True)


def test_scores_are_those_that_count(opened: Store, judged_store: Path) -> None:
    known = rows(judged_store, "SELECT * FROM score_table WHERE dictionary = 'mlp-1k' AND explainer = $e", e=LUNA)
    table = opened.scores("mlp-1k", explainer=LUNA)
    keys = ("feature", "scorer", "metric", "design", "value", "status")

    def told(many: Any) -> list[tuple[Any, ...]]:
        return sorted((tuple(row[key] for key in keys) for row in many), key=str)

    assert told(table) == told(known)
    assert set(opened.scores(metric="pearson", design="census")["dictionary"]) == set(opened.dictionaries)
    assert len(opened.scores()) == rows(judged_store, "SELECT count(*) AS n FROM score_table")[0]["n"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda store: store.feature("mlp", 2), "mlp-1k"),
        (lambda store: store.feature("mlp-1k", 900), "900"),
        (lambda store: store.features("nothing"), "nothing"),
        (lambda store: store.features("mlp-1k", sorted_by="score"), "sorted_by"),
        (lambda store: store.features("mlp-1k", page=2), "page"),
        (lambda store: store.features("mlp-1k", explainer="nobody"), "nobody"),
        (lambda store: store.scores("nothing"), "nothing"),
        (lambda store: store.scores(metric="pearso"), "pearson"),
        (lambda store: store.sql("DELETE FROM features"), "only read"),
        (lambda store: store.sql("SELECT 1; SELECT 2"), "one SQL statement"),
        (lambda store: store.sql("FROM read_csv('/etc/passwd')"), "disabled"),
        (lambda _: autointerp.open_store("no/such/store.duckdb"), "no store"),
    ],
)
def test_a_wrong_question_is_one_line(opened: Store, ask: Any, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        ask(opened)
    assert len(str(refused.value).splitlines()) == 1


def test_between_questions_nothing_is_held_and_while_a_run_writes_its_snapshot_is_read(store: Path) -> None:
    asked = autointerp.open_store(store)
    assert asked.notice is None
    with StoreWriter.open(store) as writer:
        with pytest.raises(StoreError, match="very process"):
            asked.sql("SELECT 1")
        writer.publish_snapshot()
        assert len(asked.sql("FROM features")) > 0
        assert "snapshot" in str(asked.notice)
        name = asked.dictionaries[0]
        [feature] = asked.sql("SELECT feature FROM features WHERE dictionary = $d LIMIT 1", d=name)["feature"]
        assert "snapshot" in asked.feature(name, feature)._repr_html_()
    asked.sql("SELECT 1")
    assert asked.notice is None


def test_a_long_table_says_that_there_is_more(opened: Store) -> None:
    table = opened.sql("SELECT range AS n FROM range(1000)")
    assert "980 more rows of 1,000" in repr(table)
    assert "980 more rows of 1,000" in table._repr_html_()
    assert table.rows()[-1] == {"n": 999}
