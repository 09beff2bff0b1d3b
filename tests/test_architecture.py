"""Who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import autointerp

PACKAGE = Path(autointerp.__file__).parent
SUBJECT_HALF, LABEL_HALF = ("subject", "extract"), ("llm", "explain", "score", "compare")


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (PACKAGE / folder).rglob("*.py")]
    assert found
    return found


def reaches(path: Path, *names: str) -> set[str]:
    return {item for item in imports(path) for name in names if item == name or item.startswith(name + ".")}


def test_the_halves_do_not_import_each_other() -> None:
    for path in files(*SUBJECT_HALF):
        assert not reaches(path, *(f"autointerp.{half}" for half in LABEL_HALF)), path
    for path in files(*LABEL_HALF):
        assert not reaches(path, *(f"autointerp.{half}" for half in SUBJECT_HALF), "torch", "transformers"), path
        assert not reaches(path, "transformer_lens"), path


def test_halves_and_store_know_nothing_of_what_stands_above() -> None:
    above = ("autointerp.pipeline", "autointerp.cli", "autointerp.show", "autointerp.demo")
    for path in files(*SUBJECT_HALF, *LABEL_HALF, "store"):
        assert not reaches(path, *above), path
    for path in files(*SUBJECT_HALF, *LABEL_HALF):
        assert not reaches(path, "autointerp.store"), path


def test_only_the_store_imports_duckdb() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.parent != PACKAGE / "store":
            assert not reaches(path, "duckdb"), path


@pytest.mark.parametrize(
    "statement",
    [
        "import autointerp",
        "import autointerp.cli",
        "import autointerp.explain.lexical, autointerp.score.scores",
        "import autointerp.llm.session.client, autointerp.llm.money.estimate",
    ],
)
def test_importing_is_light(statement: str) -> None:
    heavy = "{'torch', 'transformers', 'anthropic', 'openai', 'aiohttp', 'genai_prices'}"
    check = f"{statement}; import sys; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-W", "error", "-c", check], check=True)


def test_the_public_surface() -> None:
    for name in autointerp.__all__:
        assert getattr(autointerp, name) is not None
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = autointerp.no_such_thing
