"""The command in surroundings that users have: other encodings, no columns, closed streams, full disks, signals."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

import autointerp
from autointerp import starting, words
from autointerp.cli import cli, error_line, word_as_text
from autointerp.show.rows import write_rows
from autointerp.streams import LOOK_ALIKES, NARROWEST, asked_columns
from autointerp.system_errors import is_wrong_use

COMMAND = (sys.executable, "-m", "autointerp")


@pytest.fixture
def path(built: tuple[Path, object]) -> Path:
    return built[0]


def command(*arguments: object, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | (env or {}),
        stdout=more.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
        **more,
    )


def lines_of(ran: subprocess.CompletedProcess[bytes]) -> list[str]:
    said = ran.stderr.decode()
    assert "Traceback" not in said
    assert "unexpected" not in said
    return said.splitlines()


# --- encodings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "what"),
    [
        ("latin-1", ["show", "{}", "sae/1", "--top", "2"]),
        ("cp1252", ["compare", "{}"]),
        ("ascii:strict", ["verify", "{}"]),
        ("ascii", ["show", "--help"]),
        ("latin-1", ["run", "s€a.toml"]),
    ],
    ids=["latin-1", "cp1252", "ascii", "help", "an error line"],
)
def test_what_an_encoding_lacks_is_replaced(encoding: str, what: list[str], path: Path) -> None:
    arguments = [word.format(path) for word in what]
    ran = command(*arguments, env={"PYTHONIOENCODING": encoding})
    if what[0] == "run":
        assert ran.returncode == 2
        assert ran.stderr.decode(encoding).startswith('error: there is no file "s?a.toml"')
        return
    assert (ran.returncode, lines_of(ran)) == (0, [])
    shown = ran.stdout.decode(encoding.partition(":")[0]).splitlines()
    if what[-1] == "--help":
        assert "  In the exemplars, | is a line break and _7 seven blanks. Active tokens are" in shown
        return
    expected = CliRunner().invoke(cli, arguments).output.splitlines()
    assert [len(line) for line in shown] == [len(line) for line in expected], "tables stay tables"
    assert any(line.translate(LOOK_ALIKES) != line for line in expected)


@pytest.mark.parametrize("format_", ["table", "csv", "json"])
def test_data_keep_what_an_encoding_lacks(format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1", errors="replace"))
    rows = pa.table({"x": ["日本 ◆ é 😀"]})
    write_rows(rows, format_, None)
    sys.stdout.flush()
    shown = written.getvalue().decode("latin-1")
    if format_ == "table":
        assert shown.splitlines()[1].strip() == "?? ? é ?"
    elif format_ == "csv":
        assert list(csv.reader(io.StringIO(shown)))[1] == ["\\u65e5\\u672c \\u25c6 é \\U0001f600"]
    else:
        assert json.loads(shown) == [{"x": "日本 ◆ é 😀"}]
    write_rows(rows, format_, tmp_path / "file")
    assert "日本 ◆ é 😀" in (tmp_path / "file").read_text(encoding="utf-8"), "a file is UTF-8"


def test_every_look_alike_is_one_ascii_character() -> None:
    assert all(chr(character).isascii() for character in LOOK_ALIKES.values())


# --- widths -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(built: tuple[Path, object]) -> dict[str, str]:
    """Pages where no width is given."""
    with pytest.MonkeyPatch.context() as surroundings:
        surroundings.delenv("COLUMNS", raising=False)
        return {what: CliRunner().invoke(cli, [what, str(built[0])]).output for what in ("verify", "status")}


@pytest.mark.parametrize(
    ("columns", "width"),
    [("0", None), ("00", None), ("", None), ("abc", None), ("-5", None), ("1e3", None), ("9" * 30, None),
     ("1", NARROWEST), ("20", 20), ("57", 57), ("080", 80)],
)  # fmt: skip
def test_a_width_that_is_none_is_not_known(
    columns: str, width: int | None, path: Path, plain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert asked_columns() == width
    for what, expected in plain.items():
        page = CliRunner().invoke(cli, [what, str(path)]).output
        if width is None:
            assert page == expected
        else:
            assert max(map(len, page.splitlines())) <= width
            assert "".join(page.split())[:20] == "".join(expected.split())[:20]


@pytest.mark.parametrize("what", ["show {} sae/1", "compare {} --all --wide", "status {}", "verify {}", "sql {} query"])
def test_nothing_is_lost_in_the_narrowest_page(what: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [word.format(path) for word in what.split()]
    arguments = [
        "select 'abcdefghi' as a, 'jklmnopqrstuvwxyz of a row' as b" if word == "query" else word for word in arguments
    ]
    pages = []
    for columns in ("1", "400"):
        monkeypatch.setenv("COLUMNS", columns)
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.exception
        pages.append(result.output)
    narrow, wide = ({character for character in page if character.isalnum()} for page in pages)
    assert max(map(len, pages[0].splitlines())) <= NARROWEST
    assert len(narrow) > 10
    assert len(wide - narrow) <= 3  # parts of a plot


def test_a_terminal_of_no_columns(path: Path) -> None:
    """`pty` makes terminals whose size nobody has set: 0 by 0."""
    master, slave = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    ran = subprocess.Popen([*COMMAND, "verify", str(path)], stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 1 << 16):
            shown += part
    except OSError:  # its end, on Linux
        pass
    os.close(master)
    assert ran.wait(60) == 0
    assert b"splits" in shown


# --- streams that are closed, full, or read no further ----------------------------------------------


@pytest.mark.parametrize("closed", [">&-", "2>&- <&-"])
def test_closed_streams(closed: str, path: Path) -> None:
    before = path.read_bytes()
    shell = " ".join([*COMMAND, "verify", str(path), closed])
    closed_ran = subprocess.run(["bash", "-c", shell], capture_output=True, check=False, timeout=60)
    assert closed_ran.returncode == 0
    assert (b"splits" in closed_ran.stdout) == (closed != ">&-")
    noted = ["standard output is closed: what this command prints goes nowhere"]
    assert lines_of(closed_ran) == (noted if closed == ">&-" else [])
    assert path.read_bytes() == before, "no file that was opened has got the number of a closed stream"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("format_", ["table", "parquet"])
def test_a_full_disk_behind_standard_output(format_: str, path: Path) -> None:
    with open("/dev/full", "wb") as full:
        ran = command("sql", path, "from vocab", "--format", format_, stdout=full)
    assert ran.returncode == 1
    assert lines_of(ran) == ["error: standard output cannot be written: No space left on device"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_messages_that_cannot_be_written_change_nothing() -> None:
    shell = " ".join([*COMMAND, "run", "nothing.toml", "2>/dev/full"])
    assert subprocess.run(["bash", "-c", shell], capture_output=True, check=False, timeout=60).returncode == 2


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_reader_that_has_seen_enough(format_: str, path: Path) -> None:
    query = ["sql", str(path), "select repeat('x', 300) || range as x from range(3000)", "--format", format_]
    ran = subprocess.Popen([*COMMAND, *query], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ran.stdout is not None
    assert ran.stderr is not None
    assert len(ran.stdout.read(10)) == 10
    ran.stdout.close()
    assert ran.stderr.read() == b""
    assert ran.wait(60) == 0


# --- interruptions ----------------------------------------------------------------------------------

BEGIN = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
def later(seconds, *numbers):
    def send():
        for number in numbers:
            time.sleep(seconds)
            os.kill(os.getpid(), number)
    threading.Thread(target=send, daemon=True).start()
import autointerp.cli
from autointerp.__main__ import main
def command(work):
    autointerp.cli.cli.command("work")(work)
    sys.argv = ["autointerp", "work"]
    main()
"""
INTERRUPTED = "interrupted; the same command goes on from here"


