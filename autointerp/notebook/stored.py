"""A store from Python: one object that answers questions, and a feature that shows itself.

The file is opened for each question and let go, because an open reader blocks the run that writes; while one does, its
snapshot is read, and `notice` says so.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from autointerp.browse.feature_data import FeaturePage, load_feature
from autointerp.browse.features_data import listed_features, read_choice
from autointerp.errors import UserError, nearest
from autointerp.notebook.feature_html import feature_box, feature_style
from autointerp.notebook.result_table import ResultTable
from autointerp.show.card import render_card
from autointerp.show.card_data import FeatureCard
from autointerp.show.console import OFF_TERMINAL
from autointerp.show.export import scored_kinds, scores_of
from autointerp.show.report.html import joined
from autointerp.store.evidence import dictionary_names
from autointerp.store.reader import StoreReader, open_reader


class ShownFeature:
    """A feature of a store: `page` is all that is known of it, and it shows itself in a terminal and in a notebook."""

    def __init__(self, page: FeaturePage) -> None:
        self.page = page

    @property
    def card(self) -> FeatureCard:
        """Labels with their scores, exemplars, promoted and suppressed tokens, nearest features, statistics."""
        return self.page.card

    def __repr__(self) -> str:
        """The card of `autointerp show`, in plain text."""
        stream = io.StringIO()
        console = Console(file=stream, width=OFF_TERMINAL, color_system=None)
        console.print(render_card(self.page.card, marks=True))
        return stream.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        """For notebooks: escaped, and nothing is loaded."""
        return joined([feature_style(), feature_box(self.page)])


class Store:
    """A store, by the path of its file. Made by `autointerp.open_store`; every question may raise StoreError."""

    def __init__(self, path: str | Path) -> None:
        """Raises StoreError where there is no store, or none that this version reads."""
        self.path = Path(path)
        self.notice: str | None = None
        """Where a run writes the store: that the latest answer is of its snapshot, and of when."""
        with self._reading() as reader:
            self.dictionaries = tuple(dictionary_names(reader))

    def feature(self, dictionary: str, feature: int) -> ShownFeature:
        """A feature. Raises StoreError where there is none, with what there is."""
        with self._reading() as reader:
            return ShownFeature(load_feature(reader, dictionary, feature))

    def features(self, dictionary: str, **choice: Any) -> ResultTable:
        """The extracted features of a dictionary, a row each, with one explainer's label and score.

        `choice`: `explainer`, `measure` ("METRIC, DESIGN, SCORER"), `status` (alive, rare, dead), `q` (words of the
        label), `density_from`, `density_to`, `score_from`, `score_to`, `sort` (a column) and `order` (up, down). Raises
        UserError where it names what is not there.
        """
        if "page" in choice:
            raise UserError("features() gives all pages at once; leave page away")
        asked = read_choice({name: str(value) for name, value in choice.items() if value is not None})
        with self._reading() as reader:
            _, rows = listed_features(reader, dictionary, asked)
        return ResultTable(rows)

    def scores(
        self,
        dictionary: str | None = None,
        *,
        explainer: str | None = None,
        scorer: str | None = None,
        metric: str | None = None,
        design: str | None = None,
    ) -> ResultTable:
        """The scores that count, a row a feature, explainer, scorer, metric and design, controls too; those of one
        dictionary, explainer and so on where it is given. Raises UserError where there is none of that name."""
        asked = {"explainer": explainer, "scorer": scorer, "metric": metric, "design": design}
        wanted = {name: value for name, value in asked.items() if value is not None}
        with self._reading() as reader:
            if dictionary is not None and dictionary not in dictionary_names(reader):
                raise _unknown("dictionary", dictionary, dictionary_names(reader))
            kinds = scored_kinds(reader)
            for name, value in wanted.items():
                kinds_left = [kind for kind in kinds if getattr(kind, name) == value]
                if not kinds_left:
                    raise _unknown(name, value, sorted({getattr(kind, name) for kind in kinds}))
                kinds = kinds_left
            rows = scores_of(reader, kinds, dictionary)
        return ResultTable(rows)

    def sql(self, statement: str, /, **parameters: Any) -> ResultTable:
        """The rows of one reading statement of DuckDB's SQL; values are bound by name: `sql("... = $f", f=7)`.

        Raises StoreError, in one line, for wrong SQL, several statements, and anything that would write.
        """
        with self._reading() as reader:
            return ResultTable(reader.query(statement, **parameters))

    def __enter__(self) -> Self:
        """`with` is never needed, and does no harm: between questions nothing is held."""
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}): {', '.join(self.dictionaries) or 'no dictionaries yet'}"

    @contextmanager
    def _reading(self) -> Iterator[StoreReader]:
        with open_reader(self.path) as reader:
            self.notice = reader.notice
            yield reader


def _unknown(what: str, name: str, known: list[str]) -> UserError:
    return UserError(f'the store has no {what} "{name}"' + nearest(name, known, listed="it has"))
