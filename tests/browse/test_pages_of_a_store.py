"""Every page of a store that a run made opens, and its JSON is the dataclass that its template got."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from judged import LABELLED, LUNA, MINE
from starlette.testclient import TestClient
from stored import rows

from autointerp.browse.feature_data import load_whole_feature
from autointerp.browse.features_data import SORTS, FeatureChoice, FeaturesPage, load_features, read_choice
from autointerp.browse.overview_data import load_overview
from autointerp.browse.overview_panels import MOST_POINTS, WIDTH_OF_BIN
from autointerp.errors import UserError
from autointerp.show.plain_json import as_json
from autointerp.show.text import visible
from autointerp.store.reader import open_reader
from autointerp.store.writer import StoreWriter

PEARSON = "pearson, census, simulation"


def json_of(client: TestClient, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.text)


def html_of(client: TestClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.rstrip().endswith("</html>")
    return answer.text


def links(page: str) -> set[str]:
    return {unescape(link) for link in re.findall(r'href="(/[^"]*)"', page)}


@pytest.mark.parametrize("one_in", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_every_page_opens_and_links_lead_to_pages(client: TestClient, judged_store: Path, one_in: int) -> None:
    """All features of all dictionaries, or one in so many, and what the first page and they lead to; of lists by score,
    of statements and of lists of calls a few."""
    first = sorted(links(html_of(client, "/")))
    by_score = [link for link in first if "measure=" in link]
    waiting = set(first) - set(by_score) | set(by_score[::40])
    features = rows(judged_store, "SELECT dictionary, feature FROM features ORDER BY ALL")[::one_in]
    waiting |= {f"/feature/{quote(row['dictionary'], safe='')}/{row['feature']}" for row in features}
    dictionaries = {row["dictionary"] for row in rows(judged_store, "SELECT dictionary FROM dictionaries")}
    assert {f"/dictionary/{quote(name, safe='')}" for name in dictionaries} <= waiting
    inside: set[str] = set()
    for address in sorted(waiting):
        answer = client.get(address)
        assert answer.status_code == 200, address
        if address.startswith("/feature/"):
            inside |= links(answer.text)
    many = sorted(address for address in inside if address.startswith(("/sql?", "/calls?")))
    assert len(many) > 80 / one_in
    rest = inside - waiting - set(many)
    others = sorted(address for address in rest if address.startswith("/feature/"))
    for address in rest - set(others) | set(others[::one_in]) | set(many[::40]):
        assert client.get(address).status_code in (200, 303), address


@pytest.mark.slow
def test_json_is_the_page(client: TestClient, judged_store: Path) -> None:
    with open_reader(judged_store) as reader:
        assert json_of(client, "/index.json") == json.loads(as_json(load_overview(reader)))
        for row in reader.rows("SELECT dictionary, feature FROM features"):
            page = load_whole_feature(reader, row["dictionary"], row["feature"])
            address = f"/feature/{quote(row['dictionary'], safe='')}/{row['feature']}.json"
            assert json_of(client, address) == json.loads(as_json(page))
        for name in ("mlp-1k", "neurons@natural"):
            asked = {"sort": "score", "order": "down", "status": "alive"}
            page_of = load_features(reader, name, read_choice(asked))
            said = json_of(client, f"/dictionary/{name}.json?sort=score&order=down&status=alive")
            assert said == json.loads(as_json(page_of))


def test_the_overview_counts(client: TestClient, judged_store: Path) -> None:
    page = json_of(client, "/index.json")
    for row in page["dictionaries"]:
        counted = rows(
            judged_store, "SELECT status FROM features WHERE dictionary = $dictionary", dictionary=row["dictionary"]
        )
        by = [sum(one["status"] == status for one in counted) for status in ("alive", "rare", "dead")]
        assert [row["n_alive"], row["n_rare"], row["n_dead"], row["n_features"]] == [*by, len(counted)]
    [failed] = rows(judged_store, "SELECT count(*) AS n FROM current_failures")
    assert sum(row["n"] for row in page["failures"]) == failed["n"] > 0
    scores = {(row["dictionary"], row["explainer"]) for row in page["scores"]}
    assert {("mlp-1k", LUNA), ("mlp-1k", MINE), ("neurons", "lexical")} <= scores
    html = html_of(client, "/")
    first = next(row for row in page["scores"] if row["floor"] is not None)
    for value in (f"{first['mean_all']:.3f}", f"{first['floor']:.3f}", f"[{first['mean_all_low']:.3f}, "):
        assert value in html


def test_the_panels_of_the_overview_count(client: TestClient, judged_store: Path) -> None:
    panels = json_of(client, "/index.json")["panels"]
    design, metric, scorer, explainer = next(
        (row["design"], row["metric"], row["scorer"], row["explainer"]) for row in panels["verdicts"]
    )
    assert panels["kind"] == ", ".join([metric, design, explainer] + ([scorer] if scorer != "simulation" else []))
    values: dict[str, list[float]] = {}
    for row in rows(
        judged_store,
        "SELECT dictionary, value FROM score_table WHERE design = $design AND metric = $metric AND scorer = $scorer "
        "AND explainer = $explainer AND value IS NOT NULL",
        design=design,
        metric=metric,
        scorer=scorer,
        explainer=explainer,
    ):
        values.setdefault(row["dictionary"], []).append(row["value"])
    drawn = {of["dictionary"]: dict(of["bins"]) for of in panels["distributions"]}
    assert drawn.keys() == values.keys()
    for dictionary, bins in drawn.items():
        counted = Counter(math.floor(value / WIDTH_OF_BIN) for value in values[dictionary])
        assert {round(edge / WIDTH_OF_BIN): n for edge, n in bins.items()} == counted

    facts = {(row["dictionary"], row["feature"]): row for row in rows(judged_store, "SELECT * FROM features")}
    files = {row["dictionary"] for row in rows(judged_store, "SELECT dictionary FROM dictionaries WHERE kind = 'sae'")}
    assert {of["dictionary"] for of in panels["weights"]} == files
    for of in panels["weights"]:
        fired = [key for key, row in facts.items() if key[0] == of["dictionary"] and row["density"] > 0]
        assert len(of["points"]) == min(MOST_POINTS, len(fired))
        for point in of["points"]:
            row = facts[of["dictionary"], point["feature"]]
            assert point == {name: row[name] for name in point}

    said: dict[tuple[str, str], dict[int, bool]] = {}
    for row in rows(
        judged_store, "SELECT dictionary, explainer, feature, text FROM explanations WHERE is_label(explainer)"
    ):
        of_one = said.setdefault((row["dictionary"], row["explainer"]), {})
        of_one[row["feature"]] = of_one.get(row["feature"], False) or row["text"] is not None
    covered = {(of["dictionary"], of["explainer"]): (of["n_labels"], of["n_without"]) for of in panels["coverage"]}
    assert covered == {key: (sum(of.values()), len(of) - sum(of.values())) for key, of in said.items()}


def test_the_overview_says_what_calls_have_cost(built: tuple[Path, object], open_pages: Any) -> None:
    page = open_pages(built[0]).get("/index.json").json()
    [cost] = rows(built[0], "SELECT sum(cost_usd) AS usd, count(*) AS n FROM llm_calls")
    assert page["cost_usd"] == pytest.approx(cost["usd"])
    assert sum(row["n_calls"] for row in page["calls"]) == cost["n"] > 0
    assert page["cost_usd"] > 0


def test_a_feature_says_what_the_card_knows(client: TestClient) -> None:
    page = json_of(client, f"/feature/mlp-1k/{LABELLED}.json")
    html = html_of(client, f"/feature/mlp-1k/{LABELLED}")
    card = page["card"]
    text = unescape(html)
    assert 'Fires on "self".' in text
    for line in card["explanations"]:
        assert line["text"] is None or visible(line["text"])[:200] in text
    for stratum in {exemplar["stratum"] for exemplar in card["exemplars"]}:
        assert f"<h3>{stratum}</h3>" in html
    peaks = [window["tokens"][window["peak"]] for window in card["exemplars"]]
    for token in peaks:
        assert f'title="{token["activation"]:.3g}' in html
    assert 't a9 peak" title="' in html, "the largest activation has the last shade"
    for near in card["neighbours"]:
        extracted = near["feature"] < 16
        assert (f'href="/feature/mlp-1k/{near["feature"]}"' in html) == extracted
        assert (f"{near['feature']} (not extracted)" in html) != extracted
    floors = {(row["explainer"], row["metric"], row["design"]): row["floor"] for row in page["floors"]}
    assert f"{floors['lexical', 'pearson', 'census']:.3f}" in html


def test_previous_and_next_are_the_features_beside(client: TestClient) -> None:
    assert [json_of(client, f"/feature/mlp-1k/{n}.json")["previous"] for n in (0, 1, 15)] == [None, 0, 14]
    assert [json_of(client, f"/feature/mlp-1k/{n}.json")["next"] for n in (0, 14, 15)] == [1, 15, None]
    answer = client.get("/random/mlp-1k")
    assert answer.status_code == 303
    assert re.fullmatch(r"/feature/mlp-1k/\d+", answer.headers["location"])


# --- sorting and filtering, against a slow twin


@pytest.fixture(scope="module")
def every(judged_store: Path) -> FeaturesPage:
    with open_reader(judged_store) as reader:
        return load_features(reader, "mlp-1k", FeatureChoice(explainer="lexical", measure=PEARSON))


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["up", "down"])
def test_sorting(judged_store: Path, every: FeaturesPage, sort: str, order: str) -> None:
    with open_reader(judged_store) as reader:
        page = load_features(
            reader, "mlp-1k", FeatureChoice(explainer="lexical", measure=PEARSON, sort=sort, order=order)
        )
    sign = -1 if order == "down" else 1

    def place(row: Any) -> tuple[bool, float, int]:
        if sort == "input_less_output":
            value = None if row.score is None or row.output is None else row.score - row.output
        else:
            value = getattr(row, sort)
        return value is None, 0.0 if value is None else sign * value, row.feature

    assert [row.feature for row in page.features] == [row.feature for row in sorted(every.features, key=place)]


def test_filters(judged_store: Path, every: FeaturesPage) -> None:
    base = {"explainer": "lexical", "measure": PEARSON}
    scores = sorted(row.score for row in every.features if row.score is not None)
    densities = sorted(row.density for row in every.features)
    middle, sparse = scores[len(scores) // 2], densities[len(densities) // 2]
    word = next(row.label for row in every.features if row.label).split()[3].lower()
    filters: list[tuple[dict[str, str], Any]] = [
        ({"score_from": repr(middle)}, lambda row: row.score is not None and row.score >= middle),
        ({"score_to": repr(middle)}, lambda row: row.score is not None and row.score <= middle),
        ({"density_from": repr(sparse)}, lambda row: row.density >= sparse),
        ({"density_to": repr(sparse)}, lambda row: row.density <= sparse),
        ({"status": "alive"}, lambda row: row.status == "alive"),
        ({"status": "dead"}, lambda row: row.status == "dead"),
        ({"q": f"{word} FIRES"}, lambda row: all(w in (row.label or "").lower() for w in (word, "fires"))),
        ({"q": "no such words"}, lambda row: "such" in (row.label or "")),
    ]
    with open_reader(judged_store) as reader:
        for asked, holds in filters:
            page = load_features(reader, "mlp-1k", read_choice({**base, **asked}))
            expected = [row for row in every.features if holds(row)]
            assert list(page.features) == expected, asked
            assert page.n_found == len(expected), asked
            assert page.n_all == 16


def test_a_measure_of_each_explainer(client: TestClient) -> None:
    page = json_of(client, f"/dictionary/mlp-1k.json?explainer={quote(LUNA, safe='')}")
    assert page["choice"]["explainer"] == LUNA
    for measure in page["measures"][:3]:
        listed = client.get("/dictionary/mlp-1k.json", params={"explainer": LUNA, "measure": measure}).json()
        assert listed["n_found"] == 16
    scored = [row for row in listed["features"] if row["score_status"] is not None]
    assert scored


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sort=density);DROP TABLE features", "sort"),
        ("order=sideways", "order"),
        ("status=undead", "status"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("density_from=nan", "density_from"),
        ("score_to=high", "score_to"),
        ("explainer=nobody", "explainer"),
        ("measure=nothing", "measure"),
        ("zzz=1", "zzz"),
    ],
)
def test_a_wrong_question_is_one_line(client: TestClient, query: str, said: str) -> None:
    for address in ("/dictionary/mlp-1k", "/dictionary/mlp-1k.json"):
        answer = client.get(f"{address}?{query}")
        assert answer.status_code == 400, answer.text
        assert said in answer.text


def test_what_is_not_there_is_404(client: TestClient) -> None:
    for address in ("/dictionary/nobody", "/feature/nobody/1", "/feature/mlp-1k/99", "/feature/mlp-1k/99999999",
                    "/feature/mlp-1k/-1", "/feature/mlp-1k/x", "/random/nobody", "/nothing", "/../etc/passwd",
                    "/feature/mlp-1k/99.json", "/feature/mlp-1k/123456789012345678901234567890"):  # fmt: skip
        assert client.get(address).status_code == 404, address
    assert "features 0 to" in client.get("/feature/mlp-1k/99999999.json").json()["error"]


def test_a_page_past_the_last_says_so(client: TestClient) -> None:
    assert "There is no page 7" in html_of(client, "/dictionary/mlp-1k?page=7")


def test_unreadable_values_are_refused_by_name() -> None:
    with pytest.raises(UserError, match="page"):
        read_choice({"page": "1e3"})


def test_a_writer_may_come_between_requests(store: Path, open_pages: Any) -> None:
    """No connection outlives its request: the file is free for the one writer."""
    client = open_pages(store)
    assert client.get("/").status_code == 200
    with StoreWriter.open(store):
        held = client.get("/")
    assert held.status_code == 503
    assert client.get("/").status_code == 200
