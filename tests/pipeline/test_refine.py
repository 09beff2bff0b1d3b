"""Best-of-n and revision over planted features, whose truth is known: what is chosen, by what, and what it costs.

The scripted explainer knows which tokens fire (they are marked in its prompts) and is made to hide it; the scripted
judge follows an explanation exactly: a feature fires where a token that the explanation quotes stands.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scripted
from stored import check, rows

from autointerp.config.llm_model import LLMModel
from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError, OverBudget, Waiting
from autointerp.explain.evidence import Evidence
from autointerp.explain.marking import escape, unescape
from autointerp.explain.prompt import explain_ask, style
from autointerp.hashing import content_hash
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.lengths import room_for
from autointerp.pipeline import run
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.pipeline.plan.reask import Wish, redos_of
from autointerp.progress import Reporter
from autointerp.score.scorers.fitting import FIXED_TOKENS, ITEM_TOKENS

QUIET = Reporter(quiet=True)
MODEL = {"provider": "openai", "model": "gpt-6-luna", "base_url": "http://127.0.0.1:9/v1"}
PLAIN, BEST, REVISED = (f"gpt-6-luna/default/input{more}" for more in ("", "/best3", "/revise1"))
REFINED = f"{PLAIN}/best3+revise1"
DRAFTS = ["one", "all", "none"]
MORE = 200
"""Tokens by which a context is longer than a question about nothing needs."""


class KnowingLLM(scripted.ScriptedLLM):
    """`tokens`: window text -> its tokens. `drafts`: which draft each sample number is."""

    def __init__(self, tokens: dict[str, list[str]], drafts: list[str], **more: Any) -> None:
        super().__init__(**more)
        self.tokens, self.drafts = tokens, drafts

    def reply(self, ask: Ask) -> Any:
        if ask.kind == "explain":
            return self._explain(ask)
        if ask.kind == "detect":
            lines = scripted.lines(ask, "e")
            return {f"e{k}": int(self._fires(ask, text)) for k, text in lines}
        return scripted.reply_to(ask)

    def _explain(self, ask: Ask) -> Any:
        begin, end = scripted.marks(ask)
        times = Counter(
            unescape(part.rpartition("·")[0]) for part in re.findall(f"{begin}([^{end}]*){end}", ask.prompt)
        )
        named = [token for token, _ in times.most_common()]
        what = "all" if "Your answer was" in ask.prompt else self.drafts[ask.sample]
        named = {"all": named, "one": named[:1], "none": [f" zq{ask.sample}"]}[what]
        quoted = ", ".join(f'"{escape(token, chr(34))}"' for token in named)
        return {
            "fires": f"Fires on {quoted}.",
            "promotes": "",
            "lexicon": [{"token": one, "after": "", "strength": 8} for one in named[:20]],
        }

    def _fires(self, ask: Ask, text: str) -> bool:
        return bool(scripted.named(ask) & set(self.tokens[text]))


class GuessingLLM(KnowingLLM):
    """Explanations that say nothing, and a judge that guesses from each anew."""

    def _explain(self, ask: Ask) -> Any:
        return {"fires": f'Fires on "zq{ask.sample} {ask.about["feature"]}".', "promotes": "", "lexicon": []}

    def _fires(self, ask: Ask, text: str) -> bool:
        explanation = ask.prompt.splitlines()[0]
        return int(content_hash([explanation, text]), 16) % 2 == 0


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunConfig]:
    folder = tmp_path_factory.mktemp("refine")

    def make(name: str, *explainers: dict[str, Any], **score: Any) -> RunConfig:
        judge = {"judge": {**MODEL, "controls": 2}} if explainers else {}
        return parse_run(
            {
                "name": "refine",
                "store": str(folder / name / "s.duckdb"),
                "subject": {"model": "bundled:subject", "device": "cpu"},
                "tokens": {"source": "bundled:corpus", "n_tokens": 60_000, "allow_fewer": True},
                "effects": {"features": "none"},
                "dictionary": [{"name": "planted", "path": "bundled:planted", "features": "24:40"}],
                "evidence": {"score_windows": 64},
                "explain": {"explainers": ["lexical", *({**MODEL, "evidence": "input", **one} for one in explainers)]},
                "score": {"features": "all", "scorers": ["detection"], **judge, **score},
            }
        )

    return make


@pytest.fixture(scope="module")
def extracted(configured: Callable[..., RunConfig]) -> Path:
    config = configured("extracted")
    config.store_path.parent.mkdir()
    return run(config, reporter=QUIET)


@pytest.fixture(scope="module")
def tokens(extracted: Path) -> dict[str, list[str]]:
    """Tokens of every window that can be asked about, by its text."""
    sql = """
        SELECT list_transform(
            list_filter(range(w.window_start, least(w.window_start + 32, len(c.tokens))), lambda i: c.scored[i + 1]),
            lambda i: c.tokens[i + 1]) AS tokens
        FROM (SELECT context, window_start FROM pool
              UNION SELECT context, window_start FROM exemplars WHERE split <> 'explain') w
        JOIN contexts c USING (context)
    """
    texts = {row["token"]: row["text"] for row in rows(extracted, "SELECT token, text FROM vocab")}
    named = [[texts[token] for token in row["tokens"]] for row in rows(extracted, sql)]
    return {"".join(map(escape, of)): of for of in named}


@pytest.fixture(scope="module")
def copy(extracted: Path, configured: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    """A run of its own over the extracted store."""

    def make(name: str, *explainers: dict[str, Any], **score: Any) -> RunConfig:
        config = configured(name, *explainers, **score)
        if not config.store_path.exists():
            shutil.copytree(extracted.parent, config.store_path.parent)
        return config

    return make


@pytest.fixture(scope="module")
def llm(tokens: dict[str, list[str]]) -> KnowingLLM:
    return KnowingLLM(tokens, DRAFTS)


@pytest.fixture(scope="module")
def store(copy: Callable[..., RunConfig], llm: KnowingLLM) -> Path:
    """The plain explainer, whose only draft is too narrow; three drafts of which the second is true; a revision."""
    config = copy("refined", {}, {"best_of": 3}, {"revise": 1}, {"best_of": 3, "revise": 1})
    return run(config, reporter=QUIET, open_client=lambda *_: llm)


def drafts_of(store: Path, explainer: str) -> dict[int, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows(store, "SELECT * FROM drafts WHERE explainer = $e ORDER BY feature, draft", e=explainer):
        found[row["feature"]].append(row)
    return found


def mean_score(store: Path, explainer: str) -> float:
    sql = "SELECT avg(value) AS mean FROM score_table WHERE explainer = $e AND metric = 'balanced_accuracy_matched'"
    return float(rows(store, sql, e=explainer)[0]["mean"])


def test_the_best_of_three_is_the_true_one(store: Path) -> None:
    check(store)
    told = rows(store, "SELECT feature, text FROM explanations WHERE explainer = $e", e=BEST)
    said = {row["feature"]: row["text"] for row in told}
    found = drafts_of(store, BEST)
    alive = {row["feature"] for row in rows(store, "SELECT feature FROM features WHERE status = 'alive'")}
    assert len(alive) > 10
    judged = {feature for feature in found if found[feature][0]["select_status"] == "ok"}
    assert len(judged) > 8
    for feature, drafts in found.items():
        assert len(drafts) == (3 if feature in alive else 1)
        [kept] = [one for one in drafts if one["chosen"]]
        assert said[feature] == kept["text"]
        if feature not in judged:
            assert kept["draft"] == 0, "where nothing can choose the first is kept"
            continue
        scores = [one["select_score"] for one in drafts]
        assert scores[2] == 0.5, "what names nothing is at chance"
        assert scores[1] == max(scores)
        assert kept["draft"] == scores.index(max(scores)), "the earlier one of equals"
    assert sum(drafts[1]["chosen"] for drafts in found.values() if len(drafts) > 1) > len(judged) / 2
    assert mean_score(store, BEST) > mean_score(store, PLAIN) + 0.1, "and so it is on the score split"


def test_a_revision_widens_what_was_too_narrow(store: Path, llm: KnowingLLM) -> None:
    found = drafts_of(store, REVISED)
    revised = [drafts for drafts in found.values() if len(drafts) > 1]
    assert len(revised) > 4
    for first, second in revised:
        assert (first["round"], second["round"], second["revised"]) == (0, 1, 0)
        assert second["select_score"] >= first["select_score"]
        assert second["chosen"] == (second["select_score"] > first["select_score"])
        assert second["shown_contexts"]
    assert mean_score(store, REVISED) > mean_score(store, PLAIN) + 0.1
    asked = [ask for ask in llm.sent if "Your answer was" in ask.prompt and ask.about["explainer"] == REVISED]
    assert len(asked) == len(revised), "nothing is revised that gets nothing wrong"
    begin, _ = scripted.marks(asked[0])
    for ask in asked:
        misses = ask.prompt.split("expected silence")[1].split("is silent here")[0].splitlines()
        assert all(begin in line for line in misses if re.match(r"\d+\. ", line)), "true firings are marked"


def test_nothing_of_the_score_split_is_shown_or_chooses(store: Path, llm: KnowingLLM) -> None:
    def documents(sql: str) -> dict[int, str]:
        found = rows(store, f"SELECT DISTINCT c.document, c.split FROM ({sql}) JOIN contexts c USING (context)")
        return {row["document"]: row["split"] for row in found}

    chosen = documents("SELECT unnest(select_contexts) AS context FROM drafts")
    shown = documents("SELECT unnest(shown_contexts) AS context FROM drafts")
    scored = documents("SELECT context FROM judgements")
    assert set(chosen.values()) == set(shown.values()) == {"select"}
    assert set(scored.values()) == {"score"}
    assert not set(chosen) & set(shown), "a revision is not tried on what it was shown"
    # and in the prompts themselves
    lines: dict[str, set[str]] = {"choosing": set(), "shown": set(), "score": set()}
    for ask in llm.sent:
        if ask.kind == "detect":
            kind = "score" if ask.about.get("split") != "select" else "shown" if ask.about.get("shown") else "choosing"
            lines[kind] |= {text for _, text in scripted.lines(ask, "e")}
    assert all(lines.values())
    assert not lines["choosing"] & lines["shown"]
    assert not lines["score"] & (lines["choosing"] | lines["shown"])
    begin, end = scripted.marks(next(ask for ask in llm.sent if ask.kind == "explain"))
    for ask in llm.sent:
        if ask.kind == "explain":
            prompt = re.sub(f"{begin}([^{end}]*)·\\d+{end}", r"\1", ask.prompt)
            assert not [line for line in lines["score"] | lines["choosing"] if len(line) > 40 and line in prompt]


@pytest.mark.usefixtures("store")
def test_the_same_items_for_all_drafts_and_one_call_each(llm: KnowingLLM) -> None:
    asked: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for ask in llm.sent:
        if ask.about.get("split") == "select" and not ask.about.get("shown"):
            asked[ask.about["feature"],].append(ask.prompt.split("Excerpts:")[1])
    assert asked
    assert all(len(set(prompts)) == 1 for prompts in asked.values())
    # drafts and judgements that explainers share are asked once: plain, best3 and revise1 have their first in common
    explain = Counter((ask.about["feature"], ask.prompt, ask.sample) for ask in llm.sent if ask.kind == "explain")
    assert set(explain.values()) == {1}


def test_a_judge_with_a_small_context_is_asked_in_groups(
    store: Path, copy: Callable[..., RunConfig], tokens: dict[str, list[str]]
) -> None:
    """What a draft is worth does not depend on how many windows fit into a question."""
    known, small = KnowingLLM(tokens, DRAFTS), FIXED_TOKENS + 12 * ITEM_TOKENS
    judge = {**MODEL, "controls": 2, "context_tokens": small}
    config = copy("small-judge", {"best_of": 3, "revise": 1}, judge=judge)
    path = run(config, until="explain", reporter=QUIET, open_client=lambda *_: known)
    check(path)
    asked = [ask for ask in known.sent if ask.kind == "detect"]
    assert max(len(scripted.lines(ask, "e")) for ask in asked) <= 12
    assert max(map(room_for, asked)) <= small
    of_draft = Counter((ask.about["feature"], ask.about["draft"], ask.about.get("shown")) for ask in asked)
    assert max(of_draft.values()) > 2
    one_call, in_groups = drafts_of(store, REFINED), drafts_of(path, REFINED)
    assert one_call.keys() == in_groups.keys()
    told = ("draft", "text", "select_score", "select_status", "chosen", "n_select")
    for feature, drafts in one_call.items():
        for one, other in zip(drafts[:3], in_groups[feature][:3], strict=False):
            assert {name: one[name] for name in told} == {name: other[name] for name in told}
    assert sum(len(drafts) > 3 for drafts in in_groups.values()) == sum(len(drafts) > 3 for drafts in one_call.values())


@pytest.mark.slow
def test_choosing_flatters_the_select_split_only(copy: Callable[..., RunConfig], tokens: dict[str, list[str]]) -> None:
    """Explanations that say nothing and a judge that guesses: the best of eight looks good where it was chosen."""
    guessing = GuessingLLM(tokens, [])
    path = run(copy("guessing", {"best_of": 8}), reporter=QUIET, open_client=lambda *_: guessing)
    found = rows(path, "SELECT select_score, n_select FROM drafts WHERE chosen AND select_status = 'ok'")
    assert len(found) > 8
    assert np.mean([row["select_score"] for row in found]) > 0.6
    scores = rows(
        path,
        "SELECT value FROM score_table WHERE explainer = $e AND metric = 'balanced_accuracy_matched'",
        e="gpt-6-luna/default/input/best8",
    )
    values = np.array([row["value"] for row in scores if row["value"] is not None])
    assert abs(values.mean() - 0.5) < 3 * values.std() / np.sqrt(len(values))


def test_failures_compete_with_nobody(copy: Callable[..., RunConfig], tokens: dict[str, list[str]]) -> None:
    def fail(ask: Ask) -> str | None:
        feature, number = ask.about["feature"], ask.about.get("draft", 0)
        if ask.kind == "explain":
            return "refused" if feature % 4 == 0 or (feature % 4 == 1 and number == 1) else None
        if ask.about.get("split") == "select" and feature % 4 == 2:
            return "truncated"
        return None

    broken = KnowingLLM(tokens, DRAFTS, fail=fail)
    config = copy("broken", {"best_of": 3, "revise": 1})
    path = run(config, reporter=QUIET, open_client=lambda *_: broken)
    check(path)
    name = REFINED
    said = {row["feature"]: row for row in rows(path, "SELECT * FROM explanations WHERE explainer = $e", e=name)}
    failures = defaultdict(list)
    for row in rows(path, "SELECT * FROM failures WHERE explainer = $e AND stage = 'explain'", e=name):
        failures[row["feature"]].append(row)
    for feature, drafts in drafts_of(path, name).items():
        kinds = [one["status"] for one in drafts]
        if feature % 4 == 0:
            assert set(kinds) == {"refused"}
            assert (said[feature]["status"], said[feature]["text"]) == ("refused", None)
            assert "refused" in failures[feature][0]["reason"]
        elif feature % 4 == 1 and len(drafts) > 1:
            assert kinds[1] == "refused"
            assert drafts[1]["reason"] == "scripted refused"
            assert (drafts[1]["text"], drafts[1]["select_score"], drafts[1]["chosen"]) == (None, None, False)
            assert said[feature]["status"] == "ok"
        elif feature % 4 == 2:
            assert said[feature]["text"] == drafts[0]["text"], "the first good one where the judge fails"
            if len(drafts) > 1 and drafts[0]["n_select"]:
                assert {one["select_status"] for one in drafts} == {"truncated"}
                assert failures[feature][0]["scorer"] == "select:gpt-6-luna"
    assert {feature % 4 for feature in failures} == {0, 2}
    found = redos_of(config, Wish(("failed",)), path).new
    assert [(one.explainer, set(one.explained)) for one in found if one.explained] == [(name, set(failures))]


class Killed(Exception):
    pass


def test_a_killed_run_pays_nothing_twice(
    store: Path, copy: Callable[..., RunConfig], tokens: dict[str, list[str]]
) -> None:
    """Cut off by the budget among the drafts and killed among the judgements, then run to its end."""
    config, cut = copy("cut", {"best_of": 3, "revise": 1}), KnowingLLM(tokens, DRAFTS)
    cut.fail = lambda _ask: "over_budget" if len(cut.sent) >= 20 else None
    with pytest.raises(OverBudget):
        run(config, reporter=QUIET, open_client=lambda *_: cut)
    assert len(cut.sent) == 20
    cut.fail = lambda _ask: None
    with pytest.raises(Killed):
        run(config, reporter=QUIET, open_client=lambda *_: Cutting(cut, 75))
    assert not rows(config.store_path, "SELECT 1 FROM drafts"), "what is not whole is no row"
    run(config, reporter=QUIET, open_client=lambda *_: cut)
    asked = Counter((ask.system, ask.prompt, ask.sample) for ask in cut.sent)
    assert set(asked.values()) == {1}
    assert any("revised" in ask.about for ask in cut.sent[75:])
    assert drafts_of(config.store_path, REFINED) == drafts_of(store, REFINED)
    sql = "SELECT * FROM score_table WHERE explainer = $e ORDER BY ALL"
    assert rows(config.store_path, sql, e=REFINED) == rows(store, sql, e=REFINED)


class Cutting:
    """Dies after so many questions were sent."""

    def __init__(self, llm: Any, most: int) -> None:
        self.llm, self.most = llm, most

    def answers(self, asks: Any, model: LLMModel) -> Iterator[Answer]:
        for answer in self.llm.answers(asks, model):
            if len(self.llm.sent) >= self.most:
                raise Killed
            yield answer

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.mark.slow
def test_rounds_travel_in_files(
    store: Path, copy: Callable[..., RunConfig], tokens: dict[str, list[str]], tmp_path: Path
) -> None:
    """Drafts, judgements, counterexamples, revisions, judgements: each run goes as far as there are replies."""
    config, llm = copy("filed", {"best_of": 3, "revise": 1}), KnowingLLM(tokens, DRAFTS)
    answered: dict[str, Any] = {}
    for n_rounds in range(1, 9):
        with contextlib.suppress(Waiting):
            run(config, reporter=QUIET, delivery=Delivery(into=tmp_path) if answered else Delivery(out=tmp_path))
            break
        with contextlib.suppress(Waiting):
            run(config, reporter=QUIET, delivery=Delivery(out=tmp_path))
        lines = [json.loads(line) for path in tmp_path.glob("requests-*.jsonl") for line in path.open()]
        with (tmp_path / f"replies-{n_rounds}.jsonl").open("w") as file:
            for line in lines:
                name, body = line["custom_id"], line["body"]
                if name in answered:
                    continue
                system, prompt = (message["content"] for message in body["messages"])
                sample = int(name.split("-")[1])
                answered[name] = llm.reply(
                    Ask(body["response_format"]["json_schema"]["name"], system, prompt, 1, sample=sample)
                )
                file.write(json.dumps({"custom_id": name, "text": json.dumps(answered[name])}) + "\n")
    assert n_rounds == 7, "drafts, choosing, counterexamples, revisions, choosing, scores"
    sql = "SELECT * EXCLUDE (request, model) FROM drafts WHERE explainer = $e ORDER BY ALL"
    assert rows(config.store_path, sql, e=REFINED) == rows(store, sql, e=REFINED)


@pytest.mark.parametrize(
    ("explainer", "change", "message"),
    [
        ({"best_of": 3}, {"judge": None}, "with best_of = 3 a judge chooses .* give score.judge"),
        ({"revise": 1}, {"judge": None}, "with revise = 1 a judge chooses"),
        ({"best_of": 2}, {"splits": {"explain": 0.7, "select": 0.0, "score": 0.3}}, "tokens.splits.select is 0"),
        ({"revise": 1, "evidence": "output"}, {}, 'evidence = "output" is to see none'),
        ({"best_of": 0}, {}, "best_of"),
    ],
)
def test_what_cannot_be_refined_is_refused(explainer: dict[str, Any], change: dict[str, Any], message: str) -> None:
    data = {
        "name": "x",
        "subject": {"model": "bundled:subject"},
        "tokens": {"source": "bundled:corpus"} | ({"splits": change["splits"]} if "splits" in change else {}),
        "dictionary": [{"name": "planted", "path": "bundled:planted"}],
        "explain": {"explainers": [{**MODEL, **explainer}]},
        "score": {} if "judge" in change else {"judge": MODEL},
    }
    with pytest.raises(ConfigError, match=message) as refused:
        parse_run(data)
    assert len(str(refused.value).splitlines()) == 1


def test_names_tell_refinements_apart() -> None:
    from autointerp.config.explainers import LLMExplainer

    names = {
        LLMExplainer(**MODEL, **more).name  # type: ignore[arg-type]
        for more in ({}, {"best_of": 3}, {"revise": 1}, {"best_of": 3, "revise": 1})
    }
    assert names == {"gpt-6-luna/default/both" + more for more in ("", "/best3", "/revise1", "/best3+revise1")}


def test_what_cannot_fit_is_never_sent(copy: Callable[..., RunConfig], tokens: dict[str, list[str]]) -> None:
    """A context that a question about nothing fills; and one with room for first questions, but for no later one."""
    nothing = room_for(explain_ask(style("default", "input"), Evidence("", 0, 0.0, 0.0, ())))
    known = KnowingLLM(tokens, DRAFTS)
    config = copy(
        "tight",
        {"best_of": 3, "context_tokens": nothing},
        {"probe": 1, "revise": 1, "context_tokens": nothing + MORE},
    )
    path = run(config, until="explain", reporter=QUIET, open_client=lambda *_: known)
    check(path)
    status = {row["feature"]: row["status"] for row in rows(path, "SELECT feature, status FROM features")}
    fit = {feature for feature, word in status.items() if word != "dead"}
    alive = {feature for feature, word in status.items() if word == "alive"}

    assert not [ask for ask in known.sent if ask.about["explainer"] == BEST and ask.kind == "explain"]
    said = rows(path, "SELECT * FROM explanations WHERE explainer = $e AND status = 'too_long'", e=BEST)
    assert {row["feature"] for row in said} == fit
    assert {(row["text"], row["request"], row["exemplars_left_out"]) for row in said} == {(None, None, None)}
    failures = rows(path, "SELECT * FROM failures WHERE explainer = $e AND stage = 'explain'", e=BEST)
    assert {row["feature"] for row in failures} == fit
    assert all(f"tokens, and the context has {nothing:,}" in row["reason"] for row in failures)
    for feature, drafts in drafts_of(path, BEST).items():
        assert [(one["status"], one["request"]) for one in drafts] == [("too_long", "")] * (
            3 if feature in alive else 1
        )

    later, room = f"{PLAIN}/probe1+revise1", nothing + MORE
    sent = [ask for ask in known.sent if ask.about["explainer"] == later and ask.kind == "explain"]
    assert max(map(room_for, sent)) <= room
    kinds = Counter[tuple[int, str]]()
    said = rows(path, "SELECT feature, status FROM explanations WHERE explainer = $e", e=later)
    for row in [row for row in said if row["feature"] in fit]:
        drafts = drafts_of(path, later)[row["feature"]]
        kinds.update((one["round"], one["status"]) for one in drafts)
        assert row["status"] == drafts[0]["status"], "the first draft is kept where there is one"
        for one in drafts:
            long = one["status"] == "too_long"
            assert long == (one["request"] == "")
            assert long == ("without an exemplar the prompt and its reply take up to" in one["reason"])
    assert set(kinds) <= {(number, status) for number in range(3) for status in ("ok", "too_long")}
    assert kinds[0, "ok"] > 0
    assert kinds[1, "too_long"] > 0, "after the probes"
    assert kinds[2, "too_long"] > 0, "and of the revisions"
