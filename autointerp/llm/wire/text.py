"""Text that can be kept: JSON can name halves of characters, which no UTF-8 holds."""

from __future__ import annotations


def whole_characters(text: str) -> str:
    """The text with halves joined where they belong together, and replaced by U+FFFD where they do not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