def interrupted(script: str) -> tuple[int, list[str], float]:
    """Exit status and lines of a process, and how long it took."""
    begun = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, text=True, check=False, timeout=90
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, [line for line in ran.stderr.splitlines() if line], time.monotonic() - begun


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_query_that_sorts_is_ended(number: str, path: Path) -> None:
    query = "select max(n) from (select row_number() over (order by hash(i)) n from range(400000000) r(i))"
    script = f"sys.argv = ['autointerp', 'sql', {str(path)!r}, {query!r}]; later(1.5, signal.{number}); main()"
    status, said, seconds = interrupted(script)
    assert (status, said) == (130, [INTERRUPTED])
    assert seconds < 30, "the query takes minutes"


@pytest.mark.parametrize(
    "work",
    [
        "time.sleep(60)",
        # Some seconds: it is ended when the query is over, for only what a person asks for runs in a thread of its own.
        "import duckdb; duckdb.sql('select count(*) from range(100000) a, range(300000) b').fetchall()",
        "lock = threading.Lock(); lock.acquire(); lock.acquire()",
        # Code that makes something else of it.
        """
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            raise ImportError('cannot import name x')
        """,
        # An object whose end it hits: Python notes the exception, and goes on.
        """
        class Slow:
            def __del__(self):
                time.sleep(1.2)
        Slow()
        time.sleep(60)
        """,
        # A daemon thread that is inside of C++ code.
        """
        import duckdb
        work = lambda: duckdb.sql('select count(*) from range(1000000) a, range(1000000) b').fetchall()
        threading.Thread(target=work, daemon=True).start()
        time.sleep(60)
        """,
    ],
    ids=["asleep", "in DuckDB", "at a lock", "as another exception", "in __del__", "beside a thread"],
)
def test_whatever_an_interruption_becomes(work: str) -> None:
    body = "def work():\n    " + work.strip() if "\n" not in work else "def work():" + work.replace("\n    ", "\n")
    status, said, seconds = interrupted(f"{body}\nlater(0.6, signal.SIGINT)\ncommand(work)")
    assert (status, said) == (130, [INTERRUPTED])
    assert seconds < 30


