"""Facts of the tokenizer come from its own files: before a library changes it, and not from config.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autointerp.config.loading import parse_run
from autointerp.errors import InputError
from autointerp.pipeline.check import check_run
from autointerp.pipeline.plan.prepare import prepare
from autointerp.progress import Reporter
from autointerp.subject.loading import check_tokenizer, load_subject
from autointerp.subject.token_ids import adds_bos, disagreements, special_of, token_ids

WORDS = ["<s>", "</s>", "<pad>", "<unk>", "the", "cat", "sat", "on", "mat", "a", "dog", "ran", "far", "away"]

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A tiny Llama whose tokenizer and configuration say what a test wants."""

    def write(tokens: dict[str, str], config: dict[str, Any], more: list[str] | None = None, bos: bool = False) -> Path:
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        folder = tmp_path_factory.mktemp("model")
        words = WORDS + (more or [])
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if bos:
            tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **tokens).save_pretrained(folder)
        torch.manual_seed(0)
        shape = {"vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(intermediate_size=24, max_position_embeddings=64, **shape, **config))
        model.save_pretrained(folder)
        return folder

    return write


def run_of(folder: Path, tmp_path: Path, **tokens: Any) -> dict[str, Any]:
    (tmp_path / "text.txt").write_text("\n".join(["the cat sat on the mat a dog ran far away"] * 400))
    return {
        "name": "x",
        "subject": {"model": str(folder)},
        "tokens": {"source": f"text:{tmp_path / 'text.txt'}", "context_length": 16, **tokens},
        "dictionary": [{"name": "n", "kind": "neurons", "hook": "blocks.1.mlp.hook_post"}],
    }


def test_no_bos_stays_no_bos(make: Make, tmp_path: Path) -> None:
    """As Qwen: TransformerLens would make the end token the beginning."""
    folder = make({"eos_token": "</s>"}, {"bos_token_id": 1, "eos_token_id": 1})
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    assert subject.bos is None
    assert subject.tokenizer is not None
    assert subject.tokenizer.bos_token is None
    assert subject.tokenizer.pad_token is None
    assert subject.special == (1, 3)
    assert adds_bos(subject.tokenizer) is None
    assert any(line.startswith("bos: config.json says 1, the tokenizer has none") for line in subject.differences)
    with pytest.raises(InputError, match=r"has no BOS token; set prepend_bos = false"):
        prepare(parse_run(run_of(folder, tmp_path)))
    checked = check_run(parse_run(run_of(folder, tmp_path, prepend_bos=False)), Reporter(quiet=True))
    assert checked.tokens[0] == "BOS: the subject has none, and contexts begin with text"
    assert any("bos: config.json says 1" in line for line in checked.tokens)
    assert not checked.context[0].is_special


def test_no_end_token_adds_none(make: Make) -> None:
    """TransformerLens would add one, behind the vocabulary, and the tokenizer would be another one."""
    folder = make({"bos_token": "<s>"}, {"bos_token_id": 0})
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    from transformers import AutoTokenizer

    before = AutoTokenizer.from_pretrained(folder)
    assert subject.tokenizer is not None
    assert subject.tokenizer.eos_token is None
    assert len(subject.tokenizer) == len(before) == len(WORDS)
    assert subject.tokenizer.backend_tokenizer.to_str() == before.backend_tokenizer.to_str()
    assert subject.special == (0, 3)


def test_ids_of_another_tokenizer_in_the_configuration_mask_nothing(make: Make, tmp_path: Path) -> None:
    """config.json says that "cat" is the end; the tokenizer knows better, and cats are scored."""
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    folder = make(tokens, {"bos_token_id": 0, "eos_token_id": 5, "pad_token_id": 6})
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 7]}))
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    assert (subject.bos, subject.special) == (0, (0, 1, 2, 3))
    assert list(subject.differences[:3]) == [
        "eos: config.json says 5, the tokenizer 1; the tokenizer's counts, and 5 stays an ordinary token",
        "eos: generation_config.json says 1, 7, the tokenizer 1; the tokenizer's counts, and 7 stays an ordinary token",
        "pad: config.json says 6, the tokenizer 2; the tokenizer's counts, and 6 stays an ordinary token",
    ]
    checked = check_run(parse_run(run_of(folder, tmp_path)), Reporter(quiet=True))
    assert [token.id for token in checked.context[:3]] == [0, 4, 5]
    assert [token.is_special for token in checked.context[:3]] == [True, False, False]
    assert set(subject.differences) <= set(checked.tokens)


