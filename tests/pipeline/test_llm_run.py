"""A run with an LLM explainer and judge over the bundled subject, the LLM scripted: rows, names, counts, failures.

One store, extracted once; each test adds what its own run file adds.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scripted
from stored import check, rows

from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.errors import OverBudget, StoreError, UserError
from autointerp.explain.evidence import Evidence, Failure
from autointerp.llm.asks import Ask
from autointerp.pipeline import run
from autointerp.pipeline.dry_run.expected_calls import EXPLAIN_TOKENS
from autointerp.pipeline.dry_run.report import plan_of
from autointerp.progress import Reporter
from autointerp.records import Explanation
from autointerp.score.metric_registry import metrics_for
from autointerp.score.predictions import CLAIMED, REST, STRENGTHS
from autointerp.score.scorers.registry import SCORERS
from autointerp.words import RANKINGS, USUAL_SCORERS

QUIET = Reporter(quiet=True)
MODEL = {"provider": "openai", "model": "gpt-6-luna", "base_url": "http://127.0.0.1:9/v1"}
LUNA = "gpt-6-luna/default/both"
N_FEATURES, N_SCORED, N_CONTROLS = 24, 10, 4
CONTROLS_SHARE = 100 / 500
"""Of the scored features of a dictionary, by default."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llm")


@pytest.fixture(scope="module")
def configured(folder: Path) -> Callable[..., dict[str, Any]]:
    def make(*more: Any, judge: Any = MODEL, **score: Any) -> dict[str, Any]:
        judged = {**judge, "controls": N_CONTROLS} if judge else None
        return {
            "name": "llm",
            "store": str(folder / "llm.duckdb"),
            "subject": {"model": "bundled:subject", "device": "cpu"},
            "tokens": {"source": "bundled:corpus", "n_tokens": 40_000, "allow_fewer": True},
            "effects": {"features": "none"},
            "dictionary": [{"name": "mlp-1k", "path": "bundled:mlp-1k", "features": f"0:{N_FEATURES}"}],
            "evidence": {"score_windows": 64},
            "explain": {"explainers": ["lexical", MODEL, *more]},
            "score": {
                "features": {"sample": N_SCORED},
                **({"judge": judged} if judge else {}),
                **score,
            },
        }

    return make


@pytest.fixture(scope="module")
def llm() -> Any:
    return scripted.ScriptedLLM()


@pytest.fixture(scope="module")
def store(configured: Callable[..., Any], llm: Any) -> Path:
    """The first run: one LLM explainer, one judge, all scorers."""
    return run(parse_run(configured()), reporter=QUIET, open_client=lambda *_: llm)


def test_explanations_have_their_answers_and_where_they_come_from(store: Path) -> None:
    check(store)
    found = rows(store, "SELECT * FROM explanations WHERE explainer = $e ORDER BY feature", e=LUNA)
    assert len(found) == N_FEATURES
    said = [row for row in found if row["status"] == "ok"]
    assert len(said) > N_FEATURES / 2
    assert {row["status"] for row in found} <= {"ok", "dead"}
    for row in said:
        assert row["text"].startswith("Fires on")
        assert row["promotes"]
        assert row["model"] == "gpt-6-luna-2026"
        assert row["prompt"]
        assert row["request"]
        assert row["lookup"] is None
    donors = rows(store, "SELECT * FROM explanations WHERE explainer = $e", e=f"shuffled:{LUNA}")
    texts = {row["feature"]: row["text"] for row in found}
    given = [row for row in donors if row["status"] == "ok"]
    assert given
    assert all(row["text"] == texts[row["donor"]] and row["donor"] != row["feature"] for row in given)


