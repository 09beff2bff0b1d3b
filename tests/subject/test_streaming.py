"""A source is read as a stream: no further than n_tokens, and in memory that does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from autointerp.subject.tokens import TokenFile

Tokenised = Callable[..., TokenFile]


def test_reading_stops_at_n_tokens(tokenised: Tokenised, tmp_path: Path) -> None:
    """What lies behind is not looked at: it may be broken."""
    lines = [json.dumps({"text": f"document {i} " * 9}) for i in range(200)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\nnot JSON\n")
    tokens = tokenised(f"jsonl:{tmp_path}/a.jsonl", n_tokens=3000)
    assert 3000 <= tokens.tokens.size <= 3000 + 24 * 24


# In a process of its own: reads sources to their end, a few tokens a document, and says how far its memory has grown.
MEASURE = """
    import json, resource, sys
    from pathlib import Path
    from autointerp.subject.tokenise import TokenPlan, open_tokens
    folder, *sources = sys.argv[1:]

    def encode(texts):
        return [[2 + len(text) % 50, *text[:8].encode()] for text in texts]

    def tokens_of(source, name):
        plan = TokenPlan(source, 24, None, True, 0, (0, 1), 256, 7, (0.5, 0.2, 0.3), "")
        return open_tokens(Path(folder) / name, plan, encode, lambda _: None)

    def peak():  # of the process's own memory: pages of mapped files are the system's
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10

    for source in sources[:3]:
        tokens_of(source, "small")
    before = peak()
    for source in sources[3:]:
        tokens = tokens_of(source, "large")
        print(json.dumps({"source": source, "grown": peak() - before, "n_documents": len(tokens.document_name)}))
"""
SIZE, ALLOWED = 128_000_000, 75


def write_source(kind: str, folder: Path, n_documents: int) -> str:
    text = " ".join(f"word{i}" for i in range(2000))[:8000]
    path = folder / f"{n_documents}.{kind}"
    if kind == "jsonl":
        with path.open("w") as lines:
            lines.writelines(json.dumps({"text": f"{i} {text}"}) + "\n" for i in range(n_documents))
    elif kind == "text":
        with path.open("w") as lines:
            lines.writelines(f"{i} {text[:3900]}\n\n" for i in range(2 * n_documents))
    else:
        schema = pa.schema({"text": pa.string()})
        with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
            for first in range(0, n_documents, 500):
                rows = [f"{i} {text}" for i in range(first, first + min(500, n_documents))]
                writer.write_table(pa.table({"text": rows}, schema))
    return f"{kind}:{path}"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    """128 MB in each of three formats: Arrow keeps 43 to 59 MB (64 and 256 MB read), names 1 MB a thousand."""
    sources = [write_source(kind, tmp_path, n) for n in (500, SIZE // 8000) for kind in ("jsonl", "text", "parquet")]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURE), str(tmp_path / "work"), *sources],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 3
    for one in found:
        assert one["n_documents"] >= SIZE // 8000, one
        assert one["grown"] < ALLOWED, one


def test_an_array_is_mapped_and_never_copied_whole(tokenised: Tokenised, tmp_path: Path) -> None:
    """An array of 8 GB on disk (nothing but a hole behind its first rows), of which 2,000 tokens are read."""
    path = tmp_path / "large.npy"
    rows = np.random.default_rng(0).integers(2, 61, size=(200, 24))
    np.save(path, rows)
    header = np.lib.format.header_data_from_array_1_0(np.lib.stride_tricks.as_strided(rows, (40_000_000, 24), (192, 8)))
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        begin = file.tell()
        file.write(rows.tobytes())
        file.truncate(begin + 40_000_000 * 24 * 8)
    from autointerp.subject.sources import open_source

    source = open_source(f"npy:{path}")
    assert isinstance(source.array, np.memmap)  # type: ignore[attr-defined]
    tokens = tokenised(f"npy:{path}", bos=None, n_tokens=2000)
    assert tokens.n_contexts == -(-2000 // 24)
    np.testing.assert_array_equal(tokens.tokens, rows[tokens.document])
    assert sorted(tokens.document) == list(range(tokens.n_contexts))