def test_what_the_tokenizer_adds_by_itself_is_said_and_not_doubled(make: Make, tmp_path: Path) -> None:
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    folder = make(tokens, {"bos_token_id": 0, "eos_token_id": 1}, bos=True)
    subject = load_subject(str(folder), None, "raw", "float32", "cpu")
    assert adds_bos(subject.tokenizer) is True
    checked = check_run(parse_run(run_of(folder, tmp_path)), Reporter(quiet=True))
    assert checked.tokens[0] == "BOS: 0 <s>, put in front of each context; the tokenizer by itself adds it too"
    assert [token.id for token in checked.context[:2]] == [0, 4], "once"


def test_marked_tokens_without_a_role_are_special(make: Make) -> None:
    """Turn markers, reserved tokens: marked special in tokenizer.json, and named by no role."""
    folder = make({"bos_token": "<s>", "eos_token": "</s>"}, {"bos_token_id": 0, "eos_token_id": 1}, more=["<turn>"])
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken("<turn>", special=True)], special_tokens=True)
    tokenizer.save_pretrained(folder)
    assert 14 in load_subject(str(folder), None, "raw", "float32", "cpu").special


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (0, "vocabulary: the tokenizer has 14 tokens, the model 16; the rest stands in no text"),
        (6, "vocabulary: the tokenizer has 20 tokens, the model 16; a text with one of the others is refused"),
    ],
)
def test_sizes_of_the_vocabulary_that_differ_are_said(extra: int, line: str, make: Make) -> None:
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    more = [f"word{i}" for i in range(extra)]
    folder = make(tokens, {"bos_token_id": 0, "eos_token_id": 1}, more=more)
    assert line in load_subject(str(folder), None, "raw", "float32", "cpu").differences


def test_without_a_tokenizer_the_configuration_counts() -> None:
    config = SimpleNamespace(vocab_size=10, bos_token_id=2, eos_token_id=[3, 4, 99], pad_token_id=None)
    assert token_ids(config, None) == (2, (2, 3, 4))
    assert disagreements(config, None, None) == ["there is no tokenizer: special ids are those of config.json"]


def test_a_recorded_subject_has_the_ids_of_the_loaded_one(make: Make) -> None:
    """What a store's tokens were cut with is not changed by whether the weights are read."""
    from autointerp.subject.recorded import recorded_subject

    folder = make({"eos_token": "</s>"}, {"bos_token_id": 1, "eos_token_id": 1})
    loaded = load_subject(str(folder), None, "raw", "float32", "cpu")
    keys = ("revision", "processing", "dtype", "architecture", "n_layers", "d_model", "d_vocab", "n_ctx")
    facts = {key: getattr(loaded, key) for key in (*keys, "checksum", "rerandomised")} | {"subject": str(folder)}
    recorded = recorded_subject(facts, {}, "cpu", lambda: loaded)
    assert (recorded.bos, recorded.special) == (loaded.bos, loaded.special)
    assert recorded.tokenizer_hash() == loaded.tokenizer_hash()


# --- the tokenizer's own files against each other ---------------------------------------------------

BOTH = {"bos_token": "<s>", "eos_token": "</s>"}


