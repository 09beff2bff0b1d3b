"""The SDKs, loaded when the first request is sent, on their aiohttp transports, with their own retries off.

Bodies are ours (`render`), and replies come back as text (`replies`): a body that an SDK would turn into an exception
after it was paid for can so be kept. One connection a server and event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from autointerp.llm.faults import Fault, fault_of
from autointerp.llm.models import LLMModel

MAX_BODY_CHARS = 64_000_000


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
        self._client, self._sdk = _make(model, self._key)
        import httpx2

        self._httpx2 = httpx2

    async def post(self, path: str, content: bytes, timeout_s: float) -> Sent:
        """Sends one JSON body once. Never raises for what server or network do."""
        return await self._sent(
            lambda: self._client.post(path, content=content, cast_to=self._httpx2.Response), timeout_s
        )

    async def get(self, path: str, timeout_s: float) -> Sent:
        """Reads once, as `post` sends."""
        return await self._sent(lambda: self._client.get(path, cast_to=self._httpx2.Response), timeout_s)

    async def upload(self, name: str, content: bytes, timeout_s: float) -> Sent:
        """OpenAI: puts a file of batch requests there."""
        files = self._client.files.with_raw_response
        return await self._sent(lambda: files.create(file=(name, content), purpose="batch"), timeout_s)

    async def _sent(self, send: Callable[[], Awaitable[Any]], timeout_s: float) -> Sent:
        sdk, httpx2 = self._sdk, self._httpx2
        try:
            async with asyncio.timeout(timeout_s):
                return Sent(self.hide((await send()).text))
        except sdk.APIStatusError as error:
            response = error.response
            return Sent("", fault_of(response.status_code, response.headers, self.hide(_text(response))))
        except TimeoutError:
            return Sent("", Fault("again", "timeout", f"no whole reply within {timeout_s:g} s", maybe_paid=True))
        except (sdk.APIConnectionError, httpx2.HTTPError, OSError) as error:
            return Sent("", self._no_reply(error))
        except UnicodeError:
            return Sent("", Fault("again", "broken_body", "HTTP 200 with a body that is no text", 200, maybe_paid=True))

    def _no_reply(self, error: BaseException) -> Fault:
        """What aiohttp says happened: between it and us, a dropped connection is renamed to a timeout of connecting."""
        import aiohttp

        chain = [error]
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


def _make(model: LLMModel, key: str) -> tuple[Any, Any]:
    import httpx2

    pool = httpx2.Limits(max_connections=model.concurrency + 8, max_keepalive_connections=model.concurrency + 8)
    timeout = httpx2.Timeout(model.timeout_s, connect=min(15.0, model.timeout_s))
    http: dict[str, Any] = {"limits": pool, "timeout": timeout, "verify": _certificates()}
    options: dict[str, Any] = {"api_key": key, "base_url": model.server, "timeout": timeout, "max_retries": 0}
    if model.provider == "anthropic":
        import anthropic

        return anthropic.AsyncAnthropic(http_client=anthropic.DefaultAioHttpClient(**http), **options), anthropic
    import openai

    return openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient(**http), **options), openai


@functools.cache
def _certificates() -> Any:
    """Read once a process: it takes longer than a request."""
    import httpx2

    return httpx2.create_ssl_context()


def _text(response: Any) -> str:
    try:
        return str(response.text)
    except Exception:  # the error's body was cut: its status says enough
        return ""
