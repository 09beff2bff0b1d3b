"""How a run file names code of the user's own: `{ python = "module:Class" }`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

PYTHON = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""A class of an importable module: `module:Class`."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"


class OwnCode(BaseModel):
    """A class of the user's own: `{ python = "module:Class", name = "what rows call it" }`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    python: str = Field(pattern=PYTHON)
    name: str | None = Field(default=None, pattern=NAME)

    @property
    def known_as(self) -> str:
        """What the rows of a store call it: the name given, else `module:Class`."""
        return self.name or self.python
