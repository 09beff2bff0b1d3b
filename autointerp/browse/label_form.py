"""The one thing that a page writes: a person's label of a feature, as `autointerp label` does.

The form carries a token that this server made when it began: a page of another site can send a form here, and cannot
read the token. What is not a small form of this server's own is refused before it is read.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from autointerp.pipeline.human_labels import add_label

PREFIX = "/label/"
"""Addresses that take a form."""
MOST_BYTES = 64_000


def new_token() -> str:
    """Of one server, until it ends."""
    return secrets.token_urlsafe(32)


def label_form(store: Path, token: str, port: int) -> Callable[[Request], object]:
    """What answers a form: the label is written, and the feature's page is shown."""
    own = {f"http://{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def answer(request: Request) -> Response:
        if request.headers.get("origin", next(iter(own))) not in own:
            raise HTTPException(403, "a label is written from a page of this server")
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            raise HTTPException(415, "a label comes as a form")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise HTTPException(413, f"a form has {MOST_BYTES:,} bytes at most")
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        if not hmac.compare_digest(fields.get("token", [""])[0].encode(), token.encode()):
            raise HTTPException(403, "the form is not of this server, or it began again since; open the page anew")
        name, number = request.path_params["name"], request.path_params["number"]
        await run_in_threadpool(add_label, store, name, number, fields.get("text", [""])[0])
        return RedirectResponse(f"/feature/{quote(name, safe='')}/{number}", status_code=303)

    return answer
