"""What fires on a text, in the terminal and on its page: against the extraction's rows and a slow reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from stored import rows

from autointerp.cli import main
from autointerp.errors import InputError, UserError
from autointerp.pipeline.asking.reading_texts import read_tokens
from autointerp.pipeline.prompt_reading import PromptReader, WantedToken, open_prompt_reader
from autointerp.pipeline.reopened import reopen_dictionaries
from autointerp.progress import Reporter
from autointerp.show.prompt_data import PromptChoice, PromptPage, load_prompt
from autointerp.store.reader import open_reader
from autointerp.subject.patching import WholePasses

TEXT = "def f(self):\n    return self.x + 1"
NAMES = ("mlp-1k", "resid-1k")


@pytest.fixture(scope="module")
def reader(judged_store: Path) -> PromptReader:
    return open_prompt_reader(judged_store, NAMES, Reporter(quiet=True))


@pytest.fixture(scope="module")
def page(judged_store: Path, reader: PromptReader) -> PromptPage:
    with open_reader(judged_store) as store:
        return load_prompt(store, reader.read_text(TEXT), PromptChoice())


def test_every_activation_is_that_of_the_slow_reading(judged_store: Path, reader: PromptReader) -> None:
    prepared, chosen, _ = reopen_dictionaries(judged_store, NAMES, Reporter(quiet=True))
    read = reader.read_text(TEXT)
    for name in NAMES:
        features = [int(feature) for feature in prepared.features[name]]
        asked = [(feature, TEXT) for feature in features]
        slow = read_tokens(prepared.subject, chosen[name], asked, prepared.tokens.bos, 128)
        fired = read.fired[name]
        for feature, (ids, activations) in zip(features, slow, strict=True):
            assert list(read.tokens) == [prepared.tokens.bos, *ids]
            mine = np.zeros(len(ids) + 1)
            at = fired.feature == feature
            mine[fired.position[at]] = fired.activation[at]
            assert mine[1:] == pytest.approx(activations, abs=1e-5)
        assert set(fired.feature.tolist()) <= set(features)


def test_ids_of_a_context_give_what_the_extraction_stored(judged_store: Path, reader: PromptReader) -> None:
    [window] = rows(
        judged_store,
        "SELECT e.*, c.tokens FROM exemplars e JOIN contexts c USING (context) WHERE dictionary = 'mlp-1k' AND "
        "stratum = 'top' AND rank = 0 AND e.split = 'explain' ORDER BY feature LIMIT 1",
    )
    fired = reader.read_ids(window["tokens"]).fired["mlp-1k"]
    mine = fired.feature == window["feature"]
    at = dict(zip(fired.position[mine].tolist(), fired.activation[mine].tolist(), strict=True))
    for offset, activation in zip(window["positions"], window["activations"], strict=True):
        assert at[window["window_start"] + offset] == pytest.approx(activation, rel=1e-3)


def test_tokens_and_features_agree(judged_store: Path, page: PromptPage) -> None:
    assert page.tokens[0].is_bos
    assert "".join(token.text for token in page.tokens[1:]) == TEXT
    assert page.n_fired == len(page.features)
    for token in page.tokens:
        here = [of for of in page.features if token.position in of.positions]
        assert token.n_firing == len(here)
        best = max(
            (of.activations[of.positions.index(token.position)] / of.max_activation for of in here), default=None
        )
        assert (token.strongest[0].share if token.strongest else None) == (best and pytest.approx(best))
    known = {(row["dictionary"], row["feature"]): row for row in rows(judged_store, "SELECT * FROM features")}
    texts = rows(judged_store, "SELECT dictionary, feature, explainer, text FROM current_explanations")
    labels = {(row["dictionary"], row["feature"], row["explainer"]): row["text"] for row in texts}
    for of in page.features:
        row = known[of.dictionary, of.feature]
        assert (of.density, of.max_activation) == (row["density"], row["max_activation"])
        assert of.share == pytest.approx(max(of.activations) / row["max_activation"])
        assert of.label == (labels[of.dictionary, of.feature, of.explainer] if of.explainer else None)
    assert any(of.explainer and of.explainer != "lexical" for of in page.features)
    assert any(of.score is not None for of in page.features)


@pytest.mark.parametrize("sort", ["activation", "tokens", "density"])
def test_sorts_and_filters(judged_store: Path, reader: PromptReader, page: PromptPage, sort: str) -> None:
    def place(of: Any) -> Any:
        return {"activation": (-of.share,), "tokens": (-len(of.positions), -of.share), "density": (of.density,)}[sort]

    densities = sorted(of.density for of in page.features)
    middle = densities[len(densities) // 2]
    with open_reader(judged_store) as store:
        shown = load_prompt(store, reader.read_text(TEXT), PromptChoice(sort, most=5))
        rare = load_prompt(store, reader.read_text(TEXT), PromptChoice(sort, middle))
        with_bos = load_prompt(store, reader.read_text(TEXT), PromptChoice(sort, bos=True))
        with pytest.raises(UserError, match="sort"):
            load_prompt(store, reader.read_text(TEXT), PromptChoice("colour"))
    assert shown.n_fired == page.n_fired
    assert [place(of) for of in shown.features] == sorted(place(of) for of in page.features)[:5]
    assert {(of.dictionary, of.feature) for of in rare.features} == {
        (of.dictionary, of.feature) for of in page.features if of.density <= middle
    }
    assert all(0 not in of.positions for of in page.features)
    assert with_bos.tokens[0].n_firing >= page.tokens[0].n_firing == 0


def test_a_doubled_bos_is_named(reader: PromptReader) -> None:
    bos = reader.bos
    assert bos is not None
    assert any("stands twice" in notice for notice in reader.read_ids([bos, bos, 5]).notices)
    assert not reader.read_ids([bos, 5]).notices
    assert any("do not begin with the BOS" in notice for notice in reader.read_ids([5, 6]).notices)
    assert any("which is read as text" in notice for notice in reader.read_text("<|endoftext|>def").notices)
    assert any("were left out" in notice for notice in reader.read_text("x = 1\n" * 200).notices)
    for ids in ([bos], [], [10**6]):
        with pytest.raises(InputError):
            reader.read_ids(ids)


def test_effects_on_the_next_token_are_those_of_small_steps(judged_store: Path, reader: PromptReader) -> None:
    """A hundredth more and a hundredth less of a firing: the change of the log-probability, by whole passes."""
    prepared, chosen, _ = reopen_dictionaries(judged_store, NAMES, Reporter(quiet=True))
    place, text = 5, " self"
    read = reader.read_text(TEXT, WantedToken(text, place))
    at = read.next_token
    assert at is not None
    assert (at.position, prepared.subject.vocabulary()[at.token]) == (place, text)
    ids = torch.tensor(read.tokens)
    for name in NAMES:
        dictionary, fired = chosen[name].dictionary, read.fired[name]
        assert fired.effect is not None
        assert (fired.effect[fired.position > place] == 0).all()
        mine = np.flatnonzero(fired.position <= place)
        strongest = mine[np.argsort(-np.abs(fired.effect[mine]))[:4]]
        assert (fired.effect[strongest] != 0).all()
        for row in strongest.tolist():
            position = int(fired.position[row])
            opened = WholePasses(prepared.subject, dictionary.hook, place - position).open(ids[: place + 1])
            step = 0.01 * float(fired.activation[row]) * dictionary.directions[int(fired.feature[row])]

            def logp(added: torch.Tensor, opened: Any = opened, position: int = position) -> float:
                logits = opened.logits(torch.tensor([position]), added[None])[0, -1]
                return float(logits.double().log_softmax(dim=-1)[at.token])

            assert logp(torch.zeros_like(step)) == pytest.approx(at.logp, abs=1e-4)
            slow = (logp(step) - logp(-step)) / 0.02
            assert fired.effect[row] == pytest.approx(slow, rel=0.02, abs=2e-3)


def test_the_page_sorts_by_the_effect_on_the_next_token(judged_store: Path, reader: PromptReader) -> None:
    read = reader.read_text(TEXT, WantedToken())
    assert read.next_token is not None
    assert read.next_token.position == len(read.tokens) - 1
    with open_reader(judged_store) as store:
        page = load_prompt(store, read, PromptChoice("effect"))
        with pytest.raises(UserError, match="needs a next token"):
            load_prompt(store, reader.read_text(TEXT), PromptChoice("effect"))
    assert page.next_token is not None
    assert page.next_token.probability == pytest.approx(np.exp(read.next_token.logp))
    effects = [of.effect for of in page.features]
    assert None not in effects
    assert [abs(effect or 0) for effect in effects] == sorted((abs(effect or 0) for effect in effects), reverse=True)
    fired = read.fired[page.features[0].dictionary]
    assert fired.effect is not None
    counted = (fired.feature == page.features[0].feature) & (fired.position > 0)
    assert page.features[0].effect == pytest.approx(fired.effect[counted].sum(), abs=1e-6)


def test_measured_effects_are_those_of_a_pass_without_the_feature(judged_store: Path, reader: PromptReader) -> None:
    """By hand: the contribution is taken off at every token but the BOS, and the whole text read again."""
    prepared, chosen, _ = reopen_dictionaries(judged_store, NAMES, Reporter(quiet=True))
    place, text = 5, " self"
    read = reader.read_text(TEXT, WantedToken(text, place, measure=True))
    assert read.next_token is not None
    ids, token = torch.tensor([read.tokens[: place + 1]]), read.next_token.token
    for name in NAMES:
        dictionary, fired = chosen[name].dictionary, read.fired[name]
        assert fired.measured
        for feature in list(fired.measured)[:3]:
            taken = torch.zeros(1, place + 1, dictionary.directions.shape[1])
            for row in np.flatnonzero((fired.feature == feature) & (fired.position > 0) & (fired.position <= place)):
                taken[0, fired.position[row]] = float(fired.activation[row]) * dictionary.directions[feature]

            def logp(taken: torch.Tensor, hook: str = dictionary.hook) -> float:
                def less(value: torch.Tensor, **_: Any) -> torch.Tensor:
                    return value - taken.view(value.shape)

                with torch.no_grad():
                    logits = prepared.subject.bridge.run_with_hooks(ids, return_type="logits", fwd_hooks=[(hook, less)])
                return float(logits[0, -1].double().log_softmax(dim=-1)[token])

            assert taken.abs().sum() > 0
            slow = logp(torch.zeros_like(taken)) - logp(taken)
            assert fired.measured[feature] == pytest.approx(slow, abs=1e-4)
    with open_reader(judged_store) as store:
        page = load_prompt(store, read, PromptChoice("measured"))
    known = [of.measured for of in page.features if of.measured is not None]
    assert len(known) > 1  # those that fire up to the token
    assert [abs(one) for one in known] == sorted(map(abs, known), reverse=True)
    assert [of.measured for of in page.features[: len(known)]] == known  # what was not measured stands behind
    assert reader.read_text(TEXT, WantedToken(text, place)).fired[NAMES[0]].measured is None


def test_the_command(judged_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["prompt", str(judged_store), TEXT, "--dictionary", "mlp-1k", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["dictionaries"] == ["mlp-1k"]
    assert [token["text"] for token in said["tokens"]][1:3] == ["def", " f"]
    ids = " ".join(str(token["token"]) for token in said["tokens"])
    main(["prompt", str(judged_store), "--ids", ids, "--dictionary", "mlp-1k", "--top", "3"])
    page = capsys.readouterr().out
    assert f"mlp-1k/{said['features'][0]['feature']}" in page
    assert " (BOS)" in page
    main(["prompt", str(judged_store), TEXT, "--dictionary", "mlp-1k", "--next", "self", "--at", "5", "--top", "3"])
    page = " ".join(capsys.readouterr().out.split())
    assert "log-probability of self behind token 5 (now" in page
    assert " effect " in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["x", "--ids", "1"], "one of the two"), ([], "one of the two"), (["--ids", "1 x"], '"x" is no token id'),
     (["x", "--at", "1"], "give both"), (["x = 1", "--next", "two words"], "is not one token but"),
     (["x = 1", "--next", "x", "--at", "77"], "position 77 is none of the text"), (["--ids", ","], "there is none"),
     (["x", "--dictionary", "nobody"], "no dictionary")],
)  # fmt: skip
def test_wrong_use_is_one_line(
    judged_store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prompt", str(judged_store), *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_pages(judged_store: Path, open_pages: Callable[[Path], TestClient], page: PromptPage) -> None:
    client = open_pages(judged_store)  # a server of its own: nothing is loaded yet
    empty = client.get("/prompt").text
    assert "loaded when you first ask" in empty
    html = client.get("/prompt", params={"text": TEXT}).text
    best = page.features[0]
    assert f'<a href="/feature/{best.dictionary}/{best.feature}">' in html
    assert "loaded when you first ask" not in html
    assert html.count('class="tok"') == len(page.tokens)
    said = client.get("/prompt.json", params={"text": TEXT, "dictionary": "mlp-1k", "sort": "tokens"}).json()
    assert said["prompt"]["dictionaries"] == ["mlp-1k"]
    assert said["prompt"]["next_token"] is None
    html = unescape(client.get("/prompt", params={"text": TEXT, "sort": "effect"}).text)
    assert "Effect on the next token" in html
    assert '<th class="n">effect</th>' in html

    tried = client.get(f"/try/{best.dictionary}/{best.feature}.json", params={"text": TEXT}).json()
    assert tried["largest"] == pytest.approx(best.largest)
    html = unescape(client.get(f"/try/{best.dictionary}/{best.feature}", params={"text": TEXT}).text)
    assert 'class="here"' in html
    assert f"up to <b>{best.largest:.3g}</b>" in html

    assert "What comes next" not in client.get("/steer/mlp-1k/2").text
    steered = client.get("/steer/mlp-1k/2.json", params={"text": TEXT, "kl": "0.2", "tokens": "3"}).json()["report"]
    assert steered["directions"][0]["kl"] == pytest.approx(0.2, rel=1e-3)
    html = unescape(client.get("/steer/mlp-1k/2", params={"text": TEXT, "kl": "0.2", "tokens": "3"}).text)
    assert "moves by 0.2 nats" in html
    assert steered["as_it_is"]["texts"][0] in html
    html = client.get("/steer/mlp-1k/2", params={"text": TEXT, "kl": "19", "tokens": "1", "against": "1"}).text
    assert "does not move the output" in html or "as activations vary" in html

    vector = client.get("/vector/mlp-1k/2.json").json()
    assert len(vector["direction"]) == 512
    assert np.linalg.norm(vector["direction"]) > 0


@pytest.mark.parametrize(
    ("address", "status"),
    [("/prompt?text=x&sort=colour", 400), ("/prompt?text=x&density_to=2", 400), ("/prompt?ids=1+x", 400),
     ("/prompt?text=x&at=x", 400), ("/prompt?text=x&at=1+2", 400), ("/prompt?text=x&next=two+words", 400),
     ("/prompt?text=x&dictionary=nobody", 404), ("/try/mlp-1k/99?text=x", 404), ("/try/mlp-1k/2?text=", 400),
     ("/vector/mlp-1k/99.json", 404), ("/steer/nobody/2?text=x", 404), ("/steer/mlp-1k/2?text=x&kl=0", 400),
     ("/steer/mlp-1k/2?text=x&kl=much", 400), ("/steer/mlp-1k/2?text=x&size=3", 400)],
)  # fmt: skip
def test_what_cannot_be_read(client: TestClient, address: str, status: int) -> None:
    assert client.get(address).status_code == status
