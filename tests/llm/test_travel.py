"""`autointerp run` whose questions travel in files and in batches: the same rows as when they are sent one by one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scripted

from autointerp.browse.wrong_data import load_wrong
from autointerp.cli import main
from autointerp.config.loading import load_run
from autointerp.explain.marking import escape
from autointerp.llm.asks import Ask
from autointerp.pipeline import run
from autointerp.progress import Reporter
from autointerp.store.reader import StoreReader, open_reader
from autointerp.store.verify import verify

ROWS = {
    "explanations": "dictionary, feature, explainer, text, status, donor, promotes, triggers",
    "score_table": "*", "dictionary_summary": "*", "comparison_table": "*",
    "simulations": "* EXCLUDE (run)", "judgements": "* EXCLUDE (run, request)", "token_judgements": "* EXCLUDE (run)",
    "failures": "*",
}  # fmt: skip
COMMON = """
name = "travel"
[subject]
model = "bundled:subject"
device = "cpu"
[tokens]
source = "bundled:corpus"
n_tokens = 8000
allow_fewer = true
[[dictionary]]
name = "mlp-1k"
path = "bundled:mlp-1k"
features = "0:5"
[evidence]
score_windows = 64
[effects]
features = "none"
"""


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store to which only what LLMs do is missing."""
    folder = tmp_path_factory.mktemp("travel")
    run_file(folder, '["lexical"]', "")
    run(load_run(folder / "run.toml"), reporter=Reporter(quiet=True))
    return folder


def run_file(folder: Path, explainers: str, judge: str) -> None:
    score = f"[score]\nfeatures = {{ sample = 4 }}\n{judge}\n"
    (folder / "run.toml").write_text(
        f'store = "{folder}/s.duckdb"\n{COMMON}[explain]\nexplainers = {explainers}\n{score}'
    )


