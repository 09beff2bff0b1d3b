"""Every page in a real browser: opened, sorted, filtered, searched, stepped by keyboard. No error on the console,
nothing asked of anybody but the server, nothing wider than the window."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from stored import rows
from watched_page import Watched

pytestmark = pytest.mark.browser

PAGES = ("/", "/dictionary/mlp-1k", "/feature/mlp-1k/3?explainer=mine", "/feature/mlp-1k/6", "/compare",
         "/compare?a=mlp-1k&b=neurons", "/calls", "/prompt", "/sql", "/sql?q=SELECT+*+FROM+feature_cards")  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")])
def test_every_page_opens(browser: Any, address: str, width: int, scheme: str) -> None:
    watched = Watched(browser, address, width, scheme)
    for path in PAGES:
        page = watched.go(path)
        assert page.locator("h1").count() == 1
        for summary in page.locator("main > details > summary").all()[:6]:
            summary.click()
        watched.check()
    watched.page.context.close()


def test_the_list_is_filtered_sorted_and_stepped_by_keyboard(watched: Watched) -> None:
    page = watched.go("/dictionary/mlp-1k")
    page.keyboard.press("/")
    page.keyboard.type("fires")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=fires"))
    assert page.locator("tbody tr").count() > 0
    page.get_by_role("link", name="density").click()
    page.wait_for_url(re.compile("sort=density"))
    assert page.locator("th[aria-sort]").count() == 1
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("tbody tr td:first-child a").nth(1)
    assert second.evaluate("link => link === document.activeElement")
    number = second.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/feature/mlp-1k/{number}$"))


def test_features_are_stepped_through(watched: Watched) -> None:
    page = watched.go("/feature/mlp-1k/3")
    for key, ends in (("n", "/feature/mlp-1k/4"), ("p", "/feature/mlp-1k/3"), ("p", "/feature/mlp-1k/2")):
        page.keyboard.press(key)
        page.wait_for_url(re.compile(ends))
    page.keyboard.press("r")
    page.wait_for_url(re.compile(r"/feature/mlp-1k/\d+$"))
    page.keyboard.press("o")
    page.wait_for_url(re.compile("/$"))


def test_line_breaks_the_window_alone_and_copying(watched: Watched) -> None:
    page = watched.go("/feature/mlp-1k/3")
    context = page.locator(".context").first
    assert context.is_visible()
    page.get_by_label("the window alone").check()
    assert not context.is_visible()
    page.get_by_label("line breaks").check()
    page.reload()
    assert page.get_by_label("the window alone").is_checked()
    label = page.locator("button[data-copy]").first
    label.click()
    assert page.evaluate("navigator.clipboard.readText()") == label.get_attribute("data-copy")
    exemplar = page.locator(".exemplar:has(button)").first
    exemplar.hover()
    exemplar.get_by_role("button").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied
    assert "⏎" not in copied


def test_a_statement_is_asked_by_keyboard(watched: Watched, judged_store: Path) -> None:
    page = watched.go("/sql")
    page.keyboard.press("/")
    page.keyboard.type("SELECT dictionary, feature FROM features ORDER BY ALL LIMIT 5")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("q=SELECT"))
    first = rows(judged_store, "SELECT dictionary, feature FROM features ORDER BY ALL LIMIT 1")[0]
    assert page.locator("tbody tr").count() == 5
    page.get_by_role("link", name=str(first["feature"]), exact=True).first.click()
    page.wait_for_url(re.compile(f"/feature/{first['dictionary']}/{first['feature']}"))


def test_tokens_and_features_point_at_each_other(watched: Watched) -> None:
    page = watched.go("/prompt")
    page.locator("#text").fill("def f(self):\n    return self.x")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("text=def"), timeout=120_000)
    every = page.locator("[data-fired] tbody tr")
    n = every.count()
    assert n > 0
    position = every.first.get_attribute("data-at").split(":")[0]
    token = page.locator(f".tok[data-position='{position}']")
    token.hover()
    assert page.locator("tr.on").count() > 0
    token.click()
    shown = page.locator("[data-fired] tbody tr:visible")
    assert 0 < shown.count() <= n
    assert all(f"{position}:" in row.get_attribute("data-at") for row in shown.all())
    page.locator("[data-release]").click()
    assert page.locator("[data-fired] tbody tr:visible").count() == n
    every.first.hover()
    assert page.locator(".tok[class*=' a']").count() > 0


def test_without_scripts_every_page_can_still_be_read(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for path in PAGES:
        page.goto(address + path, timeout=60_000)
        assert page.locator("h1").count() == 1
        assert page.locator("button.copy:visible").count() == 0
    context.close()
