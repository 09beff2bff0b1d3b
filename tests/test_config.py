"""The run file: every key of the design works or is refused in a clear line; a misspelt one names the nearest."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.engine import BudgetSection, EngineSection
from autointerp.config.evidence import EvidenceSection, IntervalsSection, QuantilesSection
from autointerp.config.explainers import ExplainSection
from autointerp.config.judging import ScoreSection
from autointerp.config.loading import load_run, parse_run
from autointerp.config.run_file import RunConfig
from autointerp.config.subject_tokens import SplitsSection, SubjectSection, TokensSection
from autointerp.errors import ConfigError
from autointerp.resources import folder
from autointerp.words import USUAL_SCORERS

# A run file with every section, with the values that this version takes where the design's own are of a later one.
DESIGN = """
name = "gpt2-res-jb"
seed = 3
store = "gpt2-res-jb.duckdb"

[subject]
model = "gpt2"
revision = "main"
processing = "folded"
dtype = "bfloat16"
device = "cpu"

[tokens]
source = "jsonl:pile.jsonl#text"
context_length = 96
n_tokens = 10_000_000
prepend_bos = false
window = 16
splits = { explain = 0.4, select = 0.25, score = 0.35 }

[[dictionary]]
name = "res-jb"
path = "saes/blocks.8.hook_resid_pre"
format = "saelens"
hook = "blocks.8.hook_resid_pre"
features = [0, 7]

[[dictionary]]
name = "random-cov"
kind = "random_covariance"
hook = "blocks.8.hook_resid_pre"
match = "res-jb"
n_features = 2

[evidence]
top = 21
quantiles = { n = 11, each = 5 }
intervals = { n = 13, each = 3 }
random = 19
near_miss = 9

[explain]
explainers = ["token_lookup"]

[score]
scorers = ["simulation"]
features = { sample = 400 }

[budget]
max_usd = 5.0

