"""`autointerp merge`: stores of one subject and text, with different dictionaries, as one store.

What was done in each is done in the joined one, because a piece of work is known by what decides it: a run file that
names the dictionaries of all of them finds their work there, and only compares.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from autointerp.errors import StoreError
from autointerp.hashing import content_hash
from autointerp.pipeline.plan.reask import read_redos
from autointerp.show.comparable import differences
from autointerp.store.evidence import dictionary_names
from autointerp.store.merging import MergedRun, merge_stores
from autointerp.store.reader import StoreReader, open_reader

_LATEST = "SELECT run, name, seed, config, versions FROM runs ORDER BY started_at DESC LIMIT 1"


def merge(out: Path, paths: Sequence[Path]) -> list[str]:
    """Writes the store `out` and returns its dictionaries. Raises StoreError, with the difference named, where the
    stores are not about the same subject and text, share a dictionary, or are being written."""
    if len(paths) < 2:
        raise StoreError("merge joins two stores or more; give at least two")
    if len({path.resolve() for path in paths}) < len(paths):
        raise StoreError("the same store is named twice; merge joins stores of different dictionaries")
    with ExitStack() as stack:
        stores = [(str(path), stack.enter_context(open_reader(path))) for path in paths]
        names = _check(stores)
        merged = _merged_run(out, [store for _, store in stores])
    merge_stores(out, paths, merged)
    return names


def _check(stores: Sequence[tuple[str, StoreReader]]) -> list[str]:
    """The dictionaries of all stores."""
    of: dict[str, str] = {}
    for name, store in stores:
        if store.snapshot:
            raise StoreError(f"{store.notice}; merge when the run has ended")
        if not store.rows("SELECT 1 FROM stages WHERE stage = 'tokens'"):
            raise StoreError(f'"{name}" holds no text yet: nothing was run into it')
        if unfinished := read_redos(store)[1]:
            said = next(iter(unfinished.values()))
            raise StoreError(f'"{name}" has a request that is not finished ({said}); run its command to the end first')
        for dictionary in dictionary_names(store):
            if dictionary in of:
                raise StoreError(
                    f'dictionary "{dictionary}" is in "{of[dictionary]}" and in "{name}"; stores that are joined have '
                    "different dictionaries: run it under another name"
                )
            of[dictionary] = name
    if lines := differences(stores):
        more = f"; and {len(lines) - 1} more" if len(lines) > 1 else ""
        raise StoreError(f"the stores differ in {lines[0]}{more}: what is in one store is about one text, made alike")
    return list(of)


def _merged_run(out: Path, stores: Sequence[StoreReader]) -> MergedRun:
    """The latest run of each store as one: all dictionaries and explainers, all else as in the first that says it."""
    latest = [store.rows(_LATEST)[0] for store in stores]
    configs: list[dict[str, Any]] = [json.loads(run["config"]) for run in latest]
    whole = {**configs[0], "name": out.stem, "store": str(out)}
    whole["dictionary"] = [entry for config in configs for entry in config["dictionary"]]
    explainers: list[Any] = []
    for config in configs:
        explainers += [entry for entry in config["explain"]["explainers"] if entry not in explainers]
    whole["explain"] = {**whole["explain"], "explainers": explainers}
    judge = next((config["score"]["judge"] for config in configs if config["score"].get("judge")), None)
    whole["score"] = {**whole["score"], "judge": judge}
    run = content_hash([row["run"] for row in latest], tag="merged")
    return MergedRun(run, out.stem, latest[0]["seed"], json.dumps(whole), latest[0]["versions"])
