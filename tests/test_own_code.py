"""Code of the user's own: what a run file may name, and what is said where it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from autointerp.config.own_code import OwnCode
from autointerp.errors import UserError
from autointerp.own_code import load_own

MODULE = """
class Greeter:
    def greet(self, name):
        return f"good day, {name}"

class Needy:
    def __init__(self, what):
        pass

class Failing:
    def __init__(self):
        raise RuntimeError("first line\\nsecond line")
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_greeter.py").write_text(MODULE)
    (tmp_path / "own_broken.py").write_text("import a_module_that_is_nowhere")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_class_is_made() -> None:
    made = load_own("own_greeter:Greeter", "greeter", ("greet(name)",))
    assert type(made).__name__ == "Greeter"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("own_nothing:Greeter", "cannot be made: No module named 'own_nothing'"),
        ("own_broken:Greeter", "cannot be made: No module named 'a_module_that_is_nowhere'"),
        ("own_greeter:Absent", "has no attribute 'Absent'"),
        ("own_greeter:Needy", "missing 1 required positional argument"),
        ("own_greeter:Failing", "cannot be made: first line second line"),
        ("own_greeter:Greeter", 'greeter "own_greeter:Greeter" has no method leave(when)'),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(spec: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_own(spec, "greeter", ("leave(when)",))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_rows_call_it() -> None:
    assert OwnCode(python="a.b:C").known_as == "a.b:C"
    assert OwnCode(python="a.b:C", name="mine").known_as == "mine"


@pytest.mark.parametrize("python", ["a.b", "a b:C", ":C", "a:", "a:b.c", "1a:B"])
def test_what_names_no_class_is_refused(python: str) -> None:
    with pytest.raises(ValidationError):
        OwnCode(python=python)
