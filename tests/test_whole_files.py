"""Files that commands write: whole or not there, links followed, devices never replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_disk import files_of_at_most

from autointerp.errors import UserError
from autointerp.whole_files import whole_file


def write(path: Path, data: bytes = b"new") -> None:
    with whole_file(path) as stream:
        stream.write(data)


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for name in ("there", "new"):
        (tmp_path / f"{name}.html").symlink_to(f"disk/{name}.html")
    (tmp_path / "disk/there.html").write_bytes(b"old")
    for name in ("there", "new"):
        write(tmp_path / f"{name}.html")
        assert (tmp_path / f"{name}.html").is_symlink()
        assert (tmp_path / f"disk/{name}.html").read_bytes() == b"new"
    assert len(list(tmp_path.rglob("*"))) == 5


def test_what_is_no_file_is_written_into_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "to-pipe").symlink_to("pipe")
    for path in (pipe, tmp_path / "to-pipe"):
        write(path)
        assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert pipe.is_fifo()
    (tmp_path / "null").symlink_to(os.devnull)
    write(tmp_path / "null")
    assert (tmp_path / "null").is_char_device()


def test_no_room_for_a_file_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"old")
    with files_of_at_most(16), pytest.raises(UserError, match=r'x\.toml" cannot be written: File too large'):
        write(tmp_path / "x.toml", b"n" * 100)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