def test_scores_have_the_right_names_and_numbers(store: Path) -> None:
    found = rows(store, "SELECT explainer, scorer, metric, count(*) AS n FROM score_table GROUP BY ALL")
    counts = {(row["explainer"], row["scorer"], row["metric"]): row["n"] for row in found}
    judged = {name: [one.name for one in metrics_for(SCORERS[name].shape, name)] for name in USUAL_SCORERS}
    assert {*judged["simulation"]} >= {"pearson_framed", "pearson", "auprc_thresholded", "f1_thresholded"}
    assert {"mcc_weighted", "recall_weak", "balanced_accuracy_matched"} <= {*judged["detection"]} & {*judged["fuzzing"]}
    for scorer, metrics in judged.items():
        for metric in metrics:
            name = f"{scorer}:gpt-6-luna"
            assert counts[LUNA, name, metric] == N_SCORED
            for control in (f"shuffled:{LUNA}", "constant", "generic"):
                assert counts[control, name, metric] == N_CONTROLS
            assert ("lexical", name, metric) not in counts  # the embedded explainers have judges of their own
    for metric in judged["logits_hard"]:
        assert counts[f"permuted:{LUNA}", "logits_hard:gpt-6-luna", metric] == N_CONTROLS
    assert counts["lexical", f"simulation:lookup@{LUNA}", "pearson_framed"] > 0
    for explainer in ("lexical", "shuffled", "constant", "generic"):
        for scorer in ("detection:lookup", "fuzzing:lookup"):
            assert counts[explainer, scorer, "auroc_matched"] == N_SCORED
        assert counts[explainer, "logits_hard:text", "logit_accuracy_direct_hard"] == N_SCORED
    for ranking in RANKINGS:
        assert counts[ranking, "logits_hard:unembedding", "logit_accuracy_direct_hard"] > 0


def test_good_explanations_score_above_the_controls(store: Path) -> None:
    found = rows(store, "SELECT explainer, scorer, metric, mean, floor FROM dictionary_summary")
    mean = {(row["explainer"], row["scorer"], row["metric"]): row["mean"] for row in found}
    floor = {(row["explainer"], row["scorer"], row["metric"]): row["floor"] for row in found}
    key = (LUNA, "simulation:gpt-6-luna", "pearson_framed")
    assert mean[key] > 0.1
    assert floor[key] == max(mean[name, *key[1:]] for name in (f"shuffled:{LUNA}", "constant", "generic"))
    assert mean["constant", *key[1:]] == 0
    assert abs(mean[f"permuted:{LUNA}", "logits_hard:gpt-6-luna", "logit_accuracy_direct_hard"] - 0.5) < 0.15
    hard = {name: mean[name, "logits_hard:unembedding", "logit_accuracy_direct_hard"] for name in RANKINGS}
    assert abs(hard["unembedding_norm"] - 0.5) < 0.2
    assert hard["completion"] < 0.8, "docs/SCORES.md: .66 to .71 on the bundled dictionaries, .81 to .84 of `logits`"


def test_predictions_are_stored_and_scores_follow_from_them(store: Path) -> None:
    sql = "SELECT * FROM simulations WHERE explainer = $e AND scorer = 'simulation:gpt-6-luna'"
    found = rows(store, sql, e=LUNA)
    by_feature = defaultdict(list)
    for row in found:
        by_feature[row["feature"]].append(row)
    assert 0 < len(by_feature) <= N_SCORED
    assert all(len(of) <= 60 for of in by_feature.values())
    beside = rows(store, "SELECT * FROM simulations WHERE scorer = $s", s=f"simulation:lookup@{LUNA}")
    windows = {(row["feature"], row["context"], row["window_start"]) for row in found}
    assert {(row["feature"], row["context"], row["window_start"]) for row in beside} == windows  # the same windows
    scores = rows(
        store,
        "SELECT feature, metric, value FROM score_table WHERE explainer = $e AND scorer = 'fuzzing:gpt-6-luna' "
        "AND metric = 'balanced_accuracy_matched' AND value IS NOT NULL",
        e=LUNA,
    )
    judged = rows(store, "SELECT * FROM judgements WHERE explainer = $e AND scorer = 'fuzzing:gpt-6-luna'", e=LUNA)
    assert {row["stratum"] for row in judged} == {*STRENGTHS, "wrong", CLAIMED, REST}
    for score in scores:
        mine = [row for row in judged if row["feature"] == score["feature"]]
        of = [row for row in mine if row["stratum"] not in (CLAIMED, REST)]
        truth, said = (np.array([row[name] for row in of]) for name in ("fires", "judged"))
        assert score["value"] == pytest.approx((said[truth].mean() + (~said[~truth]).mean()) / 2)
        assert all(row["marks"] for row in mine)


def test_the_same_run_again_sends_nothing(store: Path, configured: Callable[..., Any], llm: Any) -> None:
    sent = len(llm.sent)
    before = rows(store, "SELECT count(*) AS n FROM scores")

    def refuse(*_: Any) -> Any:
        raise AssertionError("a client was opened")

    run(parse_run(configured()), reporter=QUIET, open_client=refuse)
    assert len(llm.sent) == sent
    assert rows(store, "SELECT count(*) AS n FROM scores") == before


