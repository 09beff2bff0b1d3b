"""Rebuild `autointerp/bundled/` from a bare machine: corpus, subject, SAEs, planted dictionary, figures.

About an hour on one CPU core. Each step is also a command of its own: `python -m autointerp.train.NAME --help`.
"""

from pathlib import Path

from autointerp.train import corpus, figures, planted, saes, subject
from autointerp.train.paths import parser


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--docs", type=Path, help="folder of .rst or .txt documentation sources")
    given = options.parse_args()
    corpus.build(given.work, given.out, given.docs)
    subject.build(given.work, given.out)
    saes.build(given.work, given.out, list(saes.RECIPES))
    planted.build(given.out)
    figures.build(given.work, given.out)


if __name__ == "__main__":
    main()
