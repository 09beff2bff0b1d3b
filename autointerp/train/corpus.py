"""Collect the training text and the pinned corpus, both under the PSF licence.

1. Read the Python standard library's sources and tests (`.py`) and the English documentation's sources
   (`.rst`; Debian's package python3.11-doc carries them as `_sources/**/*.rst.txt`).
2. Leave out what is data rather than text: tables, base64, long runs of numbers, foreign scripts.
3. Leave out near-duplicates: a document is the set of its 8-token shingles (Broder 1997, "On the resemblance and
   containment of documents"), sampled by hash; it goes when more than half of them stand in earlier documents.
4. Order by content hash, separately for code and prose; hold out from the front, documents of 1 to 14 KB, until the
   byte targets are met. A document is held out only if less than a fifth of its shingles (idioms not counted) stand
   in any other document, so that none is in training in another guise (pydoc's topics are the reference manual).
5. Held-out documents are the pinned corpus `corpus.jsonl.gz`; the others are `training.jsonl` in the work folder.
"""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autointerp.train.paths import parser

HELD_OUT_BYTES = {"code": 1_230_000, "prose": 840_000}
"""Chosen so that the pinned corpus has about 630,000 tokens, 60 % of them code."""
HELD_OUT_SIZE = {"code": (1_000, 12_000), "prose": (1_000, 14_000)}
"""Smallest and largest held-out document, in bytes: small ones, so that there are some hundred documents to split."""
IDIOM = 8
"""A shingle in more documents than this is an idiom of the language, no sign of a copy."""
LARGEST_DOCUMENT = 400_000
SHINGLE = 8
DOC_PACKAGE = "python3.11-doc"
SKIPPED = re.compile(
    r"(^|/)(site-packages|encodings|encoded_modules|pydoc_data|Icons|__pycache__|lib-dynload)/"
    r"|(^|/)_sysconfigdata|(^|/)config-|/data/|bad_?syntax|badsyntax|/html/entities\.py|stringprep\.py"
)
TOKEN = re.compile(r"\w+|[^\w\s]")
LONG_WORD = re.compile(r"[A-Za-z0-9+/]{70,}")


@dataclass(frozen=True)
class CorpusDocument:
    id: str
    kind: str
    """`code` or `prose`."""
    text: str

    @property
    def size(self) -> int:
        return len(self.text.encode())

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_text(path: Path) -> str | None:
    """The file's text with Unix line ends, or None where it is not UTF-8."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n") + "\n"


def is_data(text: str) -> bool:
    """Whether the text is mostly a table, an encoding, numbers or another script."""
    if not text.strip() or len(text) > LARGEST_DOCUMENT:
        return True
    if sum(ord(character) > 127 for character in text) > 0.02 * len(text):
        return True
    if sum(len(word) for word in LONG_WORD.findall(text)) > 0.06 * len(text):
        return True
    table = total = 0
    for line in text.splitlines():
        visible = len(line) - line.count(" ")
        total += visible
        letters = sum(character.isalpha() for character in re.sub(r"0x[0-9a-fA-F]+|\\[xuU][0-9a-fA-F]+", "", line))
        digits = sum(character.isdigit() for character in line)
        if visible > 12 and letters < 0.35 * visible and digits > 0.2 * visible:
            table += visible
    return table > 0.3 * total


def shingles(text: str) -> frozenset[int]:
    """A quarter of the text's 8-token shingles, chosen by their own hash."""
    tokens = TOKEN.findall(text)
    out = set()
    for start in range(max(1, len(tokens) - SHINGLE + 1)):
        digest = hashlib.blake2b("\x1f".join(tokens[start : start + SHINGLE]).encode(), digest_size=8).digest()
        if digest[0] % 4 == 0:
            out.add(int.from_bytes(digest, "big"))
    return frozenset(out)


