"""Conversations to token ids, by the tokenizer's chat template; what the template itself writes is told apart.

The template is rendered twice: with the messages, and with a mark in the place of each message's content. What stands
between the marks is the template's; put together with the contents it must be the first rendering, character for
character (but for white space around contents, which many templates strip). So the place of each
content is known by construction and never searched for: a message may say "user" or quote the template.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Literal

from autointerp.errors import InputError
from autointerp.subject.documents import Message

Roles = Literal["all", "assistant", "user"]
TODAY = "26 Jul 2024"
"""What a template that writes today's date is given: the same tokens every day."""
MARK = "\ue000{}\ue001"
"""Stands for a message's content; private-use characters, which no template looks for."""


class TemplateRefusal(Exception):
    """The template itself refuses a conversation (roles must alternate, ...)."""


def template_of(tokenizer: Any) -> str | None:
    """The tokenizer's chat template; None where it has none."""
    if tokenizer is None or not getattr(tokenizer, "chat_template", None):
        return None
    return str(tokenizer.get_chat_template())


def template_hash(tokenizer: Any) -> str:
    """Hash of the chat template; "" where there is none."""
    template = template_of(tokenizer)
    return "" if template is None else hashlib.blake2b(template.encode(), digest_size=16).hexdigest()


def encode_chat(tokenizer: Any, messages: Sequence[Message], roles: Roles, name: str) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation, and which of them belong to the contents of `roles` alone.

    `name` says in errors which conversation it is. Raises InputError where the tokenizer has no template, or the
    template changes, repeats or leaves out what a message says; TemplateRefusal where it does not take it.
    """
    template = template_of(tokenizer)
    if template is None:
        raise InputError(
            f"{name} is a conversation, and the subject's tokenizer has no chat template; give a source of texts"
        )
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"{name} is a conversation, and the subject's tokenizer does not tell where its tokens stand")
    text, spans = render(tokenizer, template, messages, name)
    kept = [span for span, message in zip(spans, messages, strict=True) if roles in ("all", message.role)]
    encoded = tokenizer(
        text,
        add_special_tokens=False,
        split_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    inside = [
        any(start >= low and end <= high for low, high in kept) and end > start
        for start, end in encoded["offset_mapping"]
    ]
    return list(encoded["input_ids"]), inside


def render(tokenizer: Any, template: str, messages: Sequence[Message], name: str) -> tuple[str, list[tuple[int, int]]]:
    """The conversation as the template writes it, and where each message's content stands in it."""
    whole = _apply(tokenizer, template, [(message.role, message.content) for message in messages])
    marked = _apply(tokenizer, template, [(message.role, MARK.format(i)) for i, message in enumerate(messages)])
    pieces = re.split(MARK.format(r"(\d+)"), marked)
    order = [int(number) for number in pieces[1::2]]
    if order != list(range(len(messages))):
        wrong = next((i for i in range(len(messages)) if order.count(i) != 1), None)
        what = "puts the messages in another order" if wrong is None else f"does not write message {wrong + 1} once"
        raise InputError(f"{name}: the chat template {what}, so that its own tokens cannot be told apart")
    text, spans = pieces[0], list[tuple[int, int]]()
    for message, after in zip(messages, pieces[2::2], strict=True):
        said = message.content
        forms = (said, said.strip(), said.lstrip(), said.rstrip())
        form = next((form for form in forms if whole.startswith(form + after, len(text))), said)
        spans.append((len(text), len(text) + len(form)))
        text += form + after
    if text == whole:
        return whole, spans
    raise InputError(
        f"{name}: the chat template changes what the messages say, so that its own tokens cannot be told apart"
    )


def _apply(tokenizer: Any, template: str, messages: list[tuple[str, str]]) -> str:
    from jinja2 import TemplateError

    if "strftime_now" in template:
        template = f"{{% macro strftime_now(format) %}}{TODAY}{{% endmacro %}}{{{{ '' }}}}" + template
    try:
        return str(
            tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in messages],
                chat_template=template,
                tokenize=False,
            )
        )
    except TemplateError as error:
        raise TemplateRefusal(str(error).strip().split("\n")[0]) from error
