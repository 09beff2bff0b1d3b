"""A person's explanations: explainer `human`, judged like any other once the run file names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autointerp.errors import StoreError, UserError
from autointerp.explain.drafts import LONGEST_ANSWER
from autointerp.explain.triggers import named_in
from autointerp.hashing import content_hash
from autointerp.pipeline.rows.explanation_rows import Written, write_written
from autointerp.records import Explanation
from autointerp.store.evidence import dictionary_row
from autointerp.store.reader import open_reader
from autointerp.store.writer import StoreWriter
from autointerp.words import HUMAN

_FEATURE = "SELECT 1 FROM features WHERE dictionary = $dictionary AND feature = $feature"
_LABEL = """
SELECT text FROM explanations WHERE dictionary = $dictionary AND feature = $feature AND explainer = $explainer
"""
_LABELS = """
SELECT dictionary, explainer, feature, text FROM explanations
WHERE explainer IN (SELECT unnest($explainers::VARCHAR[])) ORDER BY ALL
"""


def add_label(path: Path, dictionary: str, feature: int, text: str) -> None:
    """Writes a label. Raises UserError where the feature is not in the store, has a label, or the text is none.

    Tokens in double quotes count as its triggers.
    """
    line = " ".join(text.split())
    if not line or len(line) > LONGEST_ANSWER:
        raise UserError(f"a label has 1 to {LONGEST_ANSWER} characters; this one has {len(line)}")
    if not path.exists():
        raise StoreError(f'there is no store "{path}"')
    with StoreWriter.open(path) as store:
        dictionary_row(store, dictionary)
        if not store.rows(_FEATURE, dictionary=dictionary, feature=feature):
            raise StoreError(f'the store has no feature {feature} of "{dictionary}"')
        already = store.rows(_LABEL, dictionary=dictionary, feature=feature, explainer=HUMAN)
        if already:
            raise StoreError(f'{dictionary}/{feature} has a label already: "{already[0]["text"]}"; labels are kept')
        said = Explanation(feature, HUMAN, line, "ok", triggers=named_in(line))
        with store.transaction() as transaction:
            write_written(transaction, dictionary, [Written(said)])


def labels_in(path: Path, explainers: Sequence[str]) -> dict[tuple[str, str], str]:
    """Hash of the labels of these explainers, by dictionary and explainer; none where there is no store yet."""
    if not explainers or not path.exists():
        return {}
    labels_of: dict[tuple[str, str], list[tuple[int, str]]] = {}
    with open_reader(path) as reader:
        for row in reader.rows(_LABELS, explainers=list(explainers)):
            labels_of.setdefault((row["dictionary"], row["explainer"]), []).append((row["feature"], row["text"]))
    return {about: content_hash(labels, tag="labels") for about, labels in labels_of.items()}