def tokens_of(ask: Ask) -> tuple[float, float]:
    """Characters / 4 of a call: all that is sent, and what is written."""
    schema = "" if ask.schema is None else json.dumps(ask.schema, separators=(",", ":"))
    reply = json.dumps(scripted.reply_to(ask), separators=(",", ":"))
    return len(ask.system + ask.prompt + schema) / 4, len(reply) / 4


def usual_tokens(config: RunConfig) -> dict[str, tuple[int, int]]:
    """Tokens in and out of a call that `--dry-run` reckons with, by kind of question."""
    assert config.score.judge is not None
    usual = [SCORERS[name].usual(config.score.judge) for name in USUAL_SCORERS]
    return {"explain": EXPLAIN_TOKENS} | {one.kind: (one.input_tokens, one.output_tokens) for one in usual}


@pytest.mark.usefixtures("store")
def test_a_feature_costs_at_most_eight_calls_and_three_tenths_of_a_cent(
    configured: Callable[..., Any], llm: Any
) -> None:
    """The whole default run, controls billed in the average, at $0.10 / $0.50 per million tokens, nothing cached."""
    calls: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for ask in llm.sent:
        calls[ask.about["explainer"], ask.kind].append(tokens_of(ask))
    usual = usual_tokens(parse_run(configured()))
    n_calls = usd = 0.0
    for (explainer, kind), sizes in calls.items():
        share = 1.0 if explainer == LUNA else CONTROLS_SHARE
        read, written = np.array(sizes).mean(axis=0)
        n_calls += share
        usd += share * (0.10 * read + 0.50 * written) / 1e6
        if explainer == LUNA:
            most_read, most_written = usual[kind]
            print(f"{kind}: {read:.0f} of {most_read}, {written:.0f} of {most_written}")
            assert read < 1.1 * most_read, kind  # what --dry-run says is no less than what is sent
            assert written < 1.1 * most_written, kind
    print(f"{n_calls:.1f} calls, ${usd:.4f} a feature")
    assert n_calls <= 8
    assert usd <= 0.003
    assert {kind for explainer, kind in calls if explainer == LUNA} == usual.keys()
    assert len(usual) == 1 + len(USUAL_SCORERS)
    assert usual.keys() >= {"explain", "simulate", "detect", "fuzz", "logits_hard"}
    permuted = f"permuted:{LUNA}"
    assert {kind for explainer, kind in calls if explainer == permuted} == {"logits_hard"}
    assert {ask.about["scorer"] for ask in llm.sent if ask.about["explainer"] == permuted} == {"logits_hard"}


def test_failures_are_named_and_counted_and_never_scored(store: Path, configured: Callable[..., Any]) -> None:
    """Another explainer in the same store: some explanations refused, some simulations cut, some judgements broken."""

    def fail(ask: Ask) -> str | None:
        feature = ask.about["feature"]
        if ask.about["explainer"] != "gpt-6-luna/default/input":
            return None
        if ask.kind == "explain":
            return "refused" if feature % 4 == 0 else None
        return {"simulate": "truncated", "fuzz": "invalid"}.get(ask.kind) if feature % 3 == 0 else None

    broken = scripted.ScriptedLLM(fail)
    more = {**MODEL, "evidence": "input"}
    run(parse_run(configured(more)), reporter=QUIET, open_client=lambda *_: broken)
    check(store)
    name = "gpt-6-luna/default/input"
    said = {r["feature"]: r for r in rows(store, "SELECT * FROM explanations WHERE explainer = $e", e=name)}
    refused = [f for f, row in said.items() if row["status"] == "refused"]
    assert refused
    assert all(said[f]["text"] is None for f in refused)
    reasons = rows(store, "SELECT * FROM failures WHERE explainer = $e", e=name)
    assert {(r["stage"], r["scorer"], r["status"]) for r in reasons} >= {("explain", None, "refused")}
    scores = rows(store, "SELECT * FROM score_table WHERE explainer = $e", e=name)
    for row in scores:
        if row["feature"] in refused:
            assert (row["value"], row["n"]) == (None, 0)
            assert row["status"] in ("refused", "rare", "dead")
        elif row["feature"] % 3 == 0 and row["scorer"].startswith(("simulation:", "fuzzing:")):
            assert row["value"] is None
            if row["status"] == "failed":
                assert row["n_failed"] > 0
                assert row["n"] == 0
    assert any(row["status"] == "failed" for row in scores)
    # nothing of the first explainer was asked again
    assert {ask.about["explainer"] for ask in broken.sent} == {name, f"shuffled:{name}", f"permuted:{name}"}
    # the control with the vocabulary permuted has a row for every feature of its own, with a reason where there is none
    permuted = rows(store, "SELECT * FROM score_table WHERE explainer = $e", e=f"permuted:{name}")
    assert Counter(row["metric"] for row in permuted) == {
        "logit_accuracy_direct_hard": N_CONTROLS,
        "logit_auprc_direct_hard": N_CONTROLS,
    }
    for row in permuted:
        known = row["status"] in ("ok", "constant")
        assert known == (row["value"] is not None) == (said[row["feature"]]["status"] == "ok"), row