def test_a_second_interruption_does_not_wait() -> None:
    work = "def work():\n    try:\n        time.sleep(60)\n    finally:\n        time.sleep(60)\n"
    status, said, seconds = interrupted(f"{work}later(0.6, signal.SIGINT, signal.SIGINT)\ncommand(work)")
    assert (status, said) == (130, [INTERRUPTED])
    assert seconds < 30


def test_a_signal_that_is_to_be_ignored_is_ignored() -> None:
    work = "signal.signal(signal.SIGINT, signal.SIG_IGN)\ndef work():\n    time.sleep(0.8)\n"
    assert interrupted(f"{work}later(0.2, signal.SIGINT)\ncommand(work)")[:2] == (0, [])


def test_a_library_takes_no_signals_over() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# --- while it starts --------------------------------------------------------------------------------


def test_the_line_and_the_status_are_those_of_the_words() -> None:
    assert starting.SAID.decode() == words.INTERRUPTED + "\n"
    assert starting.STATUS == words.INTERRUPTED_STATUS
    assert (starting.SIGINT, starting.SIGTERM, starting.SIG_IGN) == (signal.SIGINT, signal.SIGTERM, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("argv", "original", "is_it"),
    [
        (["/venv/bin/autointerp", "run"], ["python", "/venv/bin/autointerp", "run"], True),
        (["-m", "run"], ["python", "-X", "dev", "-m", "autointerp", "run"], True),
        (["-m"], ["python", "-m", "autointerp.train.all"], False),
        (["-m"], ["python", "-m", "pytest", "-m", "slow"], False),
        (["mine.py"], ["python", "mine.py", "-m", "autointerp"], False),
        ([""], ["python"], False),
        ([], ["python"], False),
    ],
)
def test_only_the_command_takes_signals(
    argv: list[str], original: list[str], is_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert starting.is_command() is is_it


HIT = """
import os, signal, sys, time
try:
    os.kill(os.getpid(), signal.{number})
    time.sleep(30)
except BaseException as error:  # as an import that makes something else of it
    raise ImportError("hit") from error
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("enum", ["--help"]),
        ("click", ["--help"]),
        ("duckdb", ["sql", "x.duckdb", "select 1"]),
        ("pydantic", ["run", "x.toml"]),
    ],
)
def test_a_signal_while_a_module_is_loaded(module: str, arguments: list[str], number: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(HIT.format(number=number))
    root = Path(autointerp.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-m", "autointerp", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        cwd=tmp_path,
    )
    assert (ran.returncode, ran.stderr) == (130, INTERRUPTED + "\n")


AT_AN_IMPORT = """
import os, signal, sys
class AtAnImport:
    n = 0
    def find_spec(self, name, path=None, target=None):
        if "take_signals" in dir(sys.modules.get("autointerp.starting")):
            AtAnImport.n += 1
            if AtAnImport.n == {number}:
                os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, AtAnImport())
