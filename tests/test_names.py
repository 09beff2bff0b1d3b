"""Names in the package: a class a name, what begins with an underscore stays in its file, no vague name lives long."""

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


VAGUE = {"one", "found"}
"""Names that say nothing of what they hold."""
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, *COMPREHENSIONS)


def vague_lines(scope: ast.AST) -> tuple[dict[str, set[int]], dict[str, set[int]], list[str]]:
    """Of a scope: the lines of the vague names that it binds, those of names that it takes from outside, and what lives
    longer than a line in the scopes inside it."""
    bound: set[str] = set()
    lines: dict[str, set[int]] = defaultdict(set)
    wrong: list[str] = []
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        if isinstance(node, SCOPES):
            mine, outer, inside = vague_lines(node)
            wrong += inside + [f"line {min(at)}: {name}" for name, at in mine.items() if len(at) > 1]
            for name, at in outer.items():
                lines[name] |= at
            continue
        if isinstance(node, ast.arg) and node.arg in VAGUE:
            bound.add(node.arg)
            lines[node.arg].add(node.lineno)
        if isinstance(node, ast.Name) and node.id in VAGUE:
            bound |= {node.id} if isinstance(node.ctx, ast.Store) else set()
            lines[node.id].add(node.lineno)
        waiting += ast.iter_child_nodes(node)
    return (
        {name: at for name, at in lines.items() if name in bound},
        {name: at for name, at in lines.items() if name not in bound},
        wrong,
    )


def long_lived(module: ast.Module) -> list[str]:
    """Variables, loop variables and parameters of a vague name that are used behind the line that they are bound on."""
    mine, _, inside = vague_lines(module)
    return sorted(inside + [f"line {min(at)}: {name}" for name, at in mine.items() if len(at) > 1])


def test_what_lives_longer_than_a_line_says_what_it_is() -> None:
    assert not {
        path.relative_to(PACKAGE).as_posix(): wrong
        for path in PACKAGE.rglob("*.py")
        if (wrong := long_lived(tree(path)))
    }


def test_such_names_are_seen() -> None:
    code = """
def f(one, rows):
    few = [one for one in rows]
    return [row
        for row in one]
def g(rows):
    for one in rows: print(one)
    found = max(one for one in rows)
    def h():
        return found
    return h
"""
    assert long_lived(ast.parse(code)) == ["line 2: one", "line 8: found"]
