"""What the page of a steered text shows, and the subject that is kept ready for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autointerp.browse.prompt_session import readable
from autointerp.errors import AutointerpError, UserError
from autointerp.show.prompt_data import label_of
from autointerp.store.reader import StoreReader

if TYPE_CHECKING:
    from autointerp.pipeline.steer import SteerChoice, Steerer, SteerReport

MOST_TOKENS, MOST_KL = 200, 20.0


@dataclass(frozen=True)
class SteerForm:
    """What was asked."""

    text: str = ""
    kl: str = "0.5"
    tokens: str = "40"
    against: str = ""


@dataclass(frozen=True)
class SteeredPage:
    """A text steered along a feature's direction."""

    notice: str | None
    dictionary: str
    feature: int
    label: str | None
    form: SteerForm
    report: SteerReport | None
    """None: nothing was asked, or the direction does not reach."""
    refused: str | None
    """Why it does not."""


class SteerSession:
    """One dictionary at a time: asking about another one loads again."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._name: str | None = None
        self._steerer: Steerer | None = None
        self._turn = threading.Lock()

    def ask(self, name: str, feature: int, text: str, choice: SteerChoice) -> SteerReport:
        """Raises UserError where it cannot be loaded or steered, AutointerpError where the KL is not reached."""
        from autointerp.pipeline.steer import Steerer
        from autointerp.progress import Reporter

        with self._turn:
            if self._steerer is None or self._name != name:
                self._steerer = Steerer(self._store, name, Reporter(quiet=True))
                self._name = name
            return self._steerer.steer(feature, text, choice)


def load_steered(store: StoreReader, session: SteerSession, name: str, feature: int, form: SteerForm) -> SteeredPage:
    """Steers the text, where one is given. Raises UserError where that cannot be asked."""
    label = label_of(store, name, feature)
    if not form.text:
        return SteeredPage(store.notice, name, feature, label, form, None, None)
    from autointerp.pipeline.steer import SteerChoice

    n = int(_number("tokens", form.tokens, MOST_TOKENS))
    choice = SteerChoice(_number("kl", form.kl, MOST_KL), max(n, 1), against=bool(form.against))
    try:
        report = session.ask(name, feature, readable(form.text), choice)
    except UserError:
        raise
    except AutointerpError as error:
        return SteeredPage(store.notice, name, feature, label, form, None, str(error))
    return SteeredPage(store.notice, name, feature, label, form, report, None)


def _number(name: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UserError(f'{name} "{text}" is not a number') from error
    if not 0 < value <= most:
        raise UserError(f'{name} "{text}" is not above 0 and at most {most:g}')
    return value
