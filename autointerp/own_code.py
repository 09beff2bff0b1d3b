"""Loads a class of the user's own that a run file names as `module:Class`.

The module must be importable: installed, or in a folder that PYTHONPATH names. The class is made without arguments.
"""

from __future__ import annotations

import importlib

from autointerp.errors import UserError


def load_own(spec: str, what: str, methods: tuple[str, ...] = ()) -> object:
    """Makes the object that `spec` ("module:Class") names; `what` is the word for it in messages, such as "explainer".

    `methods` are those that it must have, as a message shows them: "explain(evidence)". Raises UserError with one line
    where the class cannot be imported, cannot be made, or lacks one of them.
    """
    module, _, attribute = spec.partition(":")
    try:
        made: object = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # the user's module: what it raises cannot be known
        raise UserError(f'{what} "{spec}" cannot be made: {one_line(error)}') from error
    for method in methods:
        if not callable(getattr(made, method.partition("(")[0], None)):
            raise UserError(f'{what} "{spec}" has no method {method}')
    return made


def one_line(error: BaseException) -> str:
    """What an exception of the user's code says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
