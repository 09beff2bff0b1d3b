"""The page of `autointerp prompt` in the terminal, and the same as JSON."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.show.layout import Column, sheet
from autointerp.show.plain_json import as_json
from autointerp.show.prompt_data import SORTS, PromptFeature, PromptNext, PromptPage, PromptToken
from autointerp.show.text import safe, token_text

AT_TOKEN = 3
"""Features named beside each token."""
LABEL = 60
"""Characters of a label that are shown."""


def prompt_page(page: PromptPage) -> RenderableType:
    """Tokens with the features that fire on each, then the features in the order asked for."""
    tokens = [
        Column("", [str(token.position) for token in page.tokens], right=True),
        Column("id", [str(token.token) for token in page.tokens], right=True),
        Column("token", [token_text(token.text) + (" (BOS)" if token.is_bos else "") for token in page.tokens]),
        Column("fire", [f"{token.n_firing:,}" for token in page.tokens], right=True),
        Column("strongest", [_named(token) for token in page.tokens]),
    ]
    shown = len(page.features)
    head = f"{page.n_fired:,} features of {', '.join(page.dictionaries)} fire" + (
        f"; the first {shown}, {SORTS[page.choice.sort]}" if shown < page.n_fired else f"; {SORTS[page.choice.sort]}"
    )
    parts: list[RenderableType] = [safe(notice, "yellow") for notice in page.notices]
    parts += [sheet(None, tokens), Text(), safe(head, "bold")]
    if page.next_token is not None:
        parts.append(safe(next_token_line(page.next_token), "dim"))
        if page.choice.sort == "measured":
            parts.append(safe(MEASURED_MEANS, "dim"))
    with_effect = page.next_token is not None
    return Group(*parts, _features(page.features, with_effect, page.choice.sort == "measured"))


MEASURED_MEANS = (
    "measured: by how much it falls where the feature is taken away at every token but the BOS; of the features of "
    "largest effect"
)


def next_token_line(at: PromptNext) -> str:
    """What the column of effects is about."""
    return (
        f"effect: what all firings of a feature add to the log-probability of {token_text(at.text)} behind token "
        f"{at.position} (now {100 * at.probability:.3g} %), in nats: activation times gradient, to first order"
    )


def _features(features: tuple[PromptFeature, ...], with_effect: bool, with_measured: bool) -> RenderableType:
    columns = [
        Column("feature", [f"{of.dictionary}/{of.feature}" for of in features], key=True),
        Column("share", [f"{of.share:.2f}" for of in features], right=True),
        Column("activation", [f"{of.largest:.3g}" for of in features], right=True),
        Column("density", [f"{of.density:.2g}" for of in features], right=True),
        *([Column("effect", [_effect(of.effect) for of in features], right=True)] if with_effect else []),
        *([Column("measured", [_effect(of.measured) for of in features], right=True)] if with_measured else []),
        Column("at", [_places(of.positions) for of in features]),
        Column("score", ["" if of.score is None else f"{of.score:.2f}" for of in features], right=True),
        Column("label", [_cut(of.label) for of in features]),
    ]
    return sheet(None, columns)


def _named(token: PromptToken) -> str:
    return ", ".join(f"{of.dictionary}/{of.feature} {of.share:.2f}" for of in token.strongest[:AT_TOKEN])


def _effect(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _places(positions: tuple[int, ...]) -> str:
    return " ".join(map(str, positions[:8])) + (f" and {len(positions) - 8} more" if len(positions) > 8 else "")


def _cut(label: str | None) -> str:
    if label is None:
        return ""
    return label if len(label) <= LABEL else label[: LABEL - 1] + "…"


def prompt_json(page: PromptPage) -> str:
    """All of the page."""
    return as_json(page).decode()