def changed(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    held = json.loads((folder / name).read_text())
    change(held)
    (folder / name).write_text(json.dumps(held))
    return folder


def differences(folder: Path) -> list[str]:
    from transformers import AutoConfig, AutoTokenizer

    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return [line for line in disagreements(config, tokenizer, folder) if not line.startswith("vocabulary")]


def test_what_the_post_processor_puts_in_front(make: Make) -> None:
    folder = make(BOTH, {"bos_token_id": 0, "eos_token_id": 1}, bos=True)
    assert differences(folder) == []
    changed(folder, "tokenizer_config.json", lambda held: held.update(add_bos_token=False))
    assert differences(folder) == [
        "bos: tokenizer_config.json says add_bos_token = false, and the tokenizer by itself adds one all the same"
    ]

    def other(held: dict[str, Any]) -> None:
        text = json.dumps(held["post_processor"])
        held["post_processor"] = json.loads(text.replace('"<s>"', '"</s>"').replace('"ids": [0]', '"ids": [1]'))

    changed(folder, "tokenizer_config.json", lambda held: held.pop("add_bos_token"))
    changed(folder, "tokenizer.json", other)
    assert differences(folder) == [
        "bos: the tokenizer by itself puts 1 '</s>' in front of a text, and calls 0 '<s>' its BOS; "
        "that is what counts here"
    ]


def test_a_bos_that_the_model_does_not_have(make: Make, tmp_path: Path) -> None:
    folder = make(BOTH, {"bos_token_id": 0, "eos_token_id": 1}, more=["x", "y"])
    changed(folder, "tokenizer_config.json", lambda held: held.update(bos_token="<begin>"))  # added as 16
    assert "bos: the tokenizer's 16 '<begin>' lies outside the model's vocabulary of 16, as if it had none" in (
        differences(folder)
    )
    with pytest.raises(InputError, match=r"has no BOS token \(the tokenizer's 16 '<begin>' lies outside"):
        prepare(parse_run(run_of(folder, tmp_path)))


def test_an_ordinary_word_as_padding_is_said(make: Make) -> None:
    folder = make(BOTH, {"bos_token_id": 0, "eos_token_id": 1})
    changed(folder, "tokenizer_config.json", lambda held: held.update(pad_token="cat"))
    assert differences(folder) == ["pad: 5 'cat' is an ordinary piece of tokenizer.json, and masked everywhere"]


def test_added_tokens_that_the_two_files_number_otherwise(make: Make) -> None:
    folder = make(BOTH, {"bos_token_id": 0, "eos_token_id": 1})
    token = {"content": "<turn>", "special": True}
    changed(folder, "tokenizer_config.json", lambda held: held.update(added_tokens_decoder={"6": token}))
    assert "added tokens: tokenizer_config.json says 6 is '<turn>', the tokenizer 'sat'" in differences(folder)


def test_pieces_that_a_library_lists_as_special_are_none() -> None:
    """transformers lists every user-defined piece of a tokenizer.model: line breaks and runs of blanks of Gemma."""
    added = {0: SimpleNamespace(special=True), 7: SimpleNamespace(special=False), 8: SimpleNamespace(special=False)}
    tokenizer = SimpleNamespace(added_tokens_decoder=added, all_special_ids=[0, 7, 8, 9], eos_token_id=8)
    assert special_of(tokenizer) == {0, 8, 9}


def test_a_tokenizer_read_by_the_class_of_another_kind(make: Make) -> None:
    class Read:
        def __init__(self, pieces: int, text: str) -> None:
            self.pieces, self.text = pieces, text
            self.added_tokens_decoder: dict[int, Any] = {}

        def get_vocab(self) -> dict[str, int]:
            return {str(i): i for i in range(self.pieces)}

        def __call__(self, _: str) -> dict[str, list[int]]:
            return {"input_ids": [0]}

        def decode(self, _: list[int]) -> str:
            return self.text

    folder = make(BOTH, {"bos_token_id": 0, "eos_token_id": 1})
    check_tokenizer(Read(9, "aa"), folder)
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    check_tokenizer(Read(9, "a a"), folder)
    for read, wrong in ((Read(9, "aa"), "loses the blanks"), (Read(0, "a a"), "has no piece")):
        with pytest.raises(InputError, match=rf'"{folder}" {wrong}: transformers read tokenizer\.model as Read'):
            check_tokenizer(read, folder)


def test_a_weight_of_another_shape_is_named(make: Make) -> None:
    folder = make(BOTH, {"bos_token_id": 0, "eos_token_id": 1})
    changed(folder, "config.json", lambda held: held.update(vocab_size=14))
    with pytest.raises(InputError, match=r'"lm_head\.weight" is \(16, 16\) in its weights, and \(14, 16\) by config'):
        load_subject(str(folder), None, "raw", "float32", "cpu")
