"""A page of a real browser that remembers what went wrong on it."""

from __future__ import annotations

from typing import Any


class Watched:
    """A page of the browser, with what went wrong on it."""

    def __init__(self, browser: Any, address: str, width: int = 1280, scheme: str = "light") -> None:
        self.address = address
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        self.page = context.new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self._note)

    def _note(self, answer: Any) -> None:
        if answer.status >= 400:
            self.wrong.append(f"{answer.status}: {answer.url}")

    def go(self, path: str) -> Any:
        """Opens an address of the store."""
        self.page.goto(self.address + path, timeout=60_000)
        return self.page

    def check(self) -> None:
        """Nothing went wrong, nothing was asked of anybody else, and nothing is wider than the window."""
        assert not self.wrong
        assert all(url.startswith(self.address) for url in self.asked), self.asked
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(wide) <= 0, self.page.url