def find_docs() -> Path:
    """The documentation's sources: installed by Debian's package, or fetched with apt-get into a temporary folder."""
    for path in sorted(Path("/usr/share/doc").glob("python3*/html/_sources")):
        return path
    apt_get, dpkg = shutil.which("apt-get"), shutil.which("dpkg")
    if apt_get and dpkg:
        folder = Path(tempfile.mkdtemp(prefix="python-doc-"))
        subprocess.run([apt_get, "download", DOC_PACKAGE], cwd=folder, capture_output=True, check=False)  # noqa: S603
        for package in folder.glob("*.deb"):
            subprocess.run([dpkg, "-x", package.name, "."], cwd=folder, check=True)  # noqa: S603
        for path in sorted(folder.glob("usr/share/doc/python3*/html/_sources")):
            return path
    raise SystemExit(
        f"No documentation sources: unpack CPython's Doc folder or Debian's {DOC_PACKAGE} and pass --docs DIR."
    )


def collect(stdlib: Path, docs: Path) -> Iterator[CorpusDocument]:
    """Documentation first, so that what repeats it (docstrings, topics) is what goes as the duplicate."""
    for path in sorted(docs.rglob("*")):
        if path.is_file() and path.name.endswith((".rst", ".txt")):
            name = "Doc/" + path.relative_to(docs).as_posix().removesuffix(".txt").removesuffix(".rst") + ".rst"
            text = read_text(path)
            if text is not None and not is_data(text):
                yield CorpusDocument(name, "prose", text)
    for path in sorted(stdlib.rglob("*.py")):
        name = "Lib/" + path.relative_to(stdlib).as_posix()
        if not SKIPPED.search(name):
            text = read_text(path)
            if text is not None and not is_data(text):
                yield CorpusDocument(name, "code", text)


def without_near_duplicates(documents: Iterator[CorpusDocument]) -> list[tuple[CorpusDocument, frozenset[int]]]:
    seen: set[int] = set()
    kept = []
    for document in documents:
        own = shingles(document.text)
        if own and len(own & seen) <= 0.5 * len(own):
            kept.append((document, own))
            seen |= own
    return kept


def split(kept: list[tuple[CorpusDocument, frozenset[int]]]) -> tuple[list[CorpusDocument], list[CorpusDocument]]:
    """(training, held out)"""
    in_documents = Counter(shingle for _, own in kept for shingle in own)
    held_out: set[str] = set()
    room = dict(HELD_OUT_BYTES)
    for document, own in sorted(kept, key=lambda pair: pair[0].hash):
        smallest, largest = HELD_OUT_SIZE[document.kind]
        shared = sum(1 < in_documents[shingle] <= IDIOM for shingle in own)
        if smallest <= document.size <= largest and shared < 0.2 * len(own) and room[document.kind] >= document.size:
            held_out.add(document.id)
            room[document.kind] -= document.size
    documents = [document for document, _ in kept]
    return [d for d in documents if d.id not in held_out], [d for d in documents if d.id in held_out]


def as_lines(documents: list[CorpusDocument]) -> bytes:
    return b"".join(json.dumps({"id": d.id, "text": d.text}).encode() + b"\n" for d in documents)


def read_pinned(out: Path) -> list[tuple[str, str]]:
    """(id, text) of each document of the pinned corpus."""
    with gzip.open(out / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        return [(record["id"], record["text"]) for record in map(json.loads, file)]


def read_training(work: Path) -> list[tuple[str, str]]:
    """(id, text) of each training document."""
    with (work / "training.jsonl").open(encoding="utf-8") as file:
        return [(record["id"], record["text"]) for record in map(json.loads, file)]


def build(work: Path, out: Path, docs: Path | None) -> None:
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    training, held_out = split(without_near_duplicates(collect(stdlib, docs or find_docs())))
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    (work / "training.jsonl").write_bytes(as_lines(training))
    (out / "corpus.jsonl.gz").write_bytes(gzip.compress(as_lines(held_out), compresslevel=9, mtime=0))
    for name, documents in (("training", training), ("held out", held_out)):
        for kind in ("code", "prose"):
            sizes = [document.size for document in documents if document.kind == kind]
            print(f"{name:9} {kind:6} {len(sizes):5} documents {sum(sizes):10,} bytes")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--docs", type=Path, help="folder of .rst or .txt documentation sources")
    given = options.parse_args()
    build(given.work, given.out, given.docs)


if __name__ == "__main__":
    main()
