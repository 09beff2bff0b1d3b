"""Views that answer without a join, against the tables that they are made of; and the questions of docs/SQL.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from stored import rows

from autointerp.words import is_label

PAGE = Path(__file__).parents[2] / "docs" / "SQL.md"
QUESTIONS = re.findall(r"^([A-Z].*)\n\n```sql\n(.*)\n```", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
WINDOW = 32


@pytest.fixture(scope="module")
def texts(judged_store: Path) -> dict[int, str]:
    return {row["token"]: row["text"] for row in rows(judged_store, "SELECT token, text FROM vocab")}


def marked(tokens: list[int], fires: set[int], texts: dict[int, str]) -> str:
    return "".join(f"«{texts[t]}»" if i in fires else texts[t] for i, t in enumerate(tokens))


def test_fifteen_questions_are_a_line_each() -> None:
    assert len(QUESTIONS) == 15
    assert PAGE.read_text(encoding="utf-8").count("```sql") == 15


def test_every_view_is_listed_once(judged_store: Path) -> None:
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|[^|]*\|([^|]*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)))
    views = rows(judged_store, "SELECT view_name FROM duckdb_views() WHERE NOT internal")
    assert sorted(listed) == sorted(row["view_name"] for row in views)


@pytest.mark.parametrize(("question", "sql"), QUESTIONS)
def test_each_question_has_an_answer(question: str, sql: str, judged_store: Path) -> None:
    found = rows(judged_store, sql)
    assert found or "llm_costs" in sql, question  # the scripted LLM of this store costs nothing and logs no call


def test_exemplars_are_the_kept_windows_with_marks(judged_store: Path, texts: dict[int, str]) -> None:
    where = "WHERE dictionary = 'mlp-1k' AND feature IN (1, 5)"
    sql = f"""
        SELECT e.feature, e.split, e.stratum, e.rank, e.max_activation, e.window_start, e.n_tokens, e.positions,
               c.tokens
        FROM exemplars e JOIN contexts c USING (context) {where}
    """
    expected = {
        (row["feature"], row["split"], row["stratum"], row["rank"]): (
            row["max_activation"],
            marked(
                row["tokens"][row["window_start"] : row["window_start"] + row["n_tokens"]], {*row["positions"]}, texts
            ),
        )
        for row in rows(judged_store, sql)
    }
    found = rows(judged_store, f"SELECT * FROM exemplar_texts {where}")
    assert len(found) == len(expected) > 50
    for row in found:
        assert (row["activation"], row["text"]) == expected[row["feature"], row["split"], row["stratum"], row["rank"]]
    assert any("«" in row["text"] for row in found)


def test_promoted_tokens_are_the_effects_as_text(judged_store: Path, texts: dict[int, str]) -> None:
    sql = "SELECT dictionary, feature, direction, rank, token, effect, z FROM logit_effects ORDER BY ALL"
    expected = [{**row, "text": texts[row["token"]]} for row in rows(judged_store, sql)]
    found = rows(judged_store, "SELECT * FROM promoted_tokens ORDER BY dictionary, feature, direction, rank")
    assert len(found) == len(expected) > 1000
    for row, of in zip(found, expected, strict=True):
        assert row == {name: of[name] for name in row}


def test_features_of_a_token_are_those_whose_mass_stands_on_it(judged_store: Path, texts: dict[int, str]) -> None:
    facts = {
        (row["dictionary"], row["feature"]): row
        for row in rows(judged_store, "SELECT dictionary, feature, mean * n_tokens AS mass FROM features")
    }
    labels = rows(judged_store, "SELECT dictionary, feature, text FROM current_explanations WHERE is_label(explainer)")
    said = {(row["dictionary"], row["feature"], row["text"]) for row in labels}
    expected = {}
    for row in rows(judged_store, "SELECT * FROM feature_tokens"):
        name = row["dictionary"], row["feature"]
        for token, mass, n_firing, n_seen in zip(
            row["tokens"], row["mass"], row["n_firing"], row["n_seen"], strict=True
        ):
            expected[*name, token] = mass / facts[name]["mass"], n_firing / n_seen, mass / n_firing
    found = rows(judged_store, "SELECT * FROM token_features")
    assert len(found) == len(expected) > 1000
    for row in found:
        values = row["share"], row["fires_on"], row["mean_activation"]
        assert values == pytest.approx(expected[row["dictionary"], row["feature"], row["token"]])
        assert row["token_text"] == texts[row["token"]]
        assert row["label"] is None or (row["dictionary"], row["feature"], row["label"]) in said
    mine = next(row for row in found if row["dictionary"] == "mlp-1k" and row["feature"] == 5)
    assert not mine["label"].startswith("Fires most on"), "an LLM's label stands before that of lexical"


def test_unscored_labels_are_those_without_a_score_each_with_a_chance_or_a_reason(judged_store: Path) -> None:
    scored = rows(
        judged_store,
        """SELECT dictionary, explainer, scorer, metric, list(feature) AS features,
                  avg((coalesce(value, -1) >= 0.5)::INT) AS holds
           FROM score_table WHERE design = 'sample' AND status NOT IN ('rare', 'dead')
           AND metric IN ('pearson_framed', 'mcc_weighted') AND NOT contains(scorer, '@') GROUP BY ALL""",
    )
    texts = {
        (row["dictionary"], row["feature"], row["explainer"]): row["text"]
        for row in rows(judged_store, "SELECT dictionary, feature, explainer, text FROM current_explanations")
    }
    view = rows(judged_store, "SELECT * FROM unscored_labels WHERE metric IN ('pearson_framed', 'mcc_weighted')")
    for of in scored:
        about = {name: of[name] for name in ("dictionary", "explainer", "scorer", "metric")}
        mine = [row for row in view if about.items() <= row.items()]
        if not is_label(of["explainer"]):
            assert not mine
            continue
        status = rows(judged_store, "SELECT feature, status FROM features WHERE dictionary = $d", d=of["dictionary"])
        left = [row for row in status if row["feature"] not in of["features"]]
        assert sorted(row["feature"] for row in mine) == [row["feature"] for row in left] or not mine
        for row in mine:
            text = texts.get((row["dictionary"], row["feature"], row["explainer"]))
            [fires] = [one["status"] for one in left if one["feature"] == row["feature"]]
            assert row["label"] == text
            assert row["status"] == (fires if fires != "alive" else "base_rate" if text else "no_label")
            assert (row["probability"] is None) == (row["status"] != "base_rate")
            if row["probability"] is not None:  # strata weigh the scored ones: near the plain share, not it
                assert row["probability"] == pytest.approx(of["holds"], abs=0.25)
                assert 0 <= row["ci_low"] <= row["probability"] <= row["ci_high"] <= 1
    assert {row["status"] for row in view} >= {"base_rate"}
    explainers = {row["explainer"] for row in view}
    assert explainers > {"lexical", "mine"}
    assert "human" not in explainers, "a person chose the features: they are no sample"


def test_wrong_windows_are_the_wrong_judgements_of_current_works(judged_store: Path, texts: dict[int, str]) -> None:
    sql = """
        SELECT j.*, c.tokens FROM judgements j JOIN contexts c USING (context)
        WHERE j.status = 'ok' AND (j.run IS NULL OR j.run IN (SELECT work FROM current_works WHERE stage = 'judge'))
    """
    key = ("dictionary", "feature", "explainer", "scorer", "context", "window_start", "stratum")
    expected: dict[tuple[object, ...], list[tuple[str, str]]] = {}
    for row in rows(judged_store, sql):
        if row["judged"] != row["fires"]:
            tokens = row["tokens"][row["window_start"] : row["window_start"] + WINDOW]
            shown = marked(tokens, {*(row["marks"] or ())}, texts)
            wrong = "miss" if row["fires"] else "false alarm"
            expected.setdefault(tuple(row[name] for name in key), []).append((wrong, shown))
    found = rows(judged_store, "SELECT * FROM wrong_windows")
    assert len(found) > 1000
    seen = set()
    for row in found:
        name = tuple(row[part] for part in key)
        seen.add(name)
        assert (row["wrong"], row["text"]) in expected[name]
    assert seen == set(expected)
    assert {row["wrong"] for row in found} == {"miss", "false alarm"}
    assert any(row["label"] for row in found)
