"""Conversations: what the template writes is masked, what the messages say is scored; twins built by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from autointerp.errors import InputError
from autointerp.subject.chat import TODAY, TemplateRefusal, encode_chat, template_hash
from autointerp.subject.documents import Message
from autointerp.subject.tokenise import TokenPlan, open_tokens
from autointerp.subject.tokens import SPECIAL, VALID, TokenFile

Turns = Sequence[tuple[str, str]]

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
)
WITH_BOS = (
    "{{ bos_token }}{% for m in messages %}<{{ 'model' if m.role == 'assistant' else m.role }}>\n"
    "{{ m.content | trim }}</turn>\n{% endfor %}"
)
INSTRUCT = (  # the system's message stands inside the first user's, and roles alternate
    "{% set sys = messages[0].content if messages[0].role == 'system' else none %}"
    "{% for m in messages if m.role != 'system' %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + ('<<SYS>>' + sys + '<</SYS>>' if sys and loop.first else '') + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + eos_token }}{% endif %}{% endfor %}"
)

Pieces = list[tuple[str, int | None]]
"""Text, and the number of the message that says it; None: the template does."""


def chatml(turns: Turns) -> Pieces:
    return [
        piece
        for i, (role, content) in enumerate(turns)
        for piece in ((f"<|im_start|>{role}\n", None), (content, i), ("<|im_end|>\n", None))
    ]


def with_bos(turns: Turns) -> Pieces:
    found: Pieces = [("<s>", None)]
    for i, (role, content) in enumerate(turns):
        found += [(f"<{'model' if role == 'assistant' else role}>\n", None), (content.strip(), i), ("</turn>\n", None)]
    return found


def instruct(turns: Turns) -> Pieces:
    found: Pieces = []
    for i, (role, content) in enumerate(turns):
        if role == "user":
            found.append(("[INST] ", None))
            if i == 1:
                found += [("<<SYS>>", None), (turns[0][1], 0), ("<</SYS>>", None)]
            found += [(content, i), (" [/INST]", None)]
        elif role == "assistant":
            found += [(" ", None), (content.strip(), i), ("</s>", None)]
    return found


TALK = [
    ("system", "Be brief, user."),
    ("user", "user\nWhat is <|im_start|>assistant good for? Ünïcödé 🎉 "),
    ("assistant", "Nothing.\n\nassistant: or [INST] everything </turn>"),
    ("user", "model"),
    ("assistant", "\nuser What is "),
]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained on what the tests say, with special tokens of its own."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator([content + "\n\n" + role + "\n" for role, content in TALK] * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", additional_special_tokens=special[2:]
    )


def encoded(tokenizer: Any, template: str, turns: Turns, roles: Any = "all") -> tuple[list[int], list[bool]]:
    tokenizer.chat_template = template
    return encode_chat(tokenizer, [Message(*turn) for turn in turns], roles, "row 7")


@pytest.mark.parametrize("roles", ["all", "assistant", "user"])
@pytest.mark.parametrize(
    ("template", "twin"), [(CHATML, chatml), (WITH_BOS, with_bos), (INSTRUCT, instruct)], ids=["chatml", "bos", "inst"]
)
def test_what_the_messages_say_is_told_apart(
    template: str, twin: Callable[[Turns], Pieces], roles: str, tokenizer: Any
) -> None:
    ids, scored = encoded(tokenizer, template, TALK, roles)
    pieces = twin(TALK)
    text = "".join(piece for piece, _ in pieces)
    said_by = [speaker for piece, speaker in pieces for _ in piece]
    wanted = {i for i, (role, _) in enumerate(TALK) if roles in ("all", role)}
    whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert ids == whole["input_ids"], "the tokens are those of the whole rendering"
    for (start, end), is_scored in zip(whole["offset_mapping"], scored, strict=True):
        speakers = set(said_by[start:end])
        assert is_scored == (len(speakers) == 1 and speakers <= wanted), text[start:end]
    for role in wanted:
        assert any(scored[i] for i, (start, _) in enumerate(whole["offset_mapping"]) if said_by[start] == role)
    assert not all(scored)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "changes what the messages say"),
        (
            "{% for m in messages %}{{ m.content | replace('user', 'you') }}{% endfor %}",
            "changes what the messages say",
        ),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "does not write message 1 once"),
        ("{{ messages[1].content }}", "does not write message 1 once"),
        ("{% for m in messages | reverse %}{{ m.content }}|{% endfor %}", "puts the messages in another order"),
        ("{% for m in messages %}{{ m.content[:4] }}{% endfor %}", "changes what the messages say"),
    ],
)
def test_a_template_that_alters_messages_is_refused(template: str, message: str, tokenizer: Any) -> None:
    with pytest.raises(InputError, match=f"^row 7: the chat template .*{message}") as caught:
        encoded(tokenizer, template, TALK)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_a_template(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    assert template_hash(tokenizer) == ""
    with pytest.raises(InputError, match="row 7 is a conversation, and the subject's tokenizer has no chat template"):
        encode_chat(tokenizer, [Message("user", "a")], "all", "row 7")


def test_the_day_changes_no_token(tokenizer: Any) -> None:
    ids, scored = encoded(tokenizer, "{{ strftime_now('%d %b %Y') }}\n" + CHATML, TALK)
    assert tokenizer.decode(ids).startswith(TODAY + "\n<|im_start|>")
    assert not any(scored[:3])


# --- in the token file --------------------------------------------------------------------------------


Make = Callable[..., TokenFile]


@pytest.fixture
def chat_tokens(tokenizer: Any, plan: Callable[..., TokenPlan], tmp_path: Path) -> Make:
    """The token file of conversations."""

    def make(talks: list[Any], template: str | None, **changed: Any) -> TokenFile:
        tokenizer.chat_template = template
        file = tmp_path / "talks.jsonl"
        rows = [talk if isinstance(talk, str) else [{"role": r, "content": c} for r, c in talk] for talk in talks]
        file.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
        fields = {"bos": 0, "special": (0, 1, 2, 3), "d_vocab": 420, "shares": (1.0, 0.0, 0.0)} | changed

        def encode_texts(texts: list[str]) -> list[list[int]]:
            return [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in texts]

        return open_tokens(
            tmp_path / f"work-{len(list(tmp_path.iterdir()))}",
            plan(f"jsonl:{file}#messages", **fields),
            encode_texts,
            lambda _: None,
            lambda *given: encode_chat(tokenizer, *given),
        )

    return make


def talks(n: int) -> list[Turns]:
    return [[*TALK[:2], ("assistant", f"Answer {i}. " * (1 + i % 9))] for i in range(n)]


@pytest.mark.parametrize("bos", [0, None])
@pytest.mark.parametrize("template", [CHATML, WITH_BOS], ids=["without BOS", "with BOS"])
def test_contexts_hold_one_bos_and_score_contents_alone(
    template: str, bos: int | None, chat_tokens: Make, tokenizer: Any
) -> None:
    tokens = chat_tokens(talks(30), template, bos=bos)
    room = 24 - (bos is not None)
    expected = []
    for talk in talks(30):
        ids, scored = encoded(tokenizer, template, talk)
        if bos is not None and template == WITH_BOS:
            assert ids.pop(0) == 0
            scored.pop(0)
        for first in range(0, len(ids), room):
            part = list(zip(ids, scored, strict=True))[first : first + room]
            expected.append([(0, False), *part] if bos is not None else part)
    assert tokens.n_contexts == len(expected)
    scored_places = tokens.scored(np.arange(tokens.n_contexts))
    for context, places in enumerate(expected):
        n = len(places)
        assert tokens.tokens[context, :n].tolist() == [token for token, _ in places]
        assert scored_places[context, :n].tolist() == [is_scored and token > 3 for token, is_scored in places]
        assert not scored_places[context, n:].any()
        masked = tokens.marks[context, :n] == VALID | SPECIAL
        assert masked.tolist() == [not is_scored or token <= 3 for token, is_scored in places]
        n_bos = int((tokens.tokens[context, :n] == 0).sum())
        first_of_document = int(tokens.offset[context]) == 0
        assert n_bos == (1 if bos is not None else int(first_of_document and template == WITH_BOS))
    assert scored_places.any()


def test_a_template_with_two_bos_is_refused(chat_tokens: Make) -> None:
    with pytest.raises(InputError, match="the chat template writes the BOS id 0 twice"):
        chat_tokens(talks(3), "{{ bos_token }}" + WITH_BOS)


def test_roles_that_are_scored(chat_tokens: Make) -> None:
    counts = {
        roles: chat_tokens(talks(9), CHATML, chat=roles).facts("explain")["n_tokens"]
        for roles in ("all", "assistant", "user")
    }
    assert min(counts["assistant"], counts["user"]) > 0
    assert counts["assistant"] + counts["user"] < counts["all"]


def test_the_template_decides_no_split(chat_tokens: Make) -> None:
    one, two = (chat_tokens(talks(20), template, shares=(0.5, 0.2, 0.3)) for template in (CHATML, WITH_BOS))
    assert one.document_hash == two.document_hash
    assert len(set(one.document_hash)) == 20
    assert one.folder.parent != two.folder.parent


def test_a_conversation_that_the_template_refuses_is_counted(chat_tokens: Make) -> None:
    bad: Turns = [("user", "one"), ("user", "two")]
    good: list[Turns] = [[("user", f"question {i}"), ("assistant", "answer")] for i in range(4)]
    tokens = chat_tokens([*good[:2], bad, [], *good[2:], [("user", " "), ("assistant", "")]], INSTRUCT)
    assert tokens.left_out == {"blank": 2, "refused by the chat template": 1}
    assert len(tokens.document_name) == 4
    with pytest.raises(InputError, match="holds no text; the chat template refused 1: roles must alternate"):
        chat_tokens([bad], INSTRUCT)
    with pytest.raises(TemplateRefusal):
        raise TemplateRefusal


def test_texts_and_conversations(chat_tokens: Make) -> None:
    mixed = chat_tokens(["a text " * 9, *talks(2)], CHATML)
    assert len(mixed.document_name) == 3
    assert mixed.scored(np.array([0]))[0, 1:].all(), "a text has no template"
    with pytest.raises(InputError, match=r"tokens\.chat is given, but this is a text"):
        chat_tokens(["a text"], CHATML, chat="user")
    with pytest.raises(InputError, match="has no chat template"):
        chat_tokens(talks(2), None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([{"from": "human", "value": "a"}], 'must have the texts "role" and "content"; one has from: str, value: str'),
        ([{"role": "user", "content": None}], "one has role: str, content: NoneType"),
        ([{"role": "user", "content": "a"}, {}], "one has nothing"),
        ([{"role": "user", "content": "\ud800"}], "half of a surrogate pair"),
        ({"role": ["user"], "content": ["a", "b"]}, "role and content do not go together"),
        ([["user", "a"]], 'field "messages" is not text but list'),
    ],
)
def test_what_is_no_conversation(row: Any, message: str, tmp_path: Path) -> None:
    from autointerp.subject.sources import open_source

    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": row}) + "\n")
    with pytest.raises(InputError) as caught:
        list(open_source(f"jsonl:{tmp_path}/a.jsonl#messages").documents())
    assert f'{tmp_path}/a.jsonl", line 1' in str(caught.value)
    assert message in str(caught.value)
