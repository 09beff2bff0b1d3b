"""Parts of sentences that several pages share."""

from __future__ import annotations

from collections.abc import Sequence


def site(name: str, other_site: bool) -> str:
    """A baseline's name, and that it stands at another hook than what it is compared with."""
    return f"{name} (other site)" if other_site else name


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
