"""Names in the package: one class a name, and what begins with an underscore stays in its file."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import autointerp

PACKAGE = Path(autointerp.__file__).parent
TESTS = Path(__file__).parent

SECTION = "a section of the run file is called as in the run file, and the thing that it describes has the same name"
PAGE = "a page shows it in a shape of its own, under the same name"
EXCEPTIONS: dict[str, str] = {
    "Choice": "a setting in the files of a dictionary format, and what of the scores a page shows",
    "Diagnostics": PAGE,
    "Dictionary": f"{SECTION}; one that was trained here is called so too",
    "Document": "a text that runs read, and a text that the bundled corpus is made of",
    "Evidence": SECTION,
    "Exemplar": PAGE,
    "Fitted": "a planted feature that was fitted, and what is made for the width of a page",
    "Interval": "an estimate with its interval, and the row of a plot that shows one",
    "Kind": "a kind of baseline dictionary, and what a table of scores is about",
    "Measured": "what a dictionary does to activations, and a metric of one prediction",
    "Sample": "the sample that baselines are fitted on, and the windows that scores are measured on",
    "Source": "where documents come from, and the files of a dictionary",
    "Subject": SECTION,
    "_Stop": "ends a forward pass early, once in each of the two readers of a model",
}
"""Classes of one name that stand in more than one file, each with the reason; only ever shorter."""

TAKEN: dict[str, str] = {
    "autointerp.score.sampled._all_strata": "a test holds it against the published windows",
    "autointerp.pipeline.rows.evidence_rows._gram_tables": "arithmetic of `extract` that still stands among the rows",
}
"""Private names that another file imports all the same, each with the reason; only ever shorter."""


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
    twice = {name: sorted(files) for name, files in classes().items() if len(files) > 1 and name not in EXCEPTIONS}
    assert not twice


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_each_exception_is_still_one(name: str) -> None:
    assert len(classes()[name]) > 1, "take it off the list"


def test_nobody_imports_a_private_name() -> None:
    taken = {name for folder in (PACKAGE, TESTS) for path in folder.rglob("*.py") for name in private_imports(path)}
    assert taken == set(TAKEN)
