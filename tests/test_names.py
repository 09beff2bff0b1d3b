"""Names in the package: one class a name, and what begins with an underscore stays in its file."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import autointerp

PACKAGE = Path(autointerp.__file__).parent
TESTS = Path(__file__).parent


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def classes() -> dict[str, set[str]]:
    """The files of each class name."""
    files: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                files[node.name].add(path.relative_to(PACKAGE).as_posix())
    return files


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_imports(path: Path) -> list[str]:
    """Names with an underscore that a file takes from a module of the package."""
    return [
        f"{node.module}.{name.name}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "autointerp"
        for name in node.names
        if is_private(name.name)
    ]


def test_no_two_classes_have_one_name() -> None:
    assert not {name: sorted(files) for name, files in classes().items() if len(files) > 1}


def test_nobody_imports_a_private_name() -> None:
    assert not [
        f"{path.relative_to(folder.parent)}: {name}"
        for folder in (PACKAGE, TESTS)
        for path in folder.rglob("*.py")
        for name in private_imports(path)
    ]
