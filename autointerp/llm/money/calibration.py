"""Tokens a character, by model: chars/4 until the model's own usage says better."""

from __future__ import annotations

from collections.abc import Callable

ENOUGH = 10
"""Replies with usage before their ratio is believed."""


class Calibration:
    """What each model has been seen to count; earlier runs' calls come from the log."""

    def __init__(self, logged: Callable[[str, str], float | None]) -> None:
        self._logged = logged
        self._earlier: dict[tuple[str, str], float | None] = {}
        self._seen: dict[tuple[str, str], list[int]] = {}

    def saw(self, server: str, model: str, tokens: int, chars: int) -> None:
        """One reply's usage."""
        sums = self._seen.setdefault((server, model), [0, 0, 0])
        sums[0] += 1
        sums[1] += tokens
        sums[2] += chars

    def of(self, server: str, model: str) -> Callable[[], float | None]:
        """A function that says tokens a character; None while too few replies were seen. Reads the log once."""
        key = (server, model)
        if key not in self._earlier:
            self._earlier[key] = self._logged(server, model)

        def now() -> float | None:
            n, tokens, chars = self._seen.get(key, (0, 0, 0))
            return tokens / chars if n >= ENOUGH and chars else self._earlier[key]

        return now
