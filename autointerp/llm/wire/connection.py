"""The SDKs, loaded when the first request is sent, on their aiohttp transports, with their own retries off.

Bodies are ours (`render`), and replies come back as text (`replies`): a body that an SDK would turn into an exception
after it was paid for can so be kept. One connection a server and event loop.

A live request is made once a path by the SDK (address, key, headers), and every later one is that request with another
body, sent by the SDK's own HTTP client: an SDK takes longer to put a request together than all else here takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from autointerp.config.llm_model import LLMModel
from autointerp.errors import UserError
from autointerp.llm.wire.faults import Fault, fault_of

MAX_BODY_BYTES = 64_000_000
"""A longer reply is no answer to anything that is asked here: it is not read to its end."""


@dataclass(frozen=True)
class Sent:
    """What came back over the wire: the body of a 200, or a fault."""

    body: str
    fault: Fault | None = None


class Connection:
    """One SDK client. Raises UserError when made where the key is missing."""

    def __init__(self, model: LLMModel) -> None:
        self._key = model.key()
        self.server = model.server
        self._model = model
        self._http, self._client, self._sdk = _make(model, self._key)
        self._like: dict[str, Any] = {}
        import aiohttp
        import httpx2

        self._httpx2, self._aiohttp = httpx2, aiohttp

    async def post(self, path: str, content: bytes, timeout_s: float) -> Sent:
        """Sends one JSON body once. Never raises for what server or network do."""
        like = self._like.get(path)
        if like is None:
            like = self._like[path] = await self._made_by_sdk(path)
        request = self._httpx2.Request(
            "POST", like.url, headers=like.headers, content=content, extensions=like.extensions
        )
        return await self._sent(lambda: self._http.send(request, stream=True), timeout_s)

    async def get(self, path: str, timeout_s: float) -> Sent:
        """Reads once, as `post` sends; however much it is."""
        return await self._sent(lambda: self._client.get(path, cast_to=self._httpx2.Response), timeout_s)

    async def upload(self, name: str, content: bytes, timeout_s: float) -> Sent:
        """OpenAI: puts a file of batch requests there."""

        async def send() -> Any:
            made = await self._client.files.with_raw_response.create(file=(name, content), purpose="batch")
            return made.http_response

        return await self._sent(send, timeout_s)

    async def _made_by_sdk(self, path: str) -> Any:
        """A request to this path as the SDK puts it together, but for its body. Nothing is sent."""
        made: list[Any] = []

        def keep(request: Any) -> Any:
            made.append(request)
            return self._httpx2.Response(200)

        async with self._httpx2.AsyncClient(transport=self._httpx2.MockTransport(keep)) as nowhere:
            client = _client(self._sdk, self._model, self._key, nowhere)
            await client.post(path, content=b"", cast_to=self._httpx2.Response)
        [request] = made
        for name in ("content-length", "host"):  # made anew with each body
            request.headers.pop(name, None)
        return request

    async def _sent(self, send: Callable[[], Awaitable[Any]], timeout_s: float) -> Sent:
        sdk, httpx2 = self._sdk, self._httpx2
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    response = await send()
                except sdk.APIStatusError as error:
                    response = error.response
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            return Sent("", Fault("again", "timeout", f"no whole reply within {timeout_s:g} s", maybe_paid=True))
        except (sdk.APIConnectionError, httpx2.HTTPError, self._aiohttp.ClientError, OSError) as error:
            return Sent("", self._no_reply(error))

    async def _read(self, response: Any) -> Sent:
        """The body: UTF-8, whatever the headers say. One of an error may be cut: its status says enough."""
        status, well = response.status_code, response.is_success
        try:
            content = await _content(response)
            text = self.hide(content.decode("utf-8-sig", "strict" if well else "replace"))
        except (_TooLong, self._httpx2.HTTPError, UnicodeDecodeError) as error:
            if well and isinstance(error, self._httpx2.TransportError):
                raise
            if well:
                reason = f"HTTP {status} with a body that is no text: {error}"
                return Sent("", Fault("again", "broken_body", reason, status, maybe_paid=True))
            text = ""
        return Sent(text) if well else Sent("", fault_of(status, response.headers, text))

    def _no_reply(self, error: BaseException) -> Fault:
        """What aiohttp says happened: between it and us, a dropped connection is renamed to a timeout of connecting."""
        aiohttp, chain = self._aiohttp, [error]
        while (cause := chain[-1].__cause__) is not None:
            chain.append(cause)
        said = next((one for one in chain if isinstance(one, aiohttp.ClientError)), chain[-1])
        reason = self.hide(f"{self.server}: {type(said).__name__}: {said}".strip(": "))[:300]
        if isinstance(said, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return Fault("again", "no_connection", reason)
        status = "timeout" if isinstance(said, TimeoutError) else "no_connection"
        return Fault("again", status, reason, maybe_paid=True)

    def hide(self, text: str) -> str:
        """The text without the key: servers repeat it in their errors."""
        return text.replace(self._key, "[key]") if len(self._key) > 4 else text

    async def close(self) -> None:
        """Closes the pool."""
        with contextlib.suppress(Exception):  # a pool that will not close is nobody's concern at the end
            await self._client.close()


def _make(model: LLMModel, key: str) -> tuple[Any, Any, Any]:
    """(HTTP client, SDK client, SDK)."""
    import httpx2

    if model.provider == "anthropic":
        import anthropic as sdk
    else:
        import openai as sdk  # type: ignore[no-redef]
    pool = httpx2.Limits(max_connections=model.concurrency + 8, max_keepalive_connections=model.concurrency + 8)
    # A redirected POST is another request: its status is told instead. A proxy of the environment cannot reach this
    # machine's own servers, and would be shown what is sent to them.
    try:
        http = sdk.DefaultAioHttpClient(
            limits=pool,
            timeout=_timeout(model),
            verify=_certificates(),
            follow_redirects=False,
            trust_env=not model.loopback,
        )
    except (ValueError, ImportError) as error:
        raise UserError(_bad_proxy(model)) from error
    return http, _client(sdk, model, key, http), sdk


def _bad_proxy(model: LLMModel) -> str:
    """Its address is not shown: it may hold a password."""
    names = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY")
    there = [name for name in (*names, *map(str.lower, names)) if os.environ.get(name)]
    return (
        f"{model.server} cannot be asked by the proxy in {', '.join(there) or 'the environment'}: give an address "
        "that begins with http://, or unset it"
    )


def _client(sdk: Any, model: LLMModel, key: str, http: Any) -> Any:
    make = sdk.AsyncAnthropic if model.provider == "anthropic" else sdk.AsyncOpenAI
    return make(api_key=key, base_url=model.server, timeout=_timeout(model), max_retries=0, http_client=http)


def _timeout(model: LLMModel) -> Any:
    import httpx2

    return httpx2.Timeout(model.timeout_s, connect=min(15.0, model.timeout_s))


@functools.cache
def _certificates() -> Any:
    """Read once a process: it takes longer than a request."""
    import httpx2

    return httpx2.create_ssl_context()


class _TooLong(Exception):
    def __str__(self) -> str:
        return f"more than {MAX_BODY_BYTES:,} bytes"


async def _content(response: Any) -> bytes:
    """All bytes of a body, unpacked."""
    if response.is_closed:
        return bytes(response.content)
    parts, n = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        n += len(part)
        if n > MAX_BODY_BYTES:
            raise _TooLong
    return b"".join(parts)
