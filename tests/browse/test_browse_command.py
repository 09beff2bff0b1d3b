"""The command: a server on this machine alone, and one line where it cannot be."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from autointerp import cli_browse
from autointerp.cli import main


def test_it_serves_until_it_is_interrupted(built: tuple[Path, object]) -> None:
    command = [sys.executable, "-m", "autointerp", "browse", str(built[0]), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        with ask(address, timeout=20) as answer:
            assert b"Dictionaries" in answer.read()
        with ask(f"{address}index.json", timeout=20) as answer:
            assert answer.headers["content-type"] == "application/json"
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=20)
    finally:
        server.kill()
    assert server.returncode == 130
    assert "Traceback" not in errors


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["browse", *map(str, arguments)])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    return said.err


def test_a_port_that_is_taken(built: tuple[Path, object], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port {port}" in refused(capsys, built[0], "--port", port)


def test_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no store" in refused(capsys, tmp_path / "no.duckdb")


def test_without_its_libraries(
    built: tuple[Path, object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_browse, "find_spec", lambda name: None if name != "jinja2" else object())
    line = refused(capsys, built[0])
    assert "starlette, uvicorn" in line
    assert 'pip install "starlette>=0.40,<2" "uvicorn>=0.30,<1"' in line


def test_the_command_line_loads_none_of_it() -> None:
    check = "import autointerp.cli, sys; assert not {'starlette', 'uvicorn', 'jinja2', 'anyio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