class Mine:
    """An explainer of the user's own."""

    def explain(self, evidence: Evidence) -> Explanation | Failure:
        if evidence.feature % 5 == 0:
            return Failure("tired", "every fifth is too much")
        best = max(evidence.exemplars, key=lambda one: max(one.activations))
        token = best.tokens[int(np.argmax(best.activations))]
        return Explanation(evidence.feature, "", f'Fires on "{token}".', "ok", triggers=(token,))


def test_an_explainer_of_ones_own_is_judged_like_any_other(
    store: Path, configured: Callable[..., Any], llm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("my_explainer")
    module.Mine = Mine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_explainer", module)
    run(
        parse_run(configured({"python": "my_explainer:Mine", "name": "mine"})),
        reporter=QUIET,
        open_client=lambda *_: llm,
    )
    check(store)
    said = rows(store, "SELECT feature, status FROM explanations WHERE explainer = 'mine'")
    assert {row["status"] for row in said if row["feature"] % 5 == 0} <= {"tired", "dead"}
    assert rows(store, "SELECT 1 FROM failures WHERE explainer = 'mine' AND reason = 'every fifth is too much'")
    scored = rows(store, "SELECT DISTINCT scorer FROM score_table WHERE explainer = 'mine'")
    assert {row["scorer"] for row in scored} == {f"{scorer}:gpt-6-luna" for scorer in USUAL_SCORERS}
    for wrong in ("no_such_module:X", "my_explainer:Other", "json:JSONDecoder"):
        with pytest.raises(UserError, match=wrong.split(":")[0]):
            run(parse_run(configured({"python": wrong})), reporter=QUIET)


def test_a_persons_label_is_judged_like_any_other(
    store: Path, configured: Callable[..., Any], llm: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sampled = {row["feature"] for row in rows(store, "SELECT feature FROM score_table WHERE explainer = $e", e=LUNA)}
    alive = [row["feature"] for row in rows(store, "SELECT feature FROM features WHERE status = 'alive'")]
    inside, outside = (next(f for f in alive if (f in sampled) == wanted) for wanted in (True, False))
    main(["label", str(store), f"mlp-1k/{inside}", 'Fires on "self".'])
    run(parse_run(configured("human")), reporter=QUIET, open_client=lambda *_: llm)
    check(store)
    sql = "SELECT DISTINCT feature, scorer FROM score_table WHERE explainer = 'human'"
    assert {row["feature"] for row in rows(store, sql)} == {inside}
    assert len(rows(store, sql)) == 4
    main(["label", str(store), f"mlp-1k/{outside}", "Fires on names."])  # not in the sample: judged all the same
    run(parse_run(configured("human")), reporter=QUIET, open_client=lambda *_: llm)
    assert {row["feature"] for row in rows(store, sql)} == {inside, outside}
    said = rows(
        store, "SELECT text, triggers FROM explanations WHERE explainer = 'human' ORDER BY feature = $f DESC", f=inside
    )
    assert said[0] == {"text": 'Fires on "self".', "triggers": ["self"]}
    for feature, text in ((inside, "again"), (99_999, "x"), (inside, " ")):
        with pytest.raises(SystemExit) as stopped:
            main(["label", str(store), f"mlp-1k/{feature}", text])
        assert stopped.value.code == 2
    capsys.readouterr()


def test_at_the_budgets_end_the_work_is_not_done(store: Path, configured: Callable[..., Any]) -> None:
    asked = []

    def fail(ask: Ask) -> str | None:
        asked.append(ask)
        return "over_budget" if len(asked) > 5 else None

    poor = scripted.ScriptedLLM(fail)
    config = parse_run(configured({**MODEL, "preset": "bricken"}))
    with pytest.raises(OverBudget):
        run(config, reporter=QUIET, open_client=lambda *_: poor)
    assert not rows(store, "SELECT 1 FROM explanations WHERE explainer = 'gpt-6-luna/bricken/both'")
    assert len(poor.sent) == 5


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({**MODEL, "provider": "anthropic", "model": "claude-haiku-5-5", "logprobs": 5}, "log probabilities"),
        ({**MODEL, "simulate": "echo"}, "log probabilities of the prompt"),
    ],
)
def test_what_the_judge_cannot_do_is_refused_before_anything(
    configured: Callable[..., Any], judge: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(parse_run(configured(judge=judge)), reporter=QUIET)


def test_a_judge_of_the_same_name_elsewhere_is_not_mixed_in(store: Path, configured: Callable[..., Any]) -> None:
    before = rows(store, "SELECT count(*) AS n FROM scores")
    elsewhere = configured(judge={**MODEL, "base_url": "http://127.0.0.1:10/v1"})
    elsewhere["explain"] = {"explainers": ["lexical"]}
    for attempt in (plan_of, lambda config: run(config, reporter=QUIET)):
        with pytest.raises(StoreError, match=r"127\.0\.0\.1:9/v1, and this run's of that name is at"):
            attempt(parse_run(elsewhere))
    assert rows(store, "SELECT count(*) AS n FROM scores") == before


def test_dry_run_says_what_it_would_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "llm.toml"
    price = "price = { input = 0.10, output = 0.50 }"
    model = f'provider = "openai", model = "gpt-6-luna", base_url = "http://127.0.0.1:9/v1", {price}'
    file.write_text(
        f'name = "llm"\nstore = "{tmp_path}/new.duckdb"\n[subject]\nmodel = "bundled:subject"\n'
        '[tokens]\nsource = "bundled:corpus"\n[[dictionary]]\nname = "mlp-1k"\npath = "bundled:mlp-1k"\n'
        f'[explain]\nexplainers = ["lexical", {{ {model} }}]\n[score]\njudge = {{ {model} }}\n'
    )
    main(["run", str(file), "--dry-run"])
    said = capsys.readouterr().out
    assert "explain, explain by gpt-6-luna: 1,024 calls" in said
    assert "judge, simulate by gpt-6-luna: 800 calls" in said  # 500 features, three controls on 100
    assert "judge, logits_hard by gpt-6-luna: 900 calls" in said  # and the permuted vocabulary on 100
    assert "for 1,000 features" in said
    assert not (tmp_path / "new.duckdb").exists()


@pytest.mark.slow
def test_prompts_that_do_not_fit_leave_exemplars_out_and_the_store_says_so(
    configured: Callable[..., Any], tmp_path: Path
) -> None:
    """On a context that holds the longest prompts in part, and on one that holds none."""
    lines: list[str] = []
    loud = Reporter(quiet=True)
    loud.say = lines.append  # type: ignore[assignment,method-assign]
    llm = scripted.ScriptedLLM()
    found = {}
    for name, context in (("short", 5900), ("tiny", 4850)):
        model = MODEL | {"context_tokens": context, "model": name}
        config = configured(model, judge=None) | {"store": str(tmp_path / f"{name}.duckdb"), "name": name}
        config["explain"] = {"explainers": ["lexical", model]}
        config["score"] = {"features": {"sample": N_SCORED}, "scorers": ["simulation"]}
        store = run(parse_run(config), until="explain", reporter=loud, open_client=lambda *_: llm)
        found[name] = rows(store, "SELECT * FROM explanations WHERE explainer LIKE $e", e=f"{name}/%")
        failures = rows(store, "SELECT * FROM failures WHERE explainer LIKE $e AND status = 'too_long'", e=f"{name}/%")
        assert len(failures) == sum(row["status"] == "too_long" for row in found[name])
        assert all(f"the context has {context:,}" in row["reason"] for row in failures)
    shortened = [row for row in found["short"] if row["exemplars_left_out"]]
    assert shortened
    asked = {ask.about["feature"]: ask for ask in llm.sent if ask.about["explainer"].startswith("short")}
    for row in found["short"]:
        if row["status"] == "ok":
            said = "left out here" in asked[row["feature"]].prompt
            assert said == (row["exemplars_left_out"] > 0) == (asked[row["feature"]].about["left_out"] > 0)
    assert any("prompts leave out exemplars" in line for line in lines)
    assert {row["status"] for row in found["tiny"]} <= {"too_long", "ok", "dead"}
