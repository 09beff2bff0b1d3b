"""Where the training steps read and write, and the two options that they all share."""

import argparse
from pathlib import Path

BUNDLED = Path(__file__).resolve().parents[1] / "bundled"
"""What goes into the wheel."""

WORK = Path("build/train")
"""What does not: training text and tokens, rebuilt by `corpus` and `subject`."""

SEED = 20261120


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with `--work` and `--out`; the module's docstring is its help."""
    out = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--work", type=Path, default=WORK, help="intermediate files (default: build/train)")
    out.add_argument("--out", type=Path, default=BUNDLED, help="the bundle (default: the package's own)")
    return out
