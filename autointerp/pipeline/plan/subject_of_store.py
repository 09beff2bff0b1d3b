"""The subject of a run as its store knows it."""

from __future__ import annotations

import json

from autointerp.config.run_file import RunConfig
from autointerp.store.query import Queryable
from autointerp.subject.opening import open_subject
from autointerp.subject.recorded import RecordedSubject, recorded_subject

_CONFIG = "SELECT config FROM runs ORDER BY started_at DESC LIMIT 1"
_WHERE_IT_RUNS = ("device", "max_memory", "offload_folder")


def subject_of_store(config: RunConfig, store: Queryable) -> RecordedSubject | None:
    """None where the latest run file had another [subject], or the model is spread over devices."""
    subjects, runs = store.rows("SELECT * FROM subjects"), store.rows(_CONFIG)
    asked = config.subject.model_dump(mode="json")
    known = json.loads(runs[0]["config"])["subject"] if runs else {}
    for key in _WHERE_IT_RUNS:
        known[key] = asked[key]
    if len(subjects) != 1 or known != asked or config.subject.device == "map":
        return None
    widths = {row["hook"]: row["d_in"] for row in store.rows("SELECT DISTINCT hook, d_in FROM dictionaries")}
    return recorded_subject(subjects[0], widths, config.subject.device, lambda: open_subject(config))
