"""What tests of the store's writer share: the plainest rows, and another process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np


def failures(n: int, reason: str) -> dict[str, object]:
    """Columns of `failures`: the plainest table there is."""
    return {
        "stage": "explain",
        "dictionary": None,
        "feature": np.arange(n),
        "explainer": None,
        "scorer": None,
        "status": "failed",
        "reason": reason,
        "again": 0,
    }


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process; its code finds the arguments in `sys.argv`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
