"""The lane of a real model: where it lies, which SAE is trained on it, and commands that say what they took.

The folder is REAL_MODEL_DIR, or ~/.cache/autointerp. What lies there is used again: remove it to make it anew.
REAL_MODEL_TEXT names a folder of text to run on in place of the bundled corpus.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import autointerp
from autointerp.resources import run_path

HOME = "~/.cache/autointerp"
"""What the run file calls the folder."""
FOLDER = Path(os.environ.get("REAL_MODEL_DIR", HOME)).expanduser()
HOOK, WIDTH, K = "blocks.6.hook_resid_pre", 2_048, 24
"""Of the SAE."""


@dataclass
class Lane:
    """Runs modules of ours as a user would."""

    costs: list[str] = field(default_factory=list)
    """What each command took."""
    notes: list[str] = field(default_factory=list)
    """Other lines that are shown when all tests are through."""

    def run(self, what: str, *arguments: str | Path, status: int = 0) -> str:
        """`python -m` with these arguments, which must end with this status: its standard output.

        Behind it the line that says why it ended with another status than 0.
        """
        path = f"{Path(autointerp.__file__).parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        words = [sys.executable, "-m", *map(str, arguments)]
        with tempfile.TemporaryFile("w+", encoding="utf-8") as out, tempfile.TemporaryFile("w+") as progress:
            begun = time.monotonic()
            process = subprocess.Popen(words, stdout=out, stderr=progress, env=os.environ | {"PYTHONPATH": path})
            _, ended, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(ended)
            wall, cpu = time.monotonic() - begun, used.ru_utime + used.ru_stime
            peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
            self.costs.append(f"{what:<20} {cpu:6,.0f} CPU s {wall:6,.0f} s {peak:6,.0f} MB at its peak")
            out.seek(0)
            progress.seek(0)
            said, told = out.read(), progress.read()
            assert process.returncode == status, f"{words}: {process.returncode}\n{said}\n{told}"
            return said + "".join(line for line in told.splitlines(keepends=True) if line.startswith("error: "))


def write_run_file(file: Path, models: Path) -> None:
    """`runs/smollm2.toml`, with the folder of this machine and the text that was asked for."""
    text = run_path("runs/smollm2.toml").read_text(encoding="utf-8").replace(HOME, str(models))
    if given := os.environ.get("REAL_MODEL_TEXT"):
        text = text.replace('"bundled:corpus"', json.dumps(f"text:{Path(given).absolute()}"))
    file.write_text(text, encoding="utf-8")
