"""How a run file names code of the user's own: `{ python = "module:Class" }`."""

from __future__ import annotations

from pydantic import Field

from autointerp.config.section import Section

PYTHON = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""A class of an importable module: `module:Class`."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"


class OwnCode(Section):
    """A class of the user's own: `{ python = "module:Class", name = "what rows call it" }`."""

    python: str = Field(pattern=PYTHON)
    """The class: `module:Class`, importable where the command runs, and made without arguments."""
    name: str | None = Field(default=None, pattern=NAME)
    """What its rows are called; default: the name that the class gives itself, else `module:Class`."""

    @property
    def known_as(self) -> str:
        """What the rows of a store call it: the name given, else `module:Class`."""
        return self.name or self.python
