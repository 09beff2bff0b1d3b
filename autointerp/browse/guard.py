"""Who may ask, and what a browser may do with the answer.

1. The Host header names this machine and this port: another name that leads here (DNS rebinding) is refused with 421.
2. Only GET, 405; but for the form of a label (`label_form.py`), which is POST.
3. What a page of another site loads from here is refused with 403; a link that leads here is followed.
4. Every answer carries a policy by which no script runs but `browse.js`, nothing comes from elsewhere, and no page
   frames it. No header lets other origins read it.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autointerp.browse.label_form import PREFIX

NAMES = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Stands before the pages."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        named = Headers(scope=scope).getlist("host")
        if len(named) != 1 or named[0].lower() not in self.hosts:
            refusal = PlainTextResponse("this server answers to localhost alone\n", status_code=421)
            await refusal(scope, receive, guarded)
        elif _from_elsewhere(Headers(scope=scope)):
            refusal = PlainTextResponse("pages of other sites get nothing\n", status_code=403)
            await refusal(scope, receive, guarded)
        elif scope["method"] != (allowed := "POST" if scope["path"].startswith(PREFIX) else "GET"):
            refusal = PlainTextResponse(f"only {allowed}\n", status_code=405, headers={"Allow": allowed})
            await refusal(scope, receive, guarded)
        else:
            await self.app(scope, receive, guarded)


def _from_elsewhere(headers: Headers) -> bool:
    """Whether the browser says that another site asks, and not for a page to go to."""
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate"
