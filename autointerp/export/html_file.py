"""`export html`: chosen features in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from autointerp.browse.feature_data import FeaturePage, load_floors
from autointerp.export.chosen import ChosenFeatures, cards_of, headline_score, label_of
from autointerp.notebook.feature_html import feature_box, feature_style
from autointerp.show.card_data import FeatureCard
from autointerp.show.report.html import Markup, joined, table, tag
from autointerp.show.report.page import POLICY
from autointerp.store.reader import StoreReader
from autointerp.whole_files import whole_file


def export_html(
    store: StoreReader, chosen: Sequence[ChosenFeatures], path: Path, explainer: str | None, say: Callable[[str], None]
) -> None:
    """Writes the file. `explainer` names whose labels the list at its head shows. Raises UserError where it cannot be
    written."""
    title = f"{store.path.name}: {sum(len(some.features) for some in chosen):,} features"
    lines: list[Markup] = []
    boxes: list[list[Markup]] = []
    for some in chosen:
        floors = load_floors(store, some.dictionary)
        numbers = set(some.features)
        rows, mine = [], []
        for card in cards_of(store, some, quantiles=False):
            mine.append(feature_box(FeaturePage(None, card, floors, None, None, ()), _links(card.dictionary, numbers)))
            rows.append(_row(card, explainer))
        heads = ("feature", "score", "label", "status", "density", "metric")
        lines += [tag("h2", some.dictionary), table(heads, rows, numbers=(1, 4), texts=(2,))]
        boxes.append(mine)
        say(f"{some.dictionary}: {len(mine):,} features")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", Markup(_STYLE)),
        feature_style(),
    )
    said = f"autointerp export html, {datetime.now():%Y-%m-%d %H:%M}"
    top = tag("div", tag("h1", title), tag("p", said, class_="dim"), lines, class_="autointerp")
    body = tag("body", top, [joined(mine) for mine in boxes])
    text = f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"
    with whole_file(path) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


_STYLE = (
    ":root { color-scheme: light dark; } body { margin: 16px auto; max-width: 1140px; padding: 0 12px; }"
    " .autointerp td.label { max-width: 620px; }"
)


def _links(dictionary: str, numbers: set[int]) -> Callable[[int], str | None]:
    return lambda feature: _anchor(dictionary, feature) if feature in numbers else None


def _anchor(dictionary: str, feature: int) -> str:
    return f"#{quote(f'{dictionary}/{feature}', safe='/')}"


def _row(card: FeatureCard, explainer: str | None) -> tuple[Markup | str, ...]:
    line = label_of(card, explainer)
    score = None if line is None else headline_score(line)
    return (
        tag("a", str(card.feature), href=_anchor(card.dictionary, card.feature)),
        "" if score is None else f"{score.value:.3f}",
        (line.text or "")[:300] if line else "",
        card.status,
        f"{card.density:.3g}",
        "" if score is None else f"{score.metric}, {score.design}",
    )
