"""A word on the command line that is none of those that can be given: which of them was probably meant."""

from __future__ import annotations

import re

import click

from autointerp.errors import nearest


def with_nearest(error: click.ClickException) -> click.ClickException:
    """The same error, with the nearest choice in its line where it is about a choice."""
    said = re.match(r"'(?P<given>.*)' is not one of (?P<choices>.*)\.$", error.message, re.DOTALL)
    if isinstance(error, click.BadParameter) and said is not None:
        near = nearest(said["given"], re.findall(r"'([^']*)'", said["choices"]))
        return click.BadParameter(f"{error.message.removesuffix('.')}{near}", error.ctx, error.param, error.param_hint)
    return error