[engine]
kind = "local"
"""
SMALL = """
name = "tiny"
subject = { model = "gpt2" }
tokens = { source = "python-stdlib" }
dictionary = [{ name = "sae", path = "saes" }]
"""


def run_of(text: str = SMALL, **changed: Any) -> dict[str, Any]:
    """A run as a dictionary; `changed` sets keys by path: `tokens__window=8`, `dictionary__0__features="all"`."""
    data = tomllib.loads(text)
    for path, value in changed.items():
        *where, last = (int(key) if key.isdigit() else key for key in path.split("__"))
        inner: Any = data
        for key in where:
            inner = inner[key] if isinstance(key, int) else inner.setdefault(key, {})
        inner[last] = value
    return data


def error_of(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_run(data)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("run: ")
    return message.removeprefix("run: ")


def test_every_key_of_the_design_is_taken() -> None:
    data = run_of(DESIGN)
    config = parse_run(copy.deepcopy(data))
    found = config.model_dump(exclude_unset=True)
    for section in ("subject", "tokens", "evidence", "explain", "score", "budget", "engine"):
        assert found[section] == data[section], section
    assert (found["name"], found["seed"], found["store"]) == ("gpt2-res-jb", 3, "gpt2-res-jb.duckdb")
    assert found["dictionary"] == data["dictionary"]
    assert config.store_path == Path("gpt2-res-jb.duckdb")


EMBEDDED_ONLY = "Input should be 'lexical', 'lexical_input', 'lexical_direct', "


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        # what the design names and this version lacks
        ({"dictionary__0__format": "saelense"}, "dictionary[0].format: Input should be 'auto', 'saelens', "),
        ({"dictionary__0": {"name": "p", "kind": "pca"}}, 'dictionary "p" (kind = "pca") needs a hook'),
        ({"dictionary__0": {"name": "p", "kind": "random_init_sae"}}, 'needs like = "a dictionary" (its'),
        ({"dictionary__0": {"name": "p", "path": "x", "like": "y"}}, 'only kind = "random_init_sae" is like another'),
        ({"subject__max_memory": {"cpu": "1GB"}}, 'max_memory is for device = "map" (it is "auto")'),
        ({"subject__device": "map", "subject__rerandomise": True}, "rerandomise needs the whole model on one device"),
        ({"subject__device": "map", "subject__processing": "folded"}, "needs the whole model on one device"),
        ({"subject__rerandomise": -1}, "subject.rerandomise"),
        ({"dictionary__0": {"name": "p", "path": "x", "natural": True}}, "natural = true is for matched baselines"),
        ({"dictionary__0": {"name": "p", "path": "x", "match_at": 0.05}}, "only baselines are matched"),
        (
            {"dictionary": [{"name": "p", "kind": "neurons", "hook": "blocks.0.mlp.hook_post", "match_at": 0.05}]},
            'match_at is for a baseline with match = "a dictionary"',
        ),
        ({"score__threshold": 1}, "score.threshold: Input should be less than 1"),
        (
            {"dictionary": [{"name": "sae", "path": "x"}, {"name": "p", "kind": "random_init_sae", "like": "sea"}]},
            'like = "sea" names no dictionary; the nearest is "sae"',
        ),
        (
            {"explain__explainers": ["lexical", {"provider": "anthropic", "model": "m", "preset": "bils"}]},
            'explain.explainers[1].preset: there is no preset "bils"; the nearest is "bills"',
        ),
        (
            {"explain__explainers": ["lexical", {"provider": "anthropic", "modle": "m"}]},
            'unknown key "explain.explainers[1].modle"; the nearest is "model"',
        ),
        ({"explain__explainers": ["lexicl"]}, f"explain.explainers[0]: {EMBEDDED_ONLY}"),
        ({"explain__explainers": ["lexical", {"python": "a:B", "name": "lexical"}]}, '"lexical" is there twice'),
        ({"score__judge": {"provider": "openai"}}, 'the key "score.judge.model" is missing'),
        ({"score__judge": {"provider": "openai", "model": "m", "simulate": "x"}}, "score.judge.simulate: Input should"),
        (
            {"score__scorers": ["intervention"], "effects__features": "none"},
            'scorer "intervention" asks what features do where they are clamped or steered, and none is',
        ),
        (
            {"score__scorers": ["logits_measured"], "effects__change_contexts": 0},
            'scorer "logits_measured" asks what features do where they are clamped or steered, and none is',
        ),
        ({"engine__workers": 0}, "engine.workers: Input should be greater than or equal to 1 (it is 0)"),
        ({"engine__features_at_once": 0}, "engine.features_at_once: Input should be greater than or equal to 1"),
        ({"engine__checkpoint_seconds": -1}, "engine.checkpoint_seconds: Input should be greater than or equal to 0"),
        # values that mean nothing
        ({"subject__dtype": "float64"}, "subject.dtype: Input should be 'float32', 'bfloat16' or 'float16'"),
        ({"subject__processing": "centred"}, "subject.processing: Input should be 'raw' or 'folded' (it is 'centred')"),
        ({"tokens__window": 3}, "tokens.window: Input should be greater than or equal to 4 (it is 3)"),
        ({"tokens__window": 256}, "tokens.window: Input should be less than or equal to 255"),
        ({"tokens__context_length": 1}, "tokens.context_length"),
        ({"tokens__context_length": "long"}, "tokens.context_length: Input should be a valid integer"),
        ({"tokens__n_tokens": 0}, "tokens.n_tokens: Input should be greater than 0 (it is 0)"),
        ({"tokens__prepend_bos": "perhaps"}, "tokens.prepend_bos: Input should be a valid boolean"),
        (
            {"tokens__splits": {"explain": 0.5, "select": 0.5, "score": 0.5}},
            "tokens.splits: explain + select + score must be 1, not 1.5",
        ),
        ({"tokens__splits": {"explain": 1.0}}, "tokens.splits.explain: Input should be less than 1"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0 (it is -1)"),
        ({"seed": 2**63}, "seed: Input should be less than 9223372036854775808"),
        ({"name": "a/b"}, "name: String should match pattern"),
        ({"dictionary__0__name": "my sae"}, "dictionary[0].name: String should match pattern"),
        ({"dictionary": []}, "dictionary: List should have at least 1 item"),
        ({"evidence__top": 0}, "evidence.top: Input should be greater than or equal to 1"),
        ({"evidence__quantiles": {"n": -1}}, "evidence.quantiles.n: Input should be greater than or equal to 0"),
        ({"budget__max_usd": -1}, "budget.max_usd: Input should be greater than or equal to 0"),
        ({"engine__batch_size": 0}, "engine.batch_size: Input should be greater than or equal to 1"),
        ({"engine__threads": 0}, "engine.threads"),
        ({"engine__kind": "dask"}, "engine.kind: Input should be 'local' or 'ray' (it is 'dask')"),
        ({"explain__explainers": []}, "explain.explainers: List should have at least 1 item"),
        ({"explain__explainers": ["lexical", "lexical"]}, 'explain: "lexical" is there twice'),
        ({"explain__explainers": ["lexicon"]}, f"explain.explainers[0]: {EMBEDDED_ONLY}"),
        ({"score__scorers": ["detection", "detection"]}, '"detection" is there twice'),
        ({"score__scorers": ["simulated"]}, "score.scorers[0]: Input should be 'simulation', 'detection', 'fuzz"),
        ({"score__features": "some"}, 'score.features: give "all", numbers from 0 up [0, 7], a range "0:1000" or'),
        ({"dictionary__0__features": "3-4"}, 'dictionary[0].features: give "all", numbers'),
        ({"dictionary__0__features": [1, -1]}, 'dictionary[0].features: give "all", numbers'),
        ({"dictionary__0__features": {"sample": 0}}, 'dictionary[0].features: give "all", numbers'),
        ({"dictionary__0__features": 3}, 'dictionary[0].features: give "all", numbers'),
        # dictionaries that are neither one thing nor the other
        ({"dictionary__0": {"name": "x"}}, 'dictionary[0]: dictionary "x" needs a path, or a kind such as "neurons"'),
        ({"dictionary__0": {"name": "x", "path": "p", "kind": "neurons"}}, 'has both a path and kind = "neurons"'),
        ({"dictionary__0": {"name": "x", "kind": "neurons"}}, "needs a hook"),
        ({"dictionary__0": {"name": "x", "kind": "neuron"}}, "dictionary[0].kind: Input should be 'auto', 'planted', "),
        (
            {"dictionary__0": {"name": "x", "kind": "random_isotropic", "hook": "h"}},
            'needs n_features, or match = "a dictionary"',
        ),
        ({"dictionary__0__match": "other"}, "is read from files: only baselines are matched"),
        ({"dictionary": [{"name": "a", "path": "p"}] * 2}, 'two dictionaries are named "a"'),
        (
            {"dictionary": [{"name": "sae", "path": "p"}, {"name": "n", "kind": "neurons", "match": "sea"}]},
            'dictionary "n": match = "sea" names no dictionary; the nearest is "sae"',
        ),
        (
            {
                "dictionary": [
                    {"name": "n", "kind": "neurons", "hook": "h"},
                    {"name": "m", "kind": "neurons", "match": "n"},
                ]
            },
            'dictionary "m": match = "n" is itself a baseline',
        ),
    ],
    ids=str,
)
def test_what_is_not_taken_is_said_in_a_line(changed: dict[str, Any], message: str) -> None:
    assert message in error_of(run_of(**changed))


@pytest.mark.parametrize("missing", ["name", "subject", "tokens", "dictionary"])
def test_missing_keys(missing: str) -> None:
    data = run_of()
    del data[missing]
    assert error_of(data) == f'the key "{missing}" is missing'


def test_missing_keys_inside() -> None:
    assert error_of(run_of(tokens={})) == 'the key "tokens.source" is missing'
    assert error_of(run_of(subject={"dtype": "float32"})) == 'the key "subject.model" is missing'
    assert error_of(run_of(dictionary=[{"path": "p"}])) == 'the key "dictionary[0].name" is missing'


SECTIONS: dict[str, type[BaseModel]] = {
    "": RunConfig, "subject": SubjectSection, "tokens": TokensSection, "tokens.splits": SplitsSection,
    "dictionary[0]": DictionaryEntry,
    "evidence": EvidenceSection, "evidence.quantiles": QuantilesSection, "evidence.intervals": IntervalsSection,
    "explain": ExplainSection, "score": ScoreSection, "budget": BudgetSection, "engine": EngineSection,
}  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_a_misspelt_key_names_the_nearest(section: str) -> None:
    for key in SECTIONS[section].model_fields:
        wrong = f"{key[:-1]}{key[-1]}{key[-1]}"
        where = [*section.replace("[0]", ".0").split("."), wrong] if section else [wrong]
        changes: dict[str, Any] = {"__".join(where): 1}
        data = run_of(**changes)
        message = error_of(data)
        whole = f"{section}.{wrong}" if section else wrong
        assert message == f'unknown key "{whole}"; the nearest is "{key}"'


@pytest.mark.parametrize("where", ["dictionary__0__features", "score__features"])
def test_a_misspelt_key_of_a_choice(where: str) -> None:
    shown = where.replace("__0__", "[0].").replace("__", ".")
    changes: dict[str, Any] = {where: {"smaple": 5}}
    assert error_of(run_of(**changes)) == f'unknown key "{shown}.smaple"; the nearest is "sample"'


def test_a_misspelt_key_is_said_before_what_it_leaves_missing() -> None:
    data = run_of()
    data["token"] = data.pop("tokens")
    assert error_of(data) == 'unknown key "token"; the nearest is "tokens"'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["lexical"], ["lexical", "context_lookup"]),
        (["token_lookup", "lexical", "human"], ["token_lookup", "lexical", "context_lookup", "human"]),
        (["context_lookup", "lexical"], ["context_lookup", "lexical"]),
        (["token_lookup"], ["token_lookup"]),
    ],
)
def test_the_ceiling_comes_with_the_label(given: list[str], expected: list[str]) -> None:
    judge = {"provider": "anthropic", "model": "m"}
    config = parse_run(run_of(explain__explainers=given, score__judge=judge))
    assert config.explain.explainers == expected


def test_defaults() -> None:
    config = parse_run(run_of())
    assert config.store_path == Path("tiny.duckdb")
    assert config.seed == 0
    assert config.subject == SubjectSection(
        model="gpt2", revision=None, processing="raw", dtype="float32", device="auto"
    )
    assert config.tokens == TokensSection(
        source="python-stdlib",
        context_length=None,
        n_tokens=None,
        allow_fewer=False,
        prepend_bos=None,
        window=32,
        splits=SplitsSection(explain=0.5, select=0.2, score=0.3),
    )
    assert config.evidence == EvidenceSection(
        top=20,
        quantiles=QuantilesSection(n=10, each=4),
        intervals=IntervalsSection(n=12, each=2),
        random=20,
        near_miss=10,
    )
    assert config.dictionary == [DictionaryEntry(name="sae", path="saes", format="auto", kind="auto", features="all")]
    assert config.explain.explainers == ["lexical", "context_lookup", "token_lookup"]
    assert config.score.scorers == list(USUAL_SCORERS)
    assert config.score.model_dump()["features"] == {"sample": 500}
    assert config.budget.max_usd is None
    assert (config.engine.kind, config.engine.batch_size, config.engine.threads) == ("local", 128, None)


@pytest.mark.parametrize("choice", ["all", "0:1000", [0, 7], {"sample": 500}])
def test_choices_of_features(choice: Any) -> None:
    config = parse_run(run_of(dictionary__0__features=choice, score__features=choice))
    dumped = config.model_dump()
    assert dumped["dictionary"][0]["features"] == dumped["score"]["features"] == choice


@pytest.mark.parametrize("format_", ["auto", "saelens", "dictionary_learning", "sparsify", "openai", "gemma_scope"])
def test_formats(format_: Any) -> None:
    assert parse_run(run_of(dictionary__0__format=format_)).dictionary[0].format == format_


def test_a_configuration_cannot_be_changed() -> None:
    config = parse_run(run_of())
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 1


def test_a_key_that_does_nothing_any_more_is_read_and_is_in_no_identity() -> None:
    there, absent = parse_run(run_of(score__bootstrap=100)), parse_run(run_of())
    assert there.score.bootstrap == 100
    assert there.model_dump() == absent.model_dump()


def test_reading_a_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(DESIGN)
    assert load_run(file) == parse_run(run_of(DESIGN))
    for encoding in ("utf-8-sig", "utf-16"):  # as Windows saves it
        file.write_bytes(DESIGN.replace("\n", "\r\n").encode(encoding))
        assert load_run(file) == parse_run(run_of(DESIGN))
    assert load_run(str(file), store="other.duckdb").store_path == Path("other.duckdb")
    for content, message in ((b"name = ", "not TOML"), (b"name = '\xff'", "not TOML"), (SMALL.encode(), None)):
        file.write_bytes(content)
        if message is None:
            assert load_run(file).name == "tiny"
            continue
        with pytest.raises(ConfigError, match=message) as caught:
            load_run(file)
        assert str(caught.value).startswith(f"{file}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="there is no run file"):
        load_run(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="is a folder, not a run file"):
        load_run(tmp_path)


@pytest.mark.parametrize("file", sorted(folder("runs").glob("*.toml")), ids=lambda file: file.stem)
def test_our_own_run_files(file: Path) -> None:
    assert load_run(file).name == file.stem


@pytest.mark.parametrize(("given", "seed"), [(None, None), (False, None), (True, 0), (0, 0), (7, 7)])
def test_rerandomise_is_a_switch_or_a_seed(given: Any, seed: int | None) -> None:
    data = run_of() if given is None else run_of(subject__rerandomise=given)
    assert parse_run(data).subject.rerandomise_seed == seed
