"""autointerp: label every feature of a dictionary, score each label, keep it all in one DuckDB file.

The surface for Python users; importing it loads neither torch nor an LLM client.

    import autointerp
    autointerp.run("RUN.toml")                         # all stages; call again to resume
    with autointerp.open_store("demo.duckdb") as store:
        store.query("select * from dictionary_summary")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autointerp.config.loading import load_run
    from autointerp.config.run_file import RunConfig
    from autointerp.pipeline import run
    from autointerp.store.reader import open_reader as open_store

__version__ = "0.1.0"
__all__ = ["RunConfig", "__version__", "load_run", "open_store", "run"]

_LAZY = {
    "RunConfig": ("autointerp.config.run_file", "RunConfig"),
    "load_run": ("autointerp.config.loading", "load_run"),
    "run": ("autointerp.pipeline", "run"),
    "open_store": ("autointerp.store.reader", "open_reader"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'autointerp' has no attribute {name!r}")
    import importlib

    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)
