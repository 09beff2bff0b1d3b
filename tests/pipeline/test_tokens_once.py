"""A whole run over conversations: the source is read once, and not at all where the run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from autointerp.config.loading import load_run
from autointerp.pipeline import run
from autointerp.progress import Reporter
from autointerp.store.reader import open_reader
from autointerp.subject.documents import Document, Source

TEMPLATE = "{% for m in messages %}w2 {{ m.role }} : {{ m.content }} w3 {% endfor %}"


@pytest.fixture
def talking_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with a tokenizer of 61 words and a chat template of its own."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    words = ["<bos>", "<eos>", "w2", "w3", "user", "assistant", ":", *(f"w{i}" for i in range(7, 61))]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="w60"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)

    def said(n: int) -> str:
        return " ".join(f"w{7 + int(word) % 50}" for word in rng.geometric(0.12, size=n))

    rows = [
        {"messages": [{"role": role, "content": said(12)} for role in ("user", "assistant") * 2]} for _ in range(60)
    ]
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"messages": None}]))
    return path


def test_a_source_is_read_once(
    talking_model: Path, talks: Path, write_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    given: list[Document] = []
    documents = Source.documents

    def counted(self: Source) -> Any:
        opened.append(type(self).__name__)
        for document in documents(self):
            given.append(document)
            yield document

    monkeypatch.setattr(Source, "documents", counted)
    model = {"model": str(talking_model), "device": "cpu"}
    config = load_run(
        write_run(
            subject=model,
            tokens={"source": f"jsonl:{talks}#messages", "context_length": 24},
            score={"features": {"sample": 2}, "scorers": []},
        )
    )
    run(config, until="extract", reporter=Reporter(quiet=True))
    assert opened == ["Jsonl"]
    assert len(given) == 60
    store = run(config, reporter=Reporter(quiet=True))
    assert opened == ["Jsonl"]

    with open_reader(store) as reader:
        [manifest], contexts, tops = (
            reader.rows(sql)
            for sql in (
                "SELECT config FROM runs",
                "SELECT tokens, scored FROM contexts",
                "SELECT unnest(tokens) AS token FROM feature_tokens",
            )
        )
    tokens = json.loads(manifest["config"])["tokens"]
    assert (tokens["left_out"], tokens["commit"]) == ({"null": 1}, None)
    by_kind: dict[bool, set[int]] = {True: set(), False: set()}
    for row in contexts:
        for token, is_scored in zip(row["tokens"], row["scored"], strict=True):
            by_kind[is_scored].add(token)
    assert min(by_kind[True]) >= 7, "roles and separators are the template's"
    assert {0, 2, 3, 4, 5, 6} <= by_kind[False]
    assert min(row["token"] for row in tops) >= 7