"""
SCRIPT = "import sys\nfrom autointerp.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
"""As pip writes `autointerp`."""


@pytest.mark.parametrize("number", [1, 2, 5, 30, 60])
@pytest.mark.parametrize("form", ["-m", "script"])
def test_a_signal_at_any_import(form: str, number: int, tmp_path: Path) -> None:
    """From the first module that is loaded behind our own first line."""
    (tmp_path / "sitecustomize.py").write_text(AT_AN_IMPORT.format(number=number))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "autointerp").write_text(SCRIPT)
    root = Path(autointerp.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, *(["-m", "autointerp"] if form == "-m" else ["bin/autointerp"]), "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        cwd=tmp_path,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", INTERRUPTED + "\n")


# --- words of the command line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "read"),
    [
        (b"plain", "plain"),
        ("select 'naïve'".encode(), "select 'naïve'"),
        ("日本".encode(), "日本"),
        (b"select 'caf\xe9'", "select 'caf\\xe9'"),
        (b"caf\xe9.html", None),
        (b"caf\xe9.", "caf\\xe9."),
        (b"no-folder/caf\xe9", "no-folder/caf\\xe9"),
    ],
)
def test_words_in_another_encoding(word: bytes, read: str | None) -> None:
    """As `LC_ALL=C` gives them: text is read as UTF-8, and a name of a file stays what it is (None)."""
    given = word.decode("ascii", "surrogateescape")
    assert word_as_text(given) == (given if read is None else read)


def test_a_name_that_cannot_be_read(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.duckdb")
    Path(odd).write_bytes(b"")
    ran = command("status", odd)
    assert ran.returncode == 2
    assert lines_of(ran)[0].endswith("cannot be read here; set LC_ALL=C.UTF-8, or rename it")


def test_an_error_of_a_disk_is_no_bug_of_ours() -> None:
    import duckdb

    error = duckdb.IOException("IO Error: Could not read enough bytes from file")
    assert error_line(error) == (
        "the store could not be read or written: IO Error: Could not read enough bytes from file"
    )


@pytest.mark.parametrize(
    ("error", "line", "wrong_use"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/data/r.duckdb.work"),
         'error: "/data/r.duckdb.work" cannot be used: Read-only file system; put it where it can be written (the '
         "store: --store)", True),
        (PermissionError(errno.EACCES, "Permission denied", b"/data/\xe9"),
         'error: "/data/\\xe9" cannot be used: Permission denied; allow it to be read and written, or name another '
         "place", True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"),
         "error: Disk quota exceeded; make room in your quota; the same command goes on", False),
        (OSError(errno.ENOSPC, "No space left on device", "a", None, "b"),
         'error: "a" and "b" cannot be used: No space left on device; make room; the same command goes on', False),
        (OSError(errno.ENOLCK, "No locks available", "r.duckdb"),
         'error: "r.duckdb" cannot be used: No locks available; the file system has no locks left; put the store on a '
         "local disk: --store", False),
        (OSError(errno.ECHILD, "No child processes"), "error: No child processes", False),
        (OSError("words\nof their own"), "error: words of their own", False),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_a_line(error: OSError, line: str, wrong_use: bool) -> None:
    assert f"error: {error_line(error)}" == line
    assert is_wrong_use(error) is wrong_use
