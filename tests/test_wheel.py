"""The built wheel holds everything and works from another folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from building import build_wheel

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_it_holds_everything(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (
        ("prompts", "*.md"),
        ("runs", "*.toml"),
        ("analysis", "*.sql"),
        ("autointerp", "**/*.py"),
        ("autointerp", "**/*.sql"),
        ("autointerp", "**/*.[ch]"),
        ("autointerp", "py.typed"),
        ("autointerp/browse", "templates/*.html"),
        ("autointerp/browse", "browse.css"),
        ("autointerp/score", "**/*.json"),
        ("autointerp/bundled", "**/*.*"),
    ):
        files = [path for path in (ROOT / folder).glob(pattern) if "__pycache__" not in path.parts]
        assert files
        for path in files:
            name = path.relative_to(ROOT).as_posix()
            assert name in held or f"autointerp/{name}" in held, name
    assert wheel.stat().st_size < 15_000_000


def test_it_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    check = (
        "import autointerp, pathlib; from autointerp.config.loading import load_run; "
        "from autointerp.resources import analysis_path, prompt_text, run_path; "
        f"assert pathlib.Path(autointerp.__file__).is_relative_to({str(site)!r}), autointerp.__file__; "
        "assert load_run(run_path('demo')).name == 'demo'; assert '## fires' in prompt_text('lexical.md'); "
        "assert 'select' in analysis_path('best_explained').read_text().lower(); "
        "from autointerp.store.schema import schema_sql; assert 'CREATE TABLE' in schema_sql(); "
        "from autointerp.subject.sources import open_source; next(open_source('bundled:corpus').documents()); "
        "from autointerp.subject.formats import load_dictionary; load_dictionary('bundled:planted'); "
        "from autointerp.cli import main; main(['run', 'demo', '--dry-run'])"
    )
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert "mlp-1k 1,024" in done.stdout
    assert not list(tmp_path.glob("*.duckdb*")), "a dry run writes nothing"
