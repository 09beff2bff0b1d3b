"""Statements that pages offer to the SQL page, with names of the store put in. A reader sees them before they run, and
they run as what a reader types does."""

from __future__ import annotations

from string import Template


def quoted(text: str) -> str:
    """The text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def all_wrong(dictionary: str, feature: int, explainer: str, scorer: str) -> str:
    """All windows that a judge got wrong about a label."""
    names = {"dictionary": quoted(dictionary), "explainer": quoted(explainer), "scorer": quoted(scorer)}
    return _ALL_WRONG.substitute(names, feature=feature)


_ALL_WRONG = Template("""SELECT wrong, stratum, probability, text FROM wrong_windows
WHERE dictionary = $dictionary AND feature = $feature AND explainer = $explainer AND scorer = $scorer
ORDER BY wrong DESC, stratum""")
