"""A format and a baseline kind of the user's own, those of `docs/FORMATS.md`, through whole runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from safetensors.numpy import load_file

from autointerp.config.loading import load_run
from autointerp.errors import ConfigError, UserError
from autointerp.pipeline import run
from autointerp.pipeline.plan.prepare import prepare
from autointerp.progress import Reporter
from autointerp.subject.baselines import docs as baselines_docs
from autointerp.subject.formats import docs as formats_docs

HOOK = "blocks.1.hook_resid_post"
FORMAT, KIND = "my_formats:PlainArrays", "my_baselines:TypicalActivations"
BROKEN = """
from autointerp.subject.dictionary import SparseAutoencoder
import torch

class Nothing:
    def read(self, source, hook, kind):
        return None

class Failing:
    def read(self, source, hook, kind):
        raise ZeroDivisionError("by zero\\nin two lines")

class Odd:
    def read(self, source, hook, kind):
        eye, zero = torch.eye(32), torch.zeros(32)
        sae = SparseAutoencoder(hook, "standard", eye, zero, eye, zero)
        object.__setattr__(sae, "b_dec", zero[:31])
        return sae

class Endless:
    def read(self, source, hook, kind):
        eye, zero = torch.eye(32), torch.zeros(32)
        return SparseAutoencoder(hook, "standard", eye, zero / 0, eye, zero)

class Unknown:
    def read(self, source, hook, kind):
        eye, zero = torch.eye(32), torch.zeros(32)
        return SparseAutoencoder(hook, "swish", eye, zero, eye, zero)

class Thresholdless:
    def read(self, source, hook, kind):
        eye, zero = torch.eye(32), torch.zeros(32)
        return SparseAutoencoder(hook, "jumprelu", eye, zero, eye, zero)
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    texts = {"my_formats": formats_docs.EXAMPLE, "my_baselines": baselines_docs.EXAMPLE, "my_broken": BROKEN}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in texts:
        sys.modules.pop(name, None)


