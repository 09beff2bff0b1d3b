"""Hints of what was meant: near by a sensible measure, of the right kind, and none where nothing is near."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from autointerp.cli import main
from autointerp.config.llm_model import LLMModel
from autointerp.config.loading import load_run, parse_run
from autointerp.errors import ConfigError, UserError, n_edits, nearest
from autointerp.llm.money.prices import Prices
from autointerp.store.writer import StoreWriter

COLUMNS = ["feature", "dictionary", "density", "score", "status", "n_firing", "entropy", "explanation"]


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("dictionery", COLUMNS, "dictionary"),
        ("Status", COLUMNS, "status"),
        ("n-firing", COLUMNS, "n_firing"),
        ("socre", COLUMNS, "score"),
        ("explain", COLUMNS, "explanation"),
        ("mpl", ["sae", "mlp-1k"], "mlp-1k"),
        ("mlp-3k", ["mlp-1k", "resid-3k"], "mlp-1k"),
        ("batchtopk", ["relu", "topk"], "topk"),
        ("pearson", ["pearson_framed", "auprc"], "pearson_framed"),
        ("transformer.h.0", ["ln_final.hook_scale", "hook_embed", "blocks.0.hook_resid_post"], None),
        ("max_usd", ["name", "seed", "tokens"], None),
        ("body", ["text", "id"], None),
        ("3", ["a", "b"], None),
        ("x", ["y"], None),
        ("", ["a", "sae"], None),
        ("sae", [], None),
    ],
)
def test_the_nearest(name: str, known: list[str], near: str | None) -> None:
    for order in (known, known[::-1]):
        assert nearest(name, order) == ("" if near is None else f'; the nearest is "{near}"')


def test_where_nothing_is_near_the_names_may_be_listed() -> None:
    assert nearest("zzz", ["one", "two"], listed="it has") == "; it has one, two"
    assert nearest("zzz", [], listed="it has") == ""
    assert nearest("zzz", [f"name-{i}" for i in range(50)], listed="it has").endswith("name-11, ...")
    assert nearest("zzz", ["\x1b[2J"], listed="it has") == "; it has \\x1b[2J"


def test_edits_are_those_of_the_definition() -> None:
    @cache
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        ways = [slow(a[:-1], b) + 1, slow(a, b[:-1]) + 1, slow(a[:-1], b[:-1]) + (a[-1] != b[-1])]
        if len(a) > 1 and len(b) > 1 and a[-2:] == b[-1] + b[-2]:
            ways.append(slow(a[:-2], b[:-2]) + 1)
        return min(ways)

    words = ["".join(letters) for n in range(5) for letters in itertools.product("ab", repeat=n)]
    for a in [*words, "abcd", "hook_resid_pots"]:
        for b in [*words[:20], "badc", "hook_resid_post"]:
            assert n_edits(a, b) == slow(a, b)


def error_of(**changed: Any) -> str:
    run: dict[str, Any] = {
        "name": "tiny",
        "subject": {"model": "gpt2"},
        "tokens": {"source": "python-stdlib:"},
        "dictionary": [{"name": "sae", "path": "p"}],
    }
    for key, value in changed.items():
        run[key] = run[key] | value if isinstance(value, dict) and isinstance(run.get(key), dict) else value
    with pytest.raises(ConfigError) as caught:
        parse_run(run)
    return str(caught.value).removeprefix("run: ")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_usd": 3}, 'unknown key "max_usd"; there is budget.max_usd'),
        ({"subject": {"window": 3}}, 'unknown key "subject.window"; there is tokens.window'),
        ({"hook": "x"}, 'unknown key "hook"; there is dictionary[].hook'),
        ({"Seed": 3}, 'unknown key "Seed"; the nearest is "seed"'),
        ({"subject": {"zzzzz": 3}}, 'unknown key "subject.zzzzz"'),
    ],
)
def test_a_key_of_another_section(changed: dict[str, Any], message: str) -> None:
    assert error_of(**changed) == message


@pytest.mark.parametrize(
    ("changed", "ending"),
    [
        ({"explain": {"explainers": ["lexcal"]}}, "(it is 'lexcal'); the nearest is \"lexical\""),
        ({"explain": {"explainers": ["simulation"]}}, "(it is 'simulation', which is a scorer)"),
        ({"score": {"scorers": ["lexical"]}}, "(it is 'lexical', which is an explainer)"),
        ({"score": {"scorers": ["detectoin"]}}, "(it is 'detectoin'); the nearest is \"detection\""),
        ({"score": {"scorers": ["zzz"]}}, "(it is 'zzz')"),
        ({"dictionary": [{"name": "n", "kind": "neuron"}]}, "(it is 'neuron'); the nearest is \"neurons\""),
        ({"dictionary": [{"name": "n", "path": "p", "format": "sealens"}]}, "'sealens'); the nearest is \"saelens\""),
        ({"subject": {"dtype": "fp16"}}, "(it is 'fp16'); the nearest is \"float16\""),
        ({"subject": {"dtype": "bf16"}}, "(it is 'bf16'); the nearest is \"bfloat16\""),
        (
            {"score": {"metrics": ["pearson"]}},
            'give a class of your own: { python = "module:Class" }; what is built in is computed without being named '
            "(it is 'pearson')",
        ),
        ({"subject": {"dtype": "flaot32"}}, "(it is 'flaot32'); the nearest is \"float32\""),
    ],
)
def test_a_word_in_the_place_of_another(changed: dict[str, Any], ending: str) -> None:
    assert error_of(**changed).endswith(ending)


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["run", "demo", "--stage", "extrct"], '; the nearest is "extract"'),
        (["export", "x.duckdb", "htm", "-o", "y"], '; the nearest is "html"'),
        (["sql", "x.duckdb", "select 1", "--format", "jsn"], '; the nearest is "json"'),
        (["sql", "x.duckdb", "select 1", "--format", "qqqqqq"], "'parquet'"),
    ],
)
def test_a_choice_on_the_command_line(
    arguments: list[str], near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.duckdb").touch()
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip().endswith(near)


def test_the_name_of_a_model_or_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r'is not known; .*; the nearest is "gpt-'):
        Prices(LLMModel(provider="openai", model="gpt-5-minni"))
    other = LLMModel(provider="openai", model="m", base_url="https://a.example/v1")
    with pytest.raises(ConfigError, match=r"output = 0.50 }$"):
        Prices(other)  # its prices would not be the provider's
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_APIKEY", "secret")
    with pytest.raises(UserError, match=r'variable OPENAI_API_KEY; the nearest is "OPENAI_APIKEY"$'):
        LLMModel(provider="openai", model="m").key()


def test_a_store_in_the_place_of_a_run_file(tmp_path: Path) -> None:
    store = tmp_path / "q.duckdb"
    StoreWriter.open(store).close()
    with pytest.raises(ConfigError, match=f'"{store}" is no text but a DuckDB file, perhaps a store'):
        load_run(store)