@pytest.fixture
def make(extracted: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the store with a run file that asks `base_url`; returns the run file."""

    def made(name: str, base_url: str, more: str = "") -> Path:
        folder = tmp_path / name
        shutil.copytree(extracted, folder)
        model = f'provider = "openai", model = "gpt-6-luna", base_url = "{base_url}"{more}'
        run_file(folder, f'["lexical", {{ {model} }}]', f"judge = {{ {model}, controls = 2 }}")
        return folder / "run.toml"

    return made


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def called(*words: Any) -> tuple[int, str, str]:
        status = 0
        try:
            main([str(word) for word in words])
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return called


def rows(file: Path) -> dict[str, list[str]]:
    """All that a run has stored, but for how its replies came."""
    with open_reader(file.with_name("s.duckdb")) as store:
        assert not [one for one in verify(store) if not one.ok]
        return {
            table: sorted(map(repr, store.rows(f"SELECT {columns} FROM {table}"))) for table, columns in ROWS.items()
        }


def count(file: Path, table: str) -> int:
    with open_reader(file.with_name("s.duckdb")) as store:
        return int(store.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])


def wrong_windows_in_their_calls(store: StoreReader) -> int:
    """Each window that the page says an LLM got wrong stands in the prompt that the page shows, where it says, and the
    reply says of it what is wrong."""
    n, viewed = 0, {}
    for row in store.rows("SELECT * FROM wrong_windows WHERE scorer LIKE '%:gpt-6-luna'"):
        viewed[row["scorer"], row["explainer"], row["context"], row["window_start"]] = row["prompt"], row["reply"]
    judged = "SELECT DISTINCT dictionary, feature, explainer FROM judgements WHERE run IS NOT NULL"
    for of in store.rows(judged):
        for panel in load_wrong(store, of["dictionary"], of["feature"], of["explainer"]):
            calls = {(call.request, call.sample): call for call in panel.calls}
            for window in panel.windows if panel.scorer.endswith(":gpt-6-luna") else ():
                call = calls[str(window.request), int(window.sample or 0)]
                assert call.prompt is not None
                assert call.reply is not None
                shown = re.search(rf"^{window.asked_as}: (.*)$", call.prompt, re.MULTILINE)
                assert shown is not None
                if panel.kind == "detection":
                    assert shown[1] in escape("".join(token.text for token in window.tokens))
                assert json.loads(call.reply)[window.asked_as] == (window.wrong == "false alarm")
                place = panel.scorer, of["explainer"], window.context, window.window_start
                assert viewed[place] == (call.prompt, call.reply)
                n += 1
    return n


def answer_all(folder: Path) -> int:
    """Somebody answers the requests that have no reply yet, in another order."""
    lines = [json.loads(line) for path in folder.glob("requests-*.jsonl") for line in path.open()]
    done = {json.loads(line)["custom_id"] for path in folder.glob("replies-*.jsonl") for line in path.open()}
    new = [line for line in lines if line["custom_id"] not in done]
    assert len(lines) == len({line["custom_id"] for line in lines})
    with (folder / f"replies-{len(done)}.jsonl").open("w") as file:
        for line in reversed(new):
            body = line["body"]
            system, prompt = (message["content"] for message in body["messages"])
            ask = Ask(body["response_format"]["json_schema"]["name"], system, prompt, 1)
            file.write(json.dumps({"custom_id": line["custom_id"], "text": json.dumps(scripted.reply_to(ask))}) + "\n")
    return len(new)


def test_files_out_and_in_give_the_rows_of_a_live_run(make: Callable[..., Path], command: Callable[..., Any]) -> None:
    """Explanations, then judgements; no key, no price, no network."""
    live, filed = make("live", "http://127.0.0.1:9/v1"), make("filed", "http://127.0.0.1:9/v1")
    run(load_run(live), reporter=Reporter(quiet=True), open_client=lambda *_: scripted.ScriptedLLM())
    folder = filed.with_name("questions")
    n_before = count(filed, "explanations")

    status, out, err = command("run", filed, "--batch-out", folder)
    assert (status, "error" in err, "is sent to" in err) == (0, False, False)
    n = answer_all(folder)
    assert out == f"{n:,} requests written to {folder}: answer them, then run with --batch-in {folder}\n"
    assert count(filed, "explanations") == n_before, "what waits is no row"
    asked = {
        json.loads(line)["body"]["response_format"]["json_schema"]["name"]
        for path in folder.glob("requests-*")
        for line in path.open()
    }
    assert asked == {"explain"}, "what all explainers list decides what is judged: it waits for the explanations"

    status, out, _ = command("run", filed, "--batch-in", folder)
    assert status == 0
    assert f"requests without a reply in {folder}" in out
    assert count(filed, "explanations") > n_before
    status, out, _ = command("run", filed, "--batch-out", folder)
    assert (status, "written to" in out) == (0, True)
    assert answer_all(folder) > 0
    status, out, _ = command("run", filed, "--batch-in", folder)
    assert (status, "The store:" in out) == (0, True)
    assert rows(filed) == rows(live)
    with open_reader(filed.with_name("s.duckdb")) as store:
        assert wrong_windows_in_their_calls(store) > 5
        assert {(row["channel"], row["attempts"] - row["ok"]) for row in store.rows("SELECT * FROM llm_costs")} == {
            ("offline", 0)
        }
    _, page, _ = command("status", filed.with_name("s.duckdb"))
    assert "cost so far $0.00" in page
    assert "0 failed" in page


@pytest.mark.slow
def test_batches_give_the_rows_of_a_live_run(
    make: Callable[..., Path], command: Callable[..., Any], server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key-00")
    url, priced = f"{server.url}/v1", ", price = { input = 1, output = 10, batch = 0.5 }"
    server.set(by_content=True)
    live = make("live", url, priced)
    status, _, err = command("run", live)
    assert status == 0
    assert f"text of the corpus is sent to {url}" in err
    assert ", $0." in err
    _, page, _ = command("status", live.with_name("s.duckdb"))
    assert "50% of the tokens in from the cache" in page
    n_live = count(live, "llm_calls")

    server.set(by_content=True, batches_end=False)
    batched = make("batched", url, priced)
    status, out, _ = command("run", batched, "--batch")
    assert status == 0
    assert "requests in batches under way" in out
    again = command("run", batched, "--batch")
    assert again[:2] == (0, out)
    n_batches = server.count()["batches"]
    assert n_batches == 1  # explanations: what is judged waits for what all explainers list
    _, page, _ = command("status", batched.with_name("s.duckdb"))
    assert page.count("batch_") == n_batches
    assert "sk-not-a-key-00" not in page

    server.change(batches_end=True)
    for _ in range(6):
        status, out, _ = command("run", batched, "--batch")
        assert status == 0
        if "under way" not in out:
            break
    assert "The store:" in out
    assert rows(batched) == rows(live)
    assert server.count()["requests"] == 0, "nothing was sent one by one"
    assert count(batched, "llm_calls") <= n_live
    _, page, _ = command("status", batched.with_name("s.duckdb"))
    assert "batches under way" not in page
    _, _, err = command("run", batched, "--refresh")
    assert "nothing was asked" in err


@pytest.mark.slow
def test_rounds_of_refinement_travel_in_batches(
    make: Callable[..., Path], command: Callable[..., Any], server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drafts, judgements, counterexamples, revisions, judgements, scores: a batch each; then features again."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key-00")
    server.set(by_content=True)
    files = [make(name, f"{server.url}/v1") for name in ("live", "batched")]
    for file in files:
        text = file.read_text().replace(" }]", ", best_of = 2, revise = 1 }]")
        file.write_text(text.replace("n_tokens = 8000", "n_tokens = 40000"))  # enough to choose by
        file.with_name("s.duckdb").unlink()
    live, batched = files
    drafts = "SELECT * EXCLUDE (model) FROM drafts ORDER BY ALL"
    for words in ((), ("--features", "0:3")):
        assert command("run", live, *words)[0] == 0
        requests = server.count()["requests"]
        status, out, n_runs = 0, "under way", 0
        while (status, "under way" in out, n_runs < 12) == (0, True, True):
            status, out, _ = command("run", batched, *words, "--batch")
            n_runs += 1
        assert status == 0
        assert n_runs > (1 if words else 4)  # the same drafts again need no new judgements
        assert server.count()["requests"] == requests, "nothing was sent one by one"
        assert rows(batched) == rows(live)
        for path in (file.with_name("s.duckdb") for file in files):
            with open_reader(path) as store:
                found = store.rows(drafts)
                assert {row["again"] for row in found} == ({0, 1} if words else {0})
    with open_reader(live.with_name("s.duckdb")) as one, open_reader(batched.with_name("s.duckdb")) as two:
        assert one.rows(drafts) == two.rows(drafts)
        assert {row["event"] for row in two.rows("SELECT event FROM again")} == {"asked", "finished"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--batch", "--batch-out", "x"), "--batch and --batch-out"),
        (("--batch-in", "x", "--batch-out", "x"), "--batch-out and --batch-in"),
        (("--batch-in", "x", "--refresh"), "--refresh asks anew"),
        (("--batch-in", "no-such-folder"), 'no folder "no-such-folder"'),
        (("--batch-out", __file__), "is not a folder"),
        (("--batch",), "has no batch API"),
        (("--batch", "--dry-run"), "has no batch API"),
    ],
)
def test_wrong_use_is_one_line(
    make: Callable[..., Path], command: Callable[..., Any], words: tuple[str, ...], message: str
) -> None:
    file = make("wrong", "http://127.0.0.1:9/v1", ", capabilities = { batch = false }")
    status, out, err = command("run", file, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_run_that_asks_no_llm_says_so(extracted: Path, command: Callable[..., Any]) -> None:
    status, _, err = command("run", extracted / "run.toml", "--batch-out", extracted / "q")
    assert (status, "asks no LLM" in err) == (2, True)
    assert not (extracted / "q").exists()


ROW = re.compile(
    r"(\w+), (\w+) by \S+: ([\d,]+) calls(?: \(([\d,]+) more .*?\))?, ([\d,]+) tokens in, ([\d,]+) out.*\[(.*)\]"
)


def planned(said: str) -> dict[str, tuple[int, int, int, str]]:
    """Of what `--dry-run` says, by kind: calls, those answered already, tokens in, and how it is known."""
    found = [ROW.match(line) for line in said.splitlines()]
    n = [[int((one or "0").replace(",", "")) for one in match.groups()[2:6]] for match in found if match]
    return {match[2]: (row[0], row[1], row[2], match[7]) for match, row in zip(filter(None, found), n, strict=True)}


@pytest.mark.slow
def test_a_dry_run_says_what_is_then_sent(
    make: Callable[..., Path], command: Callable[..., Any], server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key-00")
    priced = ", price = { input = 1, output = 10, batch = 0.5 }, concurrency = 1"
    server.set(by_content=True)
    file = make("dry", f"{server.url}/v1", priced)

    def sent() -> dict[str, tuple[int, int]]:
        """Calls and tokens in (characters / 4), by kind."""
        sql = """SELECT kind, count(*) AS n, sum(length(p.text) + length(c.prompt)) / 4 AS tokens
                 FROM (SELECT DISTINCT kind, request, sample, prefix, prompt FROM llm_calls
                       WHERE status IN ('ok', 'invalid')) c  -- this server answers some texts with nonsense
                 JOIN llm_prefixes p USING (prefix) GROUP BY kind"""
        with open_reader(file.with_name("s.duckdb")) as store:
            return {row["kind"]: (row["n"], row["tokens"]) for row in store.rows(sql)}

    status, before, _ = command("run", file, "--dry-run")
    assert status == 0
    expected = planned(before)
    assert set(expected) == {"explain", "simulate", "detect", "fuzz", "logits_hard"} & set(expected) > {"explain"}
    assert {how for _, _, _, how in expected.values()} == {"rendered"}
    assert "time: about" in before
    assert "s a reply assumed" in before
    batch = command("run", file, "--batch", "--dry-run")[1]
    assert "at batch prices" in batch
    assert "rounds of batches" in batch
    usd = [float(re.search(r"cost: about \$([\d.]+)", said)[1]) for said in (before, batch)]  # type: ignore[index]
    assert usd[1] == pytest.approx(usd[0] / 2, abs=0.011)
    assert "whoever answers" in command("run", file, "--batch-out", file.with_name("q"), "--dry-run")[1]
    assert not file.with_name("q").exists()

    assert command("run", file, "--stage", "explain")[0] == 0
    server.change(credit=server.count()["billed"] + 4)
    assert command("run", file)[0] == 1, "no credit is left, in the middle of a piece of work"
    server.change(credit=None)
    half = sent()
    status, rest, _ = command("run", file, "--dry-run")
    left = planned(rest)
    assert sum(row[1] for row in left.values()) > 0, "what is answered already is taken off"
    assert "as measured here" in rest
    assert command("run", file)[0] == 0
    whole = sent()
    for kind, (calls, _, tokens, _) in expected.items():
        n, read = whole[kind]
        assert calls == pytest.approx(n, rel=0.15), kind
        assert tokens == pytest.approx(read, rel=0.15), kind
    for kind, (calls, _, _, _) in left.items():
        assert calls == pytest.approx(whole[kind][0] - half.get(kind, (0, 0))[0], rel=0.15, abs=1), kind
    assert "no LLM is called" in command("run", file, "--dry-run")[1]
