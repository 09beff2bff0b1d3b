"""What the page of a text shows: the features that fire on it. And what a text does to one feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autointerp.browse.histogram_data import ActivationHistogram, load_histograms
from autointerp.browse.prompt_session import PromptSession, readable
from autointerp.browse.window_texts import token_texts
from autointerp.errors import StoreError, UserError
from autointerp.show.prompt_data import PromptChoice, PromptPage, load_prompt, read_dictionaries
from autointerp.store.evidence import dictionary_names, dictionary_row
from autointerp.store.reader import StoreReader

if TYPE_CHECKING:
    from autointerp.pipeline.prompt_reading import PromptReader, PromptReading, WantedToken

MOST = 200


@dataclass(frozen=True)
class PromptForm:
    """What was asked."""

    text: str = ""
    ids: str = ""
    sort: str = "activation"
    density_to: str = ""
    bos: str = ""
    next: str = ""
    """The token that effects are on; "": the likeliest, where effects are asked for."""
    at: str = ""
    """The place of the token that it stands behind; "": the last."""


@dataclass(frozen=True)
class TextPage:
    """The page of a text."""

    notice: str | None
    form: PromptForm
    dictionaries: tuple[str, ...]
    """All of the store."""
    chosen: tuple[str, ...]
    loaded: bool
    """Whether the subject was ready; else it was, or will be, loaded for this."""
    prompt: PromptPage | None
    """None: nothing was asked."""


@dataclass(frozen=True)
class TriedToken:
    """A token of a text that was tried on a feature."""

    text: str
    activation: float
    is_bos: bool


@dataclass(frozen=True)
class TriedPage:
    """What a text does to one feature."""

    notice: str | None
    dictionary: str
    feature: int
    text: str
    notices: tuple[str, ...]
    max_activation: float
    """In the corpus, explain split."""
    largest: float
    """On the text, the BOS left out."""
    tokens: tuple[TriedToken, ...]
    histogram: ActivationHistogram | None
    """Of the explain split; None: it never fires there."""


@dataclass(frozen=True)
class DirectionPage:
    """A feature's vector."""

    dictionary: str
    feature: int
    hook: str
    direction: tuple[float, ...]
    """What it writes for a unit of its activation: the decoder's row."""


def load_text(store: StoreReader, session: PromptSession, form: PromptForm, names: tuple[str, ...]) -> TextPage:
    """Reads the text, where one is given. Raises UserError where it cannot be read."""
    chosen = read_dictionaries(store, names)
    loaded = session.loaded(chosen)
    page = TextPage(store.notice, form, tuple(dictionary_names(store)), chosen, loaded, None)
    if not (form.text or form.ids.strip()):
        return page
    density = None if not form.density_to.strip() else _share(form.density_to)
    choice = PromptChoice(form.sort, density, bool(form.bos), MOST)
    text, ids = readable(form.text), _ids(form.ids)
    wanted = _wanted(form)
    read = session.ask(chosen, lambda reader: reader.read_ids(ids, wanted) if ids else reader.read_text(text, wanted))
    asked = replace(read, fired={name: read.fired[name] for name in chosen})
    return replace(page, prompt=load_prompt(store, asked, choice))


def load_tried(store: StoreReader, session: PromptSession, dictionary: str, feature: int, text: str) -> TriedPage:
    """Tries a text on a feature. Raises StoreError where there is no such feature, UserError where the text cannot be
    read."""
    row = _feature_row(store, dictionary, feature)
    read = session.ask((dictionary,), lambda reader: reader.read_text(readable(text)))
    at = _activations(read, dictionary, feature)
    texts = token_texts(store, read.tokens)
    tokens = tuple(TriedToken(texts[token], at.get(i, 0.0), token == read.bos) for i, token in enumerate(read.tokens))
    explain = [of for of in load_histograms(store, dictionary, feature) if of.split == "explain"]
    largest = max((token.activation for token in tokens if not token.is_bos), default=0.0)
    return TriedPage(
        store.notice, dictionary, feature, text, read.notices, row, largest, tokens, explain[0] if explain else None
    )


def load_direction(store: StoreReader, session: PromptSession, dictionary: str, feature: int) -> DirectionPage:
    """A feature's vector. Raises StoreError where there is no such feature."""
    _feature_row(store, dictionary, feature)

    def direction(reader: PromptReader) -> tuple[float, ...]:
        return tuple(reader.direction(dictionary, feature).tolist())

    hook = str(dictionary_row(store, dictionary)["hook"])
    return DirectionPage(dictionary, feature, hook, session.ask((dictionary,), direction))


def _feature_row(store: StoreReader, dictionary: str, feature: int) -> float:
    """The feature's largest activation. Raises StoreError."""
    dictionary_row(store, dictionary)
    rows = store.rows(_LARGEST, dictionary=dictionary, feature=feature)
    if not rows:
        raise StoreError(f'the store has no feature {feature} of "{dictionary}"')
    return float(rows[0]["max_activation"])


def _activations(read: PromptReading, dictionary: str, feature: int) -> Mapping[int, float]:
    fired = read.fired[dictionary]
    mine = fired.feature == feature
    return dict(zip(fired.position[mine].tolist(), fired.activation[mine].tolist(), strict=True))


def _wanted(form: PromptForm) -> WantedToken | None:
    """The next token that effects are estimated on; None: nothing asks for them."""
    from autointerp.pipeline.prompt_reading import WantedToken

    if form.sort not in ("effect", "measured") and not (form.next or form.at.strip()):
        return None
    places = _ids(form.at)
    if len(places) > 1:
        raise UserError(f'"{form.at}" is not one place')
    return WantedToken(form.next, places[0] if places else None, form.sort == "measured")


def _ids(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) < 10):
            raise UserError(f'ids: "{word}" is no token id')
    return [int(word) for word in words]


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UserError(f'density_to "{text}" is not a number') from error
    if not 0 <= value <= 1:
        raise UserError(f'density_to "{text}" is not between 0 and 1')
    return value


_LARGEST = "SELECT max_activation FROM features WHERE dictionary = $dictionary AND feature = $feature"
