"""Every `pip install` and `make` that pages and errors print works today, and installs nothing of a stranger's.

Nothing of ours is on a package index, and `autointerp` there is somebody else's: pip may be asked for this folder, for
the wheel built from it, or for other people's packages that pyproject.toml or this file names.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from building import ROOT, build_wheel

import autointerp

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WHEEL = f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}-py3-none-any.whl"
EXTRAS = PROJECT["optional-dependencies"]
OTHERS = {"accelerate", "gguf", "pandas", "sae-lens"}
"""Packages of other people that an error names and no extra holds: they are wanted as they come."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted((ROOT / "autointerp").rglob("*.py"))


def code_of(page: str) -> Iterator[str]:
    """The lines of code of a page: in fences, indented, or between backticks."""
    fenced = False
    for line in page.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def strings_of(module: Path) -> Iterator[str]:
    """The lines of all texts of a module, docstrings and errors alike."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from node.value.splitlines()


@cache
def install_lines() -> list[tuple[str, str]]:
    """Where a `pip install` is printed, and what is behind it."""
    printed = [(page, line) for page in PAGES for line in code_of(page.read_text(encoding="utf-8"))]
    printed += [(module, line) for module in MODULES for line in strings_of(module)]
    return [
        (str(path.relative_to(ROOT)), rest)
        for path, line in printed
        for rest in re.findall(r"pip install ([^`]+)", line)
    ]


@cache
def make_lines() -> list[tuple[str, str]]:
    """Where a `make` is printed, and its target."""
    printed = [(page, line) for page in PAGES for line in code_of(page.read_text(encoding="utf-8"))]
    quoted = [(path, code) for path in MODULES for line in strings_of(path) for code in re.findall(r"`([^`]+)`", line)]
    return [
        (str(path.relative_to(ROOT)), target)
        for path, line in [*printed, *quoted]
        for target in re.findall(r"(?:^|[;&] *)make ([a-z][a-z-]*)", line)
    ]


def wrong_with(rest: str) -> str | None:
    """What is wrong with the words behind `pip install`, or None."""
    words = [word for word in shlex.split(rest, comments=True) if word not in ("-e", "--no-deps")]
    if not words:
        return "it names nothing"
    return next((wrong for word in words if (wrong := _wrong_with_target(word))), None)


def _wrong_with_target(word: str) -> str | None:
    target, bracket, inside = word.partition("[")
    extras = inside.removesuffix("]").split(",") if bracket else []
    unknown = [extra for extra in extras if extra not in EXTRAS]
    if target == "." or target.startswith("dist/"):
        if target != "." and not fnmatchcase(f"dist/{WHEEL}", target):
            return f"{target} is not the wheel, dist/{WHEEL}"
        if bracket and "*" in target:
            return "a shell does not expand a pattern with an extra behind it"
        return f"there is no extra {', '.join(unknown)}" if unknown else None
    if word in OTHERS or word in {requirement for extra in EXTRAS.values() for requirement in extra}:
        return None
    return f"{word} is neither this folder, nor its wheel, nor what an extra asks for"


@pytest.mark.parametrize(("path", "rest"), install_lines())
def test_what_pip_is_asked_for(path: str, rest: str) -> None:
    wrong = wrong_with(rest)
    assert wrong is None, f"{path}: pip install {rest}: {wrong}"


@pytest.mark.parametrize(("path", "target"), make_lines())
def test_what_make_is_asked_for(path: str, target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{path}: the Makefile has no target {target}"


def test_the_lines_are_there() -> None:
    said = {rest for _, rest in install_lines()}
    assert {".", "-e .", "-e '.[ray]'", "dist/*.whl"} <= {rest.split("#")[0].strip() for rest in said}
    assert any(path.endswith("hub_datasets.py") for path, _ in install_lines()), "errors are read too"
    assert {"demo", "test", "wheel"} <= {target for path, target in make_lines() if path == "README.md"}


@pytest.mark.parametrize(
    "rest",
    [
        "autointerp",
        '"autointerp[ray]"',
        PROJECT["name"],
        "'.[rays]'",
        '"dist/autointerp-0.1.0-py3-none-any.whl"',
        '"dist/*.whl[ray]"',
        "ray",
        "--no-deps",
    ],
)
def test_lines_that_do_not_work_are_found(rest: str) -> None:
    assert wrong_with(rest)


def test_the_name_is_ours() -> None:
    assert PROJECT["name"] != "autointerp"
    assert PROJECT["scripts"] == {"autointerp": "autointerp.__main__:main"}
    assert PROJECT["version"] == autointerp.__version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.parametrize("asked", ["{root}", "{wheel}", "{wheel}[ray]"])
def test_pip_installs_it(asked: str, wheel: Path, tmp_path: Path) -> None:
    assert wheel.name == WHEEL
    target = tmp_path / "site"
    quiet = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    alone = ["--no-build-isolation", "--no-deps", "--no-index"]
    install = [sys.executable, "-m", "pip", "install", *quiet, *alone, "--target", str(target)]
    subprocess.run([*install, asked.format(root=ROOT, wheel=wheel)], check=True, cwd=tmp_path)
    assert (target / "bin" / "autointerp").exists()
    assert (target / f"{WHEEL.removesuffix('-py3-none-any.whl')}.dist-info").is_dir()
    say = [sys.executable, "-m", "autointerp", "--version"]
    environment = {**os.environ, "PYTHONPATH": str(target)}
    said = subprocess.run(say, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.startswith(f"autointerp, version {PROJECT['version']}")
