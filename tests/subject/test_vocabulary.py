"""The text of every token: pieces of the tokenizer's model, and tokens that were added as they are written."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from autointerp.subject.vocabulary import token_texts

ADDED = ["naïve", "Straße", "日本", "two words", " led", "Ġfar", "Ċ", "<0x7A>", "▁low", "##ly", "\n\n", "<|Ende|>"]
"""Among them what means something else in each model's own alphabet."""


def byte_level() -> Tokenizer:
    pieces = ["Ġ", "a", "b", "Ã", "¯", "Ġa", "<|x|>"]
    core = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [("Ġ", "a")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return core


def byte_fallback() -> Tokenizer:
    pieces = ["<unk>", "<0x0A>", "<0xC3>", "▁", "a", "▁a", "▁▁"]
    core = Tokenizer(
        models.BPE(
            {piece: i for i, piece in enumerate(pieces)},
            [("▁", "a"), ("▁", "▁")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return core


def unigram() -> Tokenizer:
    core = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("a", -2.0), ("▁a", -1.5)], 0))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    return core


def word_piece() -> Tokenizer:
    core = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    return core


PIECES = {
    byte_level: [" ", "a", "b", "\\xc3", "\\xaf", " a", "<|x|>"],
    byte_fallback: ["<unk>", "\n", "\\xc3", " ", "a", " a", "  "],
    unigram: ["<unk>", " ", "a", " a"],
    word_piece: ["[UNK]", "a", "##b"],
}


@pytest.mark.parametrize("kind", ["plain", "normalized", "special", "stripping"])
@pytest.mark.parametrize("make", PIECES, ids=lambda make: make.__name__)
def test_added_tokens_are_as_they_are_written(make: Any, kind: str) -> None:
    core = make()
    n = core.get_vocab_size()
    more: dict[str, Any] = {
        "plain": {"normalized": False},
        "normalized": {"normalized": True},
        "special": {"special": True, "normalized": False},
        "stripping": {"lstrip": True, "rstrip": True, "single_word": True, "normalized": False},
    }[kind]
    core.add_tokens([AddedToken(text, **more) for text in ADDED])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    texts = token_texts(tokenizer, n + len(ADDED) + 2, ())
    assert texts[:n] == PIECES[make], "the model's own pieces"
    assert texts[n:-2] == ADDED
    assert texts[-2:] == [f"<{len(texts) - 2}>", f"<{len(texts) - 1}>"], "ids without a token"
    if kind == "plain":
        for number, text in enumerate(ADDED):  # and the text is where the token is found
            assert tokenizer(f"a {text} a", add_special_tokens=False)["input_ids"].count(n + number) == 1


def test_user_defined_pieces_of_sentence_piece_stay_pieces() -> None:
    core = byte_fallback()
    core.add_tokens([AddedToken("▁▁", normalized=False), AddedToken("<0x0A>", normalized=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    assert token_texts(tokenizer, 7, ()) == PIECES[byte_fallback]


def test_special_ids_are_as_they_are_called() -> None:
    core = byte_level()
    core.add_special_tokens(["<|ß|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    assert token_texts(tokenizer, 8, (0, 7)) == ["Ġ", *PIECES[byte_level][1:], "<|ß|>"]


def test_fewer_ids_than_the_tokenizer_has() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level())
    assert token_texts(tokenizer, 3, ()) == PIECES[byte_level][:3]
