"""Labels that others have published, read from Neuronpedia's files: explainers of their own, judged like ours.

Files are batches as Neuronpedia's data sets have them (JSON lines, gzipped or not), the JSON list that its API gives,
or CSV. A row needs `index` and `description`; `modelId` and `layer` must be the same in all, and
`explanationModelName` says who wrote it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autointerp.config.explainers import RESERVED
from autointerp.errors import StoreError, UserError, nearest
from autointerp.explain.drafts import LONGEST_ANSWER
from autointerp.explain.triggers import named_in
from autointerp.pipeline.rows.explanation_rows import Written, write_written
from autointerp.records import Explanation
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.writer import StoreWriter
from autointerp.text_files import read_text

INDEX = ("index", "feature", "feature_index")
"""Columns that give the feature, the first that a row has."""
TEXT = ("description", "explanation")
"""Columns that give the label."""
WRITER = "explanationModelName"
SOURCE = ("modelId", "layer")
_FEATURES = "SELECT feature FROM features WHERE dictionary = $dictionary"
_LABELS = "SELECT feature, text FROM explanations WHERE dictionary = $dictionary AND explainer = $explainer"
_OTHERS = """
SELECT 1 FROM works w SEMI JOIN stages s USING (stage, work)
WHERE w.stage = 'explain' AND w.explainer = $explainer LIMIT 1
"""


@dataclass(frozen=True)
class PublishedLabel:
    """A row of a file."""

    feature: int
    text: str
    writer: str | None
    source: tuple[str | None, ...]
    place: str
    """File and line."""


@dataclass
class ImportCounts:
    """What became of the rows."""

    written: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """By reason."""

    def leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def import_labels(
    path: Path, files: Sequence[Path], dictionary: str, explainer: str, writer: str | None
) -> ImportCounts:
    """Writes the labels of the files into the store, in one transaction. `writer` takes those of one
    `explanationModelName` only. Raises UserError, and writes nothing, where a file cannot be read, an index is none of
    the dictionary's, rows are of several sources or writers, or a feature has another label by this explainer."""
    if explainer in RESERVED:
        raise UserError(f'--explainer "{explainer}" is a name of autointerp\'s own; give another')
    labels = [label for file in files for label in read_labels(file)]
    labels = _of_writer(labels, writer)
    _refuse_several(labels)
    if not path.exists():
        raise StoreError(f'there is no store "{path}"')
    with StoreWriter.open(path) as store:
        written, counts = _wanted(store, labels, dictionary, explainer)
        if written:
            with store.transaction() as transaction:
                write_written(transaction, dictionary, written)
    return counts


def _wanted(
    store: Queryable, labels: Sequence[PublishedLabel], dictionary: str, explainer: str
) -> tuple[list[Written], ImportCounts]:
    width = dictionary_row(store, dictionary)["n_features"]
    if store.rows(_OTHERS, explainer=explainer):
        raise UserError(f'a run has explained as "{explainer}" in this store; give another --explainer')
    there = {row["feature"] for row in store.rows(_FEATURES, dictionary=dictionary)}
    known = {row["feature"]: row["text"] for row in store.rows(_LABELS, dictionary=dictionary, explainer=explainer)}
    counts, written, said = ImportCounts(), [], set()
    for label in labels:
        if not 0 <= label.feature < width:
            raise UserError(
                f'{label.place}: feature {label.feature} is none of "{dictionary}", which has 0 to {width - 1}; '
                "the file is of another dictionary"
            )
        if not label.text:
            counts.leave_out("without a text")
        elif len(label.text) > LONGEST_ANSWER:
            counts.leave_out(f"longer than {LONGEST_ANSWER:,} characters")
        elif label.feature not in there:
            counts.leave_out("of features that the store did not extract")
        elif label.feature in said:
            counts.leave_out("further ones of a feature")
        elif label.feature in known:
            if known[label.feature] != label.text:
                raise UserError(
                    f'{label.place}: {dictionary}/{label.feature} has another label by "{explainer}" already, and '
                    "labels are kept; give another --explainer"
                )
            counts.leave_out("there already")
        else:
            said.add(label.feature)
            explanation = Explanation(label.feature, explainer, label.text, "ok", triggers=named_in(label.text))
            written.append(Written(explanation, model=label.writer))
    counts.written = len(written)
    return written, counts


def _of_writer(labels: list[PublishedLabel], writer: str | None) -> list[PublishedLabel]:
    writers = sorted({label.writer for label in labels if label.writer is not None})
    if writer is None:
        if len(writers) > 1:
            raise UserError(f"the labels are by several models ({', '.join(writers)}); choose one by --model")
        return labels
    if writer not in writers:
        raise UserError(f'no label is by "{writer}"' + nearest(writer, writers, listed="there is"))
    return [label for label in labels if label.writer == writer]


def _refuse_several(labels: Sequence[PublishedLabel]) -> None:
    sources = sorted({label.source for label in labels}, key=str)
    if len(sources) > 1:
        shown = " and ".join("/".join(part or "?" for part in source) for source in sources[:2])
        raise UserError(f"the files are of several dictionaries ({shown}); import each into its own")
    if not labels:
        raise UserError("the files hold no labels")


# --- files


def read_labels(file: Path) -> Iterator[PublishedLabel]:
    """The labels of a file. Raises UserError with the line where it is not what it should be."""
    try:
        text = read_text(file)
    except OSError as error:
        raise UserError(f'"{file}" cannot be read: {error.strerror or error}') from error
    start = text.lstrip()[:1]
    if start == "[":
        rows = _json_list(file, text)
    elif start == "{":
        rows = _json_lines(file, text)
    else:
        rows = _csv_rows(file, text)
    for place, row in rows:
        yield _label(place, row)


def _json_list(file: Path, text: str) -> Iterator[tuple[str, Any]]:
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f'"{file}" is no JSON: {error}') from error
    for number, row in enumerate(rows, start=1):
        yield f'"{file}", entry {number}', row


def _json_lines(file: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f'"{file}", line {number}'
        try:
            yield place, json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"{place}: this is no JSON: {error}") from error


def _csv_rows(file: Path, text: str) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(io.StringIO(text))
    try:
        for row in reader:
            yield f'"{file}", line {reader.line_num}', row
    except csv.Error as error:
        raise UserError(f'"{file}", line {reader.line_num}: this is no CSV: {error}') from error


def _label(place: str, row: Any) -> PublishedLabel:
    if not isinstance(row, Mapping):
        raise UserError(f"{place}: this is no row with columns")
    index = _first(place, row, INDEX)
    try:
        feature = int(str(index))
    except ValueError as error:
        raise UserError(f'{place}: "{index}" is no number of a feature') from error
    text = " ".join(str(_first(place, row, TEXT) or "").split())
    writer = row.get(WRITER)
    source = tuple(None if row.get(key) is None else str(row[key]) for key in SOURCE)
    return PublishedLabel(feature, text, str(writer) if writer else None, source, place)


def _first(place: str, row: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in row:
            return row[name]
    columns = ", ".join(str(name) for name in row)[:200]
    raise UserError(f'{place}: there is no column "{names[0]}"; there is {columns}')
