"""The panels of a feature: what was simulated and judged, against the store's own rows."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from judged import JUDGE, LABELLED, LUNA, MINE
from starlette.testclient import TestClient
from stored import rows

from autointerp.browse.drawn_windows import exemplar_text
from autointerp.browse.histogram_data import EFFECT_STEP
from autointerp.browse.panels_data import load_panels
from autointerp.browse.ready_sql import all_wrong
from autointerp.errors import UserError
from autointerp.extract.effects import BIN, N_BINS
from autointerp.show.card_exemplars import CardExemplar, ShownToken
from autointerp.store.reader import open_reader

DICTIONARY, FEATURE = "mlp-1k", 3


def panels_of(client: TestClient, explainer: str, feature: int = FEATURE) -> Any:
    answer = client.get(f"/feature/{DICTIONARY}/{feature}.json", params={"explainer": explainer})
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)["panels"]


@pytest.mark.parametrize("explainer", [MINE, "lexical", "shuffled"])
def test_what_judges_got_wrong_is_what_the_view_says(client: TestClient, judged_store: Path, explainer: str) -> None:
    panels = panels_of(client, explainer)["wrong"]
    counted = rows(
        judged_store,
        "SELECT scorer, wrong, count(*) AS n, list(text) AS texts FROM wrong_windows WHERE dictionary = $dictionary "
        "AND feature = $feature AND explainer = $explainer GROUP BY ALL",
        dictionary=DICTIONARY,
        feature=FEATURE,
        explainer=explainer,
    )
    n = {(row["scorer"], row["wrong"]): row["n"] for row in counted}
    texts = {(row["scorer"], row["wrong"]): set(row["texts"]) for row in counted}
    assert panels
    for panel in panels:
        scorer = panel["scorer"]
        assert (panel["n_misses"], panel["n_false_alarms"]) == (n.get((scorer, "miss"), 0),
                                                                n.get((scorer, "false alarm"), 0))  # fmt: skip
        for window in panel["windows"]:
            said = "".join(f"«{token['text']}»" if token["marked"] else token["text"] for token in window["tokens"])
            assert said in texts[scorer, window["wrong"]]
        assert [window["wrong"] for window in panel["windows"]] == sorted(
            (window["wrong"] for window in panel["windows"]), reverse=True
        )
    assert {panel["scorer"] for panel in panels} >= {scorer for scorer, _ in n}


def test_the_statement_for_all_of_them_has_all_of_them(client: TestClient, judged_store: Path) -> None:
    for panel in panels_of(client, MINE)["wrong"]:
        said = rows(judged_store, all_wrong(DICTIONARY, FEATURE, MINE, panel["scorer"]))
        assert len(said) == panel["n_misses"] + panel["n_false_alarms"]


@pytest.mark.parametrize("explainer", [MINE, "lexical", "human"])
def test_simulated_against_true_token_by_token(client: TestClient, judged_store: Path, explainer: str) -> None:
    feature = LABELLED if explainer == "human" else FEATURE
    panels = panels_of(client, explainer, feature)["simulated"]
    assert panels
    for panel in panels:
        stored = rows(
            judged_store,
            "SELECT context, window_start, truth, prediction, scored, status FROM simulations WHERE dictionary = "
            "$dictionary AND feature = $feature AND explainer = $explainer AND scorer = $scorer AND "
            "(run IS NULL OR run IN (SELECT work FROM current_works WHERE stage = 'judge'))",
            dictionary=DICTIONARY,
            feature=feature,
            explainer=explainer,
            scorer=panel["scorer"],
        )
        by_place = {(row["context"], row["window_start"]): row for row in stored if row["status"] == "ok"}
        top = [max(max(row[side]) for row in by_place.values()) for side in ("truth", "prediction")]
        misses = alarms = 0
        for row in by_place.values():
            for truth, prediction, scored in zip(row["truth"], row["prediction"], row["scored"], strict=True):
                t, p = truth / top[0], prediction / (top[1] or 1.0)
                misses += scored and t >= 0.25 and p < 0.1
                alarms += scored and p >= 0.25 and t < 0.1
        assert (panel["n_misses"], panel["n_false_alarms"]) == (misses, alarms)
        assert panel["n_windows"] == len(stored)
        for window in panel["windows"]:
            row = by_place[window["context"], window["window_start"]]
            n = len(window["tokens"])
            assert [token["truth"] for token in window["tokens"]] == pytest.approx(row["truth"][:n])
            assert [token["prediction"] for token in window["tokens"]] == pytest.approx(row["prediction"][:n])
        errors = [window["error"] for window in panel["windows"] if window["why"] == "most wrong"]
        assert errors == sorted(errors, reverse=True)


def test_the_page_marks_them(client: TestClient) -> None:
    html = client.get(f"/feature/{DICTIONARY}/{FEATURE}", params={"explainer": MINE}).text
    assert "Where the label is right and wrong" in html
    assert re.search(r'class="t both u\d[^"]* miss"', html)
    assert "No prompt and reply: the store&#39;s log of replies has no such call." in html  # it was scripted
    assert (
        "No prompt and reply: a table judged, not an LLM."
        in client.get(f"/feature/{DICTIONARY}/{FEATURE}", params={"explainer": "lexical"}).text
    )
    assert f'<a href="?explainer={MINE}#tried" aria-current="true">' in html


def test_an_explainer_whose_label_was_not_tried(client: TestClient) -> None:
    answer = client.get(f"/feature/{DICTIONARY}/{FEATURE}?explainer=nobody")
    assert answer.status_code == 400
    assert "nobody" in answer.text


def test_by_default_the_label_that_was_judged(judged_store: Path) -> None:
    with open_reader(judged_store) as store:
        assert load_panels(store, DICTIONARY, FEATURE).explainer in (LUNA, f"{JUDGE}/default/both/best2+revise1")
        assert load_panels(store, DICTIONARY, LABELLED).explainer == "human"
        with pytest.raises(UserError):
            load_panels(store, DICTIONARY, FEATURE, "nobody")


def test_the_histogram_of_effects_counts_every_token(client: TestClient, judged_store: Path) -> None:
    effects = panels_of(client, "lexical")["effects"]
    [corpus] = rows(
        judged_store,
        "SELECT count(*) AS n FROM vocab WHERE NOT is_special AND n_explain + n_select + n_score > 0",
    )
    assert sum(effects["counts"]) == corpus["n"]
    assert EFFECT_STEP == BIN
    assert effects["edges"] == [BIN * step for step in range(-N_BINS, N_BINS + 1)]
    strongest = rows(
        judged_store,
        "SELECT direction, z FROM logit_effects WHERE dictionary = $d AND feature = $f AND rank = 1 ORDER BY direction",
        d=DICTIONARY,
        f=FEATURE,
    )
    for at in strongest:  # the outermost filled bins hold the strongest tokens
        filled = [i for i, n in enumerate(effects["counts"]) if n]
        outer = filled[-1] if at["direction"] == "promoted" else filled[0]
        assert effects["edges"][outer] - 1e-6 <= at["z"] <= effects["edges"][outer + 1] + 1e-6
    html = unescape(client.get(f"/feature/{DICTIONARY}/{FEATURE}").text)
    assert "direct effect on each token of the corpus" in html
    assert f"standard deviations: {max(effects['counts']):,} tokens" in html


def test_histograms_count_every_firing(client: TestClient, judged_store: Path) -> None:
    for of in panels_of(client, "lexical")["histograms"]:
        [split] = rows(
            judged_store,
            "SELECT * FROM feature_splits WHERE dictionary = $dictionary AND feature = $feature AND split = $split",
            dictionary=DICTIONARY,
            feature=FEATURE,
            split=of["split"],
        )
        assert sum(of["linear"]) == sum(of["octaves"]) == split["n_firing"] > 0
        assert of["upper"] == split["histogram_upper"]
    html = client.get(f"/feature/{DICTIONARY}/{FEATURE}").text
    assert html.count(", by octave</figcaption>") == 3


def test_the_marks_of_the_selftest(client: TestClient) -> None:
    html = unescape(client.get(f"/feature/{DICTIONARY}/{FEATURE}").text)
    assert "‡, sample" in html
    assert html.count("a label that claims too much loses little") >= 1


def test_tokens_that_do_nothing_stand_together_and_none_is_lost() -> None:
    tokens = [ShownToken(" a", 0.0, True), ShownToken("<b>", 0.0, True), ShownToken("\n", 0.5, True),
              ShownToken("    x", 0.0, False), ShownToken("é\\xe2", 1.0, True)]  # fmt: skip
    window = CardExemplar("top", 0, "d", 1, 0, 1.0, 4, ("be",), tuple(tokens), ("af",))
    html = exemplar_text(window, 1.0)
    assert re.sub("<[^>]+>", "", html) == "be a&lt;b&gt;⏎␣₄xé\\xe2af"
    assert '<span class="t"> a&lt;b&gt;</span>' in html
    assert '<span class="t a5" title="0.5">⏎<i class="lb"></i></span>' in html
    assert '<span class="t a9 peak" title="1">' in html
    assert '<span class="t unscored" title="0 (not counted)">' in html


def test_tokens_that_a_feature_raises_or_lowers_are_underlined(built: tuple[Path, object], open_pages: Any) -> None:
    tokens = (ShownToken(" a", 0.0, True), ShownToken(" b", 1.0, True), ShownToken(" c", 0.0, True))
    changes = (0.0, 0.04, 0.0, -0.3, 1.5)
    html = exemplar_text(CardExemplar("top", 0, "d", 1, 1, 1.0, 1, ("be",), tokens, ("<af",), changes), 1.0)
    assert re.sub("<[^>]+>", "", html) == "be a b c&lt;af"
    assert '<span class="t raised2" title="log p +0.3 by the feature"> c</span>' in html
    assert '<span class="context lowered4" title="log p -1.5 by the feature">&lt;af</span>' in html
    assert html.count("raised") + html.count("lowered") == 2

    page = unescape(open_pages(built[0]).get("/feature/sae/1").text)
    assert page.count("raised2") > 0
    assert "Nearest in other dictionaries" in page
    assert '<a href="/feature/random/1">random/1</a></td><td class="n">0.70</td><td class="n">0.50</td>' in page
    assert "measured: what it depends on" in page
    assert "alone: 25 %; without both" in page
    assert page.count("<polyline") == 2 + 1, (
        "KL along the feature and one direction; the last block's output, read along one"
    )
    assert "how far the step moves the residual stream behind the last block" in page
    assert ">not reached</td>" in page
    assert "Output score 0.475: of the 20 tokens that it promotes most" in page
    assert "with probability 0.500 and rank 3" in page
    assert 'title="lost where it is masked: 60 %, removed: 50 %' in page


# --- calls


def test_a_wrong_window_shows_prompt_and_reply_of_its_own_call(store: Path, open_pages: Any) -> None:
    """Of a store with one call; `llm/test_travel.py` holds what a run stores against what it asked."""
    import duckdb

    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE llm_calls SET prompt = 'e1: <b>', reply = '<script>'")
        for table in ("works", "stages"):
            connection.execute(f"UPDATE {table} SET stage = 'judge' WHERE work = 'score-sae'")
        connection.execute("UPDATE judgements SET judged = NOT fires WHERE request IS NOT NULL")
        connection.execute("INSERT INTO llm_calls SELECT * REPLACE (2 AS attempt, 'timeout' AS status) FROM llm_calls")
    client = open_pages(store)
    [panel] = [of for of in client.get("/feature/sae/0.json").json()["panels"]["wrong"] if of["calls"]]
    [call] = panel["calls"]
    assert call == {"request": "r1", "sample": 0, "attempt": 1, "prompt": "e1: <b>", "reply": "<script>"}
    assert [window["asked_as"] for window in panel["windows"]] == ["e1", "e2"]
    html = client.get("/feature/sae/0").text
    assert '<a class="more" href="/call/r1#s0a1">e2 of its call</a>' in html
    assert "<summary>Prompt and reply</summary>" in html
    assert '<pre class="said-by">e1: &lt;b&gt;</pre>' in html
    assert "&lt;script&gt;" in html


def test_a_call_shows_prompt_reply_and_cost(built: tuple[Path, object], open_pages: Any) -> None:
    client = open_pages(built[0])
    [stored] = rows(built[0], "SELECT * FROM llm_calls LIMIT 1")
    page = client.get(f"/call/{stored['request']}.json").json()
    assert page["prompt"] == stored["prompt"]
    assert page["attempts"][0]["reply"] == stored["reply"]
    assert page["attempts"][0]["cost_usd"] == stored["cost_usd"]
    html = client.get(f"/call/{stored['request']}").text
    assert f'<pre class="said-by">{stored["prompt"]}</pre>' in html
    assert client.get("/calls.json").json()["n_calls"] == rows(built[0], "SELECT count(*) AS n FROM llm_calls")[0]["n"]
    assert client.get("/call/none").status_code == 404
    assert client.get("/calls?feature=x").status_code == 400
    assert client.get("/calls?color=red").status_code == 400


def test_calls_are_those_about_what_was_asked(store: Path, open_pages: Any) -> None:
    import duckdb

    about = {"dictionary": "d<i>", "feature": 7, "explainer": "e", "scorer": "detection", "part": 0}
    shared = {
        "body": {"messages": [{"role": "system", "content": "Judge <b>well</b>."}, {"role": "user", "content": None}]}
    }
    with duckdb.connect(str(store)) as connection:
        others: list[dict[str, Any]] = [{}, {"feature": 77}, {"scorer": "fuzzing"}, {"explainer": "f"}]
        for number, changed in enumerate(others):
            values = [f"new{number}", json.dumps({**about, **changed}, sort_keys=True)]
            connection.execute(
                "INSERT INTO llm_calls SELECT * REPLACE ($1 AS request, $2 AS about, 'shared' AS prefix, "
                "'<script>x' AS reply) FROM llm_calls LIMIT 1",
                values,
            )
        connection.execute("INSERT INTO llm_prefixes VALUES ('shared', $1)", [json.dumps(shared)])
    client = open_pages(store)
    asked = f"/calls.json?dictionary={quote('d<i>')}&feature=7"
    assert {call["request"] for call in client.get(asked).json()["calls"]} == {"new0", "new2", "new3"}
    assert [call["request"] for call in client.get(f"{asked}&scorer=detection&explainer=e").json()["calls"]] == ["new0"]
    html = client.get(f"/calls?dictionary={quote('d<i>')}&feature=7").text
    assert "<i>" not in html
    assert '<a href="/call/new0#s0a1">' in html
    page = client.get("/call/new0").text
    assert "<script>x" not in page
    assert "Judge &lt;b&gt;well&lt;/b&gt;." in page


def test_a_run_turns_up_every_feature(client: TestClient, judged_store: Path) -> None:
    """Those of a subject with a tokenizer: each that fires has a score, and its page says it."""
    scores = rows(
        judged_store,
        "SELECT o.feature, o.status, o.score, f.max_activation FROM current_output_scores o "
        "JOIN features f USING (dictionary, feature) WHERE dictionary = $dictionary ORDER BY feature",
        dictionary=DICTIONARY,
    )
    [[n]] = (row.values() for row in rows(judged_store, "SELECT count(*) FROM features WHERE dictionary = $dictionary",
                                          dictionary=DICTIONARY))  # fmt: skip
    assert len(scores) == n
    for row in scores:
        assert row["status"] == ("ok" if row["max_activation"] > 0 else "silent")
        assert (row["score"] is None) == (row["status"] == "silent")
    page = unescape(client.get(f"/feature/{DICTIONARY}/{FEATURE}").text)
    [own] = (row["score"] for row in scores if row["feature"] == FEATURE)
    assert f"Output score {own:.3f}: of the 20 tokens" in page
