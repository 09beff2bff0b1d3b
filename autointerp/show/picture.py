"""The README's pictures: what the terminal shows, as SVG.

    python -m autointerp.show.picture demo.duckdb docs/ [DICT/FEATURE]

writes `card.svg` and `compare.svg`. No font is fetched: any monospaced one will do, for every run of text states
its own length.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from autointerp.errors import UserError
from autointerp.show.card import feature_card
from autointerp.show.compare import compare_page
from autointerp.show.compare_data import ScoreChoice
from autointerp.show.good_example import good_example
from autointerp.store.reader import open_reader

WIDTH = 100
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
LIGHT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        (36, 41, 47),
        (180, 30, 30),
        (17, 99, 41),
        (130, 80, 0),
        (9, 84, 180),
        (130, 50, 160),
        (20, 110, 125),
        (90, 96, 104),
    ],
)
"""Dark on white. Black, red, green, yellow, blue, magenta, cyan, grey."""


def svg(page: RenderableType, command: str) -> str:
    """The page below the command that shows it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
    console.print()
    console.print(page)
    drawn = console.export_svg(title="", theme=LIGHT, code_format=_FORMAT, unique_id="autointerp")
    # A frame that can be seen on white; no blanks at the ends of lines.
    return re.sub(r"[ \t]+(?=\n)", "", drawn.replace("rgba(255,255,255,0.35)", "#d0d7de"))


_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", FONTS
)


def draw(store: Path, folder: Path, feature: str | None = None) -> list[Path]:
    """Writes both pictures and returns their paths."""
    with open_reader(store) as reader:
        example = good_example(reader)
        if feature is not None:
            dictionary, _, number = feature.rpartition("/")
            example = (dictionary, int(number))
        if example is None:
            raise UserError(f'"{store}" holds no features yet')
        card = feature_card(reader, *example, top=8, each=1)
        choice = ScoreChoice(explainers=["lexical"], designs=["census"])
        comparison = compare_page([(store.stem, reader)], choice, hidden=False)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "card.svg": svg(card, f"autointerp show {store.name} {example[0]}/{example[1]}"),
        "compare.svg": svg(comparison, f"autointerp compare {store.name} --design census --explainer lexical"),
    }
    for name, text in pictures.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in pictures]


def main(arguments: Sequence[str]) -> None:
    """`STORE FOLDER [DICT/FEATURE]`."""
    if len(arguments) not in (2, 3):
        raise SystemExit(__doc__)
    for path in draw(Path(arguments[0]), Path(arguments[1]), *arguments[2:]):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
