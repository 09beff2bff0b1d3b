"""One of each that a user may add, in modules of their own, through a whole run and onto the pages.

The modules are the examples of `CONTRIBUTING.md`, in `tests/additions`: a scorer, a metric, a dictionary format, a
baseline kind, an embedded explainer and a page.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scripted
from judged import MODEL
from rich.console import Console
from safetensors.numpy import load_file
from stored import check, rows

from autointerp.cli import main
from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.errors import UserError
from autointerp.explain.embedded import EMBEDDED
from autointerp.llm.asks import Ask
from autointerp.pipeline import run
from autointerp.pipeline.dry_run.report import plan_of
from autointerp.progress import Reporter
from autointerp.resources import BUNDLED
from autointerp.score.scorers.registry import SCORERS
from autointerp.store.reader import open_reader
from autointerp.words import EMBEDDED as EMBEDDED_WORDS
from autointerp.words import SCORERS as SCORER_WORDS

ADDITIONS = Path(__file__).parents[1] / "additions"
QUIET = Reporter(quiet=True)
LUNA = "gpt-6-luna/default/input"


class WithStrongest(scripted.ScriptedLLM):
    """Knows the kind of question that the added scorer asks."""

    def reply(self, ask: Ask) -> Any:
        if ask.kind != "strongest":
            return super().reply(ask)
        assert ask.schema is not None
        return {name: i % 2 for i, name in enumerate(ask.schema["properties"])}


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    sys.path.insert(0, str(ADDITIONS))
    yield
    sys.path.remove(str(ADDITIONS))
    for path in ADDITIONS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunConfig]:
    folder = tmp_path_factory.mktemp("additions")
    weights = load_file(BUNDLED / "dictionaries" / "mlp-1k" / "sae_weights.safetensors")
    np.savez(folder / "weights.npz", **{name: weights[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")})

    def make(**score: Any) -> RunConfig:
        hook = "blocks.0.mlp.hook_post"
        return parse_run(
            {
                "name": "additions",
                "store": str(folder / "additions.duckdb"),
                "subject": {"model": "bundled:subject", "device": "cpu"},
                "tokens": {"source": "bundled:corpus", "n_tokens": 40_000, "allow_fewer": True},
                "effects": {"features": "none"},
                "dictionary": [
                    {
                        "name": "mine",
                        "path": str(folder),
                        "format": {"python": "example_format:PlainArrays", "name": "plain"},
                        "hook": hook,
                        "features": "0:12",
                    },
                    {"name": "typical", "kind": {"python": "example_baseline:Typical"}, "match": "mine"},
                ],
                "evidence": {"score_windows": 64},
                "explain": {
                    "explainers": [
                        "lexical",
                        {"python": "example_explainer:Heaviest", "name": "heaviest", "embedded": True},
                        {**MODEL, "evidence": "input"},
                    ]
                },
                "score": {
                    "scorers": ["detection", {"python": "example_scorer:Strongest"}],
                    "metrics": [{"python": "example_metric:Recall"}],
                    "features": {"sample": 8},
                    "judge": {**MODEL, "controls": 3},
                    **score,
                },
            }
        )

    return make


@pytest.fixture(scope="module")
def store(configured: Callable[..., RunConfig]) -> Path:
    return run(configured(), reporter=QUIET, open_client=lambda *_: WithStrongest())


def test_all_of_it_is_in_the_store(store: Path) -> None:
    check(store)
    found = rows(store, "SELECT dictionary, kind, format, matched_to FROM dictionaries ORDER BY dictionary")
    assert [tuple(row.values()) for row in found] == [
        ("mine", "sae", "plain", None), ("typical", "example_baseline:Typical", None, "mine"),
    ]  # fmt: skip
    said = rows(store, "SELECT status, text, lookup FROM explanations WHERE explainer = 'heaviest'")
    assert sum(row["status"] == "ok" and row["text"].startswith("Fires on") for row in said) > 12
    scores = rows(store, "SELECT DISTINCT explainer, scorer, metric FROM score_table WHERE value IS NOT NULL")
    kinds = {(row["explainer"], row["scorer"], row["metric"]) for row in scores}
    strongest, detection = "strongest:gpt-6-luna", "detection:gpt-6-luna"
    assert kinds >= {
        ("heaviest", "simulation", "pearson"),
        ("heaviest", "detection:lookup", "recall"),
        (LUNA, strongest, "recall"),
        (LUNA, strongest, "balanced_accuracy_matched"),
        (LUNA, detection, "recall"),
        (f"shuffled:{LUNA}", strongest, "recall"),
    }
    means = rows(store, "SELECT * FROM dictionary_summary WHERE scorer = $s AND metric = 'recall'", s=strongest)
    mine = next(row for row in means if (row["dictionary"], row["explainer"]) == ("mine", LUNA))
    assert 0 < mine["mean"] < 1
    assert mine["floor"] is not None
    assert mine["ci_low"] < mine["mean"] < mine["ci_high"]
    assert rows(store, "SELECT 1 FROM comparison_table WHERE scorer = $s AND metric = 'recall'", s=strongest)


def test_it_is_on_the_pages(store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    main(["compare", str(store)])
    page = capsys.readouterr().out
    assert f"recall, sample, {LUNA}, strongest:gpt-6-luna: mean over features" in page
    assert f"recall, sample, {LUNA}, strongest:gpt-6-luna: differences" in page
    assert "pearson, census, heaviest" in page
    alive = rows(store, "SELECT feature FROM score_table WHERE scorer = 'strongest:gpt-6-luna' AND value IS NOT NULL")
    main(["show", str(store), f"mine/{alive[0]['feature']}"])
    card = capsys.readouterr().out
    assert "recall, strongest" in card
    assert "heaviest" in card
    main(["status", str(store)])
    assert "all 2 done" in capsys.readouterr().out


def test_a_scorer_that_needs_a_judge_is_refused_without_one(
    configured: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = configured(judge=None).model_copy(update={"store": str(tmp_path / "none.duckdb")})
    with pytest.raises(UserError, match='only an LLM can judge "strongest"; give'):
        run(config, reporter=QUIET, open_client=lambda *_: WithStrongest())
    assert not (tmp_path / "none.duckdb").exists()


def test_a_page_of_ones_own(store: Path) -> None:
    import example_page

    with open_reader(store) as reader:
        found = example_page.load_best(reader, "strongest", "recall")
    assert {row.dictionary for row in found} == {"mine", "typical"}
    stream = io.StringIO()
    Console(file=stream, width=100).print(example_page.render_best(found))
    assert "best explainers" in stream.getvalue()
    assert LUNA in stream.getvalue()


def test_the_dry_run_counts_its_questions(configured: Callable[..., RunConfig]) -> None:
    config = configured().model_copy(update={"store": "nowhere.duckdb"})
    lines = "\n".join(plan_of(config).llm)
    assert "judge, strongest by gpt-6-luna" in lines


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ({"scorers": [{"python": "example_metric:Recall"}]}, "has no method material"),
        ({"scorers": [{"python": "example_scorer:Strongest", "name": "detection"}]}, 'there is a scorer "detection"'),
        ({"metrics": [{"python": "example_scorer:Strongest"}]}, "has no method measure"),
        ({"metrics": [{"python": "example_metric:Recall", "name": "auroc_matched"}]}, "there is a metric"),
        ({"metrics": [{"python": "nowhere:X"}]}, "cannot be made"),
    ],
)
def test_what_cannot_be_used_is_one_line_before_anything(
    configured: Callable[..., RunConfig], store: Path, score: dict[str, Any], message: str
) -> None:
    before = rows(store, "SELECT count(*) AS n FROM runs")
    with pytest.raises(UserError, match=message) as caught:
        run(configured(**score), reporter=QUIET)
    assert "\n" not in str(caught.value)
    assert rows(store, "SELECT count(*) AS n FROM runs") == before


def test_the_registries_hold_the_words() -> None:
    assert tuple(SCORERS) == SCORER_WORDS
    assert tuple(EMBEDDED) == EMBEDDED_WORDS
