"""Reading dictionaries: whatever format the files are in, one record comes out, or one line that says why not.

Each format is a module of its name with a row, `FORMAT`, that says what tells it, what it reads and what it refuses;
`registry.py` lists them. Loading never changes what a dictionary means: what a reader does not know, it refuses.
"""

from __future__ import annotations

from autointerp.subject.formats.common import DictionarySource
from autointerp.subject.formats.loading import check_path, load_dictionary, resolve_dictionary
from autointerp.subject.formats.own import DictionaryFormat
from autointerp.subject.formats.registry import FORMATS

__all__ = ["FORMATS", "DictionaryFormat", "DictionarySource", "check_path", "load_dictionary", "resolve_dictionary"]