@pytest.fixture
def arrays(sae_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The tiny SAE as plain arrays, and its entry in a run file."""
    weights = load_file(sae_folder / "sae_weights.safetensors")
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.savez(folder / "weights.npz", **{name: weights[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")})
    return {"name": "mine", "path": str(folder), "format": {"python": FORMAT}, "hook": HOOK}


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_run_with_both(write_run: Callable[..., Path], arrays: dict[str, Any], sae_folder: Path) -> None:
    file = write_run(
        dictionary=[
            {"name": "sae", "path": str(sae_folder)},
            arrays,
            {"name": "typical", "kind": {"python": KIND}, "match": "mine", "natural": True},
            {"name": "few", "kind": {"python": KIND, "name": "typical/ones"}, "hook": HOOK, "n_features": 5},
        ]
    )
    store = run(load_run(file), until="extract", reporter=Reporter(quiet=True))
    found = rows(store, "SELECT dictionary, kind, format, matched_to, natural_of, n_features FROM dictionaries")
    assert {row[0]: row[1:] for row in found} == {
        "sae": ("sae", "saelens", None, None, 48),
        "mine": ("sae", FORMAT, None, None, 48),
        "typical": (KIND, None, "mine", None, 48),
        "typical@natural": (KIND, None, "mine", "typical", 48),
        "few": ("typical/ones", None, None, None, 5),
    }
    counts = "SELECT feature, n_firing, max_activation FROM features WHERE dictionary = '{}' ORDER BY feature"
    same = [rows(store, counts.format(name)) for name in ("sae", "mine")]
    assert same[0] == same[1], "the same weights, read by the user's code"
    matched = rows(
        store,
        """SELECT count(*), max(abs(b.n_firing / a.n_firing - 1)) FROM features b JOIN features a
        ON a.dictionary = 'mine' AND a.feature = b.matched_feature
        WHERE b.dictionary = 'typical' AND b.match_status = 'matched'""",
    )
    assert matched[0][0] > 8
    assert matched[0][1] < 0.05, "its units fire as often as the features"


def test_the_class_is_part_of_what_decides_the_rows(write_run: Callable[..., Path], arrays: dict[str, Any]) -> None:
    def key(python: str) -> str:
        kind = {"name": "base", "kind": {"python": python}, "hook": HOOK, "n_features": 5}
        return prepare(load_run(write_run(dictionary=[arrays, kind]))).work("extract", "base").key

    module = Path(arrays["path"]).parent / "my_baselines.py"
    module.write_text(module.read_text() + "\n\nclass Other(TypicalActivations):\n    pass\n")
    assert key(KIND) == key(KIND)
    assert key(KIND) != key("my_baselines:Other")


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("my_nowhere:A", "format \"my_nowhere:A\" cannot be made: No module named 'my_nowhere'"),
        ("my_formats:Absent", "has no attribute 'Absent'"),
        (KIND, f'format "{KIND}" has no method read(source, hook, kind)'),
        ("my_broken:Nothing", 'format "my_broken:Nothing" returned NoneType; return a SparseAutoencoder'),
        ("my_broken:Failing", 'format "my_broken:Failing" failed: ZeroDivisionError: by zero in two lines'),
        ("my_broken:Odd", "returned b_dec of shape (31,); with this W_enc it must be (32,)"),
        ("my_broken:Endless", "returned b_enc that is not finite float32"),
        ("my_broken:Unknown", 'returned architecture = "swish"; give one of standard, jumprelu'),
        ("my_broken:Thresholdless", "returned no threshold, which jumprelu needs"),
    ],
)
def test_a_format_that_cannot_be_used(
    python: str, message: str, write_run: Callable[..., Path], arrays: dict[str, Any]
) -> None:
    config = load_run(write_run(dictionary=[arrays | {"format": {"python": python}}]))
    with pytest.raises(UserError) as caught:
        run(config, reporter=Reporter(quiet=True))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not config.store_path.exists()


def test_a_kind_that_cannot_be_used(write_run: Callable[..., Path], arrays: dict[str, Any]) -> None:
    kind = {"name": "base", "kind": {"python": FORMAT}, "hook": HOOK, "n_features": 5}
    config = load_run(write_run(dictionary=[arrays, kind]))
    with pytest.raises(UserError, match=r"has no method directions\(x, n, seed, name\)"):
        run(config, reporter=Reporter(quiet=True))
    assert not config.store_path.exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": {"python": "a.b"}}, "dictionary[0].format.python: String should match pattern"),
        ({"format": {"pyhton": "a:B"}}, 'unknown key "dictionary[0].format.pyhton"; the nearest is "python"'),
        ({"format": "saelans"}, "(it is 'saelans'); the nearest is \"saelens\""),
        ({"format": {"python": "a:B", "name": "saelens"}}, 'code of your own cannot be named "saelens"'),
        ({"path": None, "kind": {"python": "a:B", "name": "sae"}}, 'code of your own cannot be named "sae"'),
        ({"kind": {"python": "a:B"}}, 'has both a path and kind = "a:B"'),
        ({"path": None, "kind": "pca", "format": {"python": "a:B"}}, "a format is for a dictionary with a path"),
        ({"path": None, "kind": {"python": "a:B"}, "format": None}, "needs n_features, or match"),
        ({"path": None, "kind": {"python": "a:B"}, "format": None, "hook": None}, '(kind = "a:B") needs a hook'),
    ],
)
def test_a_run_file_that_names_it_wrongly(
    changed: dict[str, Any], message: str, write_run: Callable[..., Path], arrays: dict[str, Any]
) -> None:
    entry = {key: value for key, value in (arrays | changed).items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        load_run(write_run(dictionary=[entry]))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_runs_record_of_it(write_run: Callable[..., Path], arrays: dict[str, Any]) -> None:
    store = run(load_run(write_run(dictionary=[arrays])), until="extract", reporter=Reporter(quiet=True))
    [(config,)] = rows(store, "SELECT config FROM dictionaries")
    assert json.loads(config)["read_by"] == FORMAT
