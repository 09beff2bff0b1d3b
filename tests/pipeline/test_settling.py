"""What servers can do is found out before a run, and what was found reaches the questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.asker import Asking
from autointerp.pipeline.asking.checks import check_llms
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.pipeline.asking.settling import settle_servers
from autointerp.progress import Reporter


class Asker:
    """Does not settle."""

    def answers(self, _asks: Iterable[Ask], _model: LLMModel) -> Iterator[Answer]:
        yield from ()

    def close(self) -> None:
        """There is nothing to let go of."""


class Settling(Asker):
    def __init__(self, context: int | None) -> None:
        self.context = context
        self.kinds: list[str] = []

    def settle(self, _model: LLMModel, asks: Sequence[Ask]) -> int | None:
        self.kinds += [ask.kind for ask in asks]
        return self.context


def config(**judge: Any) -> RunConfig:
    model = {"provider": "openai", "model": "mine", "base_url": "http://127.0.0.1:9/v1"}
    return RunConfig.model_validate(
        {
            "name": "x",
            "subject": {"model": "bundled:subject"},
            "tokens": {"source": "bundled:corpus"},
            "dictionary": [{"name": "d", "path": "bundled:mlp-1k"}],
            "explain": {"explainers": ["lexical", model]},
            "score": {"scorers": ["simulation", "detection"], "judge": model | judge},
        }
    )


def asking(run: RunConfig, asker: Any, **delivery: Any) -> Asking:
    quiet = cast(Reporter, type("Quiet", (), {"say": lambda *_: None})())
    return Asking(cast(Any, None), run, quiet, lambda *_: asker, Delivery(**delivery))


def models(run: RunConfig) -> list[LLMModel]:
    [entry] = [entry for entry in run.explain.asking if isinstance(entry, LLMModel)]
    assert run.score.judge is not None
    return [entry, run.score.judge]


def test_the_context_that_a_server_states_reaches_the_judge() -> None:
    run, asker = config(), Settling(8192)
    stage = asking(run, asker)
    assert stage.judge().context_tokens is None
    settle_servers(stage, run, models(run))
    assert asker.kinds == ["explain", "simulate", "detect"]
    assert stage.judge().context_tokens == 8192
    assert stage.judge().identity() == cast(Any, run.score.judge).identity(), "no row is keyed by it"
    stated = config(context_tokens=4096)
    stage = asking(stated, asker)
    settle_servers(stage, stated, models(stated))
    assert stage.judge().context_tokens == 4096, "what the run file says stands"


def test_nobody_is_asked_where_nothing_is_answered_now(tmp_path: Path) -> None:
    run = config()
    for delivery in ({"batch": True}, {"out": tmp_path}, {"into": tmp_path}):
        asker = Settling(8192)
        settle_servers(asking(run, asker, **delivery), run, models(run))
        assert asker.kinds == []
    stage = asking(run, Asker())
    settle_servers(stage, run, models(run))
    assert stage.judge().context_tokens is None


def test_a_context_that_holds_no_question_is_refused() -> None:
    run = config()
    with pytest.raises(ConfigError, match="has a context of 512 tokens, and a question of kind") as caught:
        settle_servers(asking(run, Settling(512)), run, models(run))
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="has a context of 512 tokens"):
        check_llms(config(context_tokens=512))
